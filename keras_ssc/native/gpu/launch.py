"""What a launch of a kernel takes: its compile-time numbers, grid, tables and problem."""

import dataclasses
from dataclasses import dataclass

import numpy as np

REGISTERS = 65536  # of a multiprocessor, in all architectures from 8.0 on

# The fields of `struct Problem` in source/problem.h, in order.
FIELDS = (
    *("batch", "in_rows", "in_columns", "in_pieces", "out_rows", "out_columns", "outputs"),
    *("step_out_rows", "step_out_columns", "tile_images", "tile_rows", "tile_columns"),
    *("tiles", "tiles_down", "tiles_across", "window_rows", "window_columns"),
    *("first_row", "first_column", "step_in_rows", "step_in_columns", "pieces", "pitch"),
    *("row_pitch", "image_pitch", "row_group", "column_group"),
    *("dy_pieces", "dy_pitch", "jobs", "jobs_of_part", "stages"),
    *("at_steps", "at_starts", "at_pieces", "at_pixels", "at_places", "at_fetches", "at_targets"),
    *("at_weights", "at_dy", "at_windows", "has_bias", "has_residual", "relu", "at_bias"),
)


@dataclass(frozen=True, eq=False)
class Launch:
    """A kernel and its arguments, but for the arrays of values.

    Args:
        kernel: str, `"convolve"` or `"weight_gradient"`, as its file.
        defines: dict of what the compiler is given by -D.
        parts, phases: int, sizes of the grid; its first one is the device's choice.
        tiles: int, of which each block takes some.
        threads: int, of a block.
        shared: int, bytes of shared memory of a block.
        tables: tuple of int32 arrays, in the order of the kernel's arguments.
        problem: dict of the fields of `struct Problem`; what is missing is 0.
    """

    kernel: str
    defines: dict
    parts: int
    phases: int
    tiles: int
    threads: int
    shared: int
    tables: tuple
    problem: dict

    def with_epilogue(self):
        """Return the launch of a `"convolve"` that may add and cut at zero."""
        return dataclasses.replace(self, defines=self.defines | {"EPILOGUE": 1})

    def numbers(self, **more):
        """Return `struct Problem` as an int32 array, with some fields set."""
        fields = self.problem | more
        assert fields.keys() <= set(FIELDS), fields
        return np.array([fields.get(name, 0) for name in FIELDS], np.int32)


def pitch_of(blocks, block_bytes):
    """Bytes from a pixel to the next: an odd number of blocks, so that the reads of neighbouring
    pixels meet different banks of shared memory."""
    return (blocks | 1) * block_bytes


def laid_out(**sections):
    """Return ({"at_" + name: first byte}, bytes in all) of sections one behind the other."""
    places, end = {}, 0
    for name, size in sections.items():
        places[f"at_{name}"] = end
        end += -(-size // 128) * 128 if name == "windows" else -(-size // 16) * 16
    return places, end


def blocks_at_a_time(threads, shared, max_shared, registers):
    """How many blocks of threads a multiprocessor can hold, at most four.

    Args:
        threads: int, of a block.
        shared: int or array, bytes of shared memory of a block.
        max_shared: int, bytes of shared memory that one block may have.
        registers: int, that a thread needs.
    """
    # A kilobyte of each block is the system's; all blocks have as much as one may have, and that.
    of_memory = (max_shared + 1024) // (shared + 1024)
    of_registers = REGISTERS // (threads * registers)
    return np.maximum(np.minimum(of_memory, min(4, of_registers)), 1)


def window_fields(reads, tile, window, counts, batch):
    """Return the fields of the problem that say where results, tiles and windows lie."""
    pairs = {
        ("in_rows", "in_columns"): reads.in_size,
        ("out_rows", "out_columns"): reads.out_size,
        ("step_out_rows", "step_out_columns"): reads.step_out,
        ("step_in_rows", "step_in_columns"): reads.step_in,
        ("window_rows", "window_columns"): tile.window,
        ("first_row", "first_column"): reads.first,
        ("tile_rows", "tile_columns"): (tile.rows, tile.columns),
    }
    fields = {name: n for names, own in pairs.items() for name, n in zip(names, own, strict=True)}
    names = ("tiles", "tiles_down", "tiles_across")
    return (
        fields
        | dict(zip(names, counts, strict=True))
        | {"batch": batch, "tile_images": tile.images, "pitch": window.pitch}
        | {"row_pitch": window.row, "image_pitch": window.image}
        | {"row_group": window.groups[0], "column_group": window.groups[1]}
    )
