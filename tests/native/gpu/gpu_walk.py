"""What the CUDA kernels compute, in NumPy: walks along the tables of a launch as the kernels do.

For many patterns and sizes; gpu_emulation.py runs the kernels' own source.
"""

import numpy as np


class Walk:
    """The tiles of a launch, and the windows of pixels that they read.

    Args:
        launch: keras_ssc.native.gpu.launch.Launch.
        block_bytes: int, bytes of the blocks that the offsets point to.
    """

    def __init__(self, launch, results, block_bytes):
        self.launch, self.block_bytes = launch, block_bytes
        self.p = p = {"has_bias": 0, **launch.problem}
        shape = (p["tile_images"], p["tile_rows"], p["tile_columns"])
        assert np.prod(shape) <= results
        self.places = np.indices(shape).reshape(3, -1).T
        image, row, column = self.places.T
        byte = image * p["image_pitch"] + row * p["row_pitch"]
        self.rows = (byte + column * p["pitch"]) // block_bytes

    def corner(self, tile):
        p = self.p
        rest, across = divmod(tile, p["tiles_across"])
        image, down = divmod(rest, p["tiles_down"])
        return image * p["tile_images"], down * p["tile_rows"], across * p["tile_columns"]

    def window(self, x, tile, pieces):
        """The window of a tile as blocks: array (blocks, values of a block)."""
        p = self.p
        image, row, column = self.corner(tile)
        row = row * p["step_in_rows"] + p["first_row"]
        column = column * p["step_in_columns"] + p["first_column"]
        batch, height, width = x.shape[:3]
        assert (height, width) == (p["in_rows"], p["in_columns"])
        values = x.shape[3] // p["in_pieces"]
        x = x.reshape(batch, height, width, -1, values)
        sizes = (p["tile_images"], p["window_rows"], p["window_columns"])
        window = np.full((p["tile_images"] * p["image_pitch"] // 16, values), np.nan)
        for i, j, k in np.ndindex(sizes):
            kept = [
                n % p[f"step_in_{axis}s"] * p[f"{axis}_group"] + n // p[f"step_in_{axis}s"]
                for n, axis in ((j, "row"), (k, "column"))
            ]
            to = (i * p["image_pitch"] + kept[0] * p["row_pitch"] + kept[1] * p["pitch"]) // 16
            at = (image + i, row + j, column + k)
            there = all(0 <= own < size for own, size in zip(at, x.shape, strict=False))
            window[to : to + p["pieces"]] = x[at][pieces] if there else 0
        return window.reshape(-1, self.block_bytes // 16 * values)


def convolve(launch, x, packed):
    """Return y; x (batch, rows, columns, inputs) and the packed weights, in class-major order."""
    offsets, starts, pieces, phases = launch.tables
    columns = launch.defines["NT"]
    walk = Walk(launch, 16 * launch.defines["WM"] * launch.defines["MT"], 16)
    p = walk.p
    weights = _unpacked(packed, columns, 16 // (2 if launch.defines["BF16"] else 4))
    y = np.full((p["batch"], p["out_rows"], p["out_columns"], p["outputs"]), np.nan)
    for phase, part, tile in np.ndindex(launch.phases, launch.parts, launch.tiles):
        window = walk.window(x, tile, pieces[part])
        image, row, column = walk.corner(tile)
        at = walk.places + [image, row, column]
        at = at * [1, p["step_out_rows"], p["step_out_columns"]] + [0, *phases[phase]]
        inside = (at < [p["batch"], p["out_rows"], p["out_columns"]]).all(axis=1)
        first = part * p["jobs_of_part"]
        for job in range(first, min(first + p["jobs_of_part"], p["jobs"])):
            sums = np.zeros((len(walk.rows), 8 * columns))
            for step in range(*starts[phase * p["jobs"] + job :][:2]):
                for pair, offset in enumerate(offsets[step]):
                    assert offset % 16 == 0
                    sums += window[walk.rows + offset // 16] @ weights[step, pair]
            outputs = slice(job * 8 * columns, (job + 1) * 8 * columns)
            i, j, k = at[inside].T
            y[i, j, k, outputs] = sums[inside]
    return y


def _unpacked(packed, columns, values_of_block):
    """Packed weights as matrices: (steps, 2, values of a block, outputs of a job)."""
    values = values_of_block // 4
    together = min(columns, 2)
    packed = packed.reshape(-1, columns // together, 32, together, 2, values)
    weights = np.empty((len(packed), 2, values_of_block, 8 * columns))
    for group, lane, own, pair, value in np.ndindex(packed.shape[1:]):
        tile, column = group * together + own, lane // 4
        output = column // 2 * 2 * columns + 2 * tile + column % 2
        weights[:, pair, lane % 4 * values + value, output] = packed[
            :, group, lane, own, pair, value
        ]
    return weights


def weight_gradient(launch, x, dy):
    """Return the sums (steps, 16, outputs of a job), flat."""
    offsets, units, pieces, dy_pieces = launch.tables
    columns, steps, warps = (launch.defines[name] for name in ("NT", "MS", "WARPS"))
    bytes_of_value = 2 if launch.defines["BF16"] else 4
    walk = Walk(launch, launch.defines["TILE"], 8 * bytes_of_value)
    p = walk.p
    sums = np.zeros((len(offsets), 2, 8, 8 * columns))
    values = 16 // bytes_of_value
    for part, tile in np.ndindex(launch.parts, launch.tiles):
        window = walk.window(x, tile, pieces[part])
        at = walk.places + [*walk.corner(tile)]
        inside = (at < [p["batch"], p["out_rows"], p["out_columns"]]).all(axis=1)
        of_part = np.zeros((len(at), p["dy_pieces"], values))
        i, j, k = at[inside].T
        of_part[inside] = dy[i, j, k].reshape(len(i), -1, values)[:, dy_pieces[part]]
        for byte, first, count in units[part * warps : (part + 1) * warps]:
            assert count <= steps
            own = of_part.reshape(len(at), -1)[:, byte // bytes_of_value :][:, : 8 * columns]
            for step in range(first, first + count):
                for pair, offset in enumerate(offsets[step]):
                    block = window[walk.rows + offset // walk.block_bytes]
                    sums[step, pair] += block.T @ own
    return sums.ravel()
