"""Tiles of results: how many images, rows and columns a block of threads computes at a time."""

import dataclasses
from dataclasses import dataclass

import numpy as np

MAX_SIDE = 1023  # rows and columns of a window, which stand in ten bits each
MAX_IMAGES = 4095


@dataclass(frozen=True)
class Tile:
    """One tile, or arrays of many.

    Args:
        images, rows, columns: of results.
        window: (rows, columns) of what one image reads.
    """

    images: int
    rows: int
    columns: int
    window: tuple

    @property
    def results(self):
        """Results in all its images."""
        return self.images * self.rows * self.columns

    @property
    def window_pixels(self):
        """Pixels in the windows of all its images."""
        return self.images * self.window[0] * self.window[1]


def tile_of(images, rows, columns, reads):
    """Return the Tile of so many images, rows and columns."""
    sides = zip((rows, columns), reads.step_in, reads.reach, strict=True)
    return Tile(images, rows, columns, tuple((n - 1) * step + reach for n, step, reach in sides))


def numbers_of(tile):
    """Return what tells a Tile from the others of its pass: dict of ints."""
    return {"tile_images": tile.images, "tile_rows": tile.rows, "tile_columns": tile.columns}


def tile_from(numbers, reads):
    """Return the Tile with these `numbers_of`."""
    return tile_of(*(numbers[f"tile_{name}"] for name in ("images", "rows", "columns")), reads)


@dataclass(frozen=True)
class Window:
    """How the window of a tile lies in shared memory, in bytes.

    A product reads 8 (or 4) neighbouring results at a time, and they meet different banks where
    they lie an odd number of blocks apart; rows and images are padded so that this holds from the
    end of one to the start of the next as well.

    Args:
        pitch, row, image: int, from a pixel, a row, an image to the next.
        groups: (rows, columns) of one residue modulo the step between results; these lie side by
            side.
        steps: (rows, columns), that step.
        images: int.
    """

    pitch: int
    row: int
    image: int
    groups: tuple
    steps: tuple
    images: int

    @property
    def bytes(self):
        """All of it."""
        return self.images * self.image

    def offset(self, row, column):
        """The byte of a pixel that all results read in their own window; arrays or numbers."""
        row, column = (
            n % step * group + n // step
            for n, step, group in zip((row, column), self.steps, self.groups, strict=True)
        )
        return row * self.row + column * self.pitch


def window_of(tile, reads, blocks, block_bytes):
    """Return the Window of a Tile, of so many blocks of so many bytes a pixel."""
    pitch, banks = blocks | 1, 128 // block_bytes
    groups = tuple(-(-n // step) for n, step in zip(tile.window, reads.step_in, strict=True))
    rows, columns = (group * step for group, step in zip(groups, reads.step_in, strict=True))
    row = _padded(columns * pitch, tile.columns * pitch, banks)
    image = _padded(rows * row, tile.rows * row, banks)
    sizes = (pitch * block_bytes, row * block_bytes, image * block_bytes)
    return Window(*sizes, groups, reads.step_in, tile.images)


def _padded(least, wanted, banks):
    """The least number from `least` on that equals `wanted` modulo `banks`."""
    return least + (wanted - least) % banks


def all_tiles(reads, batch, results):
    """Return a Tile of arrays: all tiles worth a look, with so many results at the most.

    Rows or columns are cut into equal parts, small maps are taken together.
    """
    rows, columns = reads.results
    found = []
    for across in sorted({-(-columns // n) for n in range(1, columns + 1)}):
        if across > results:
            continue
        most = min(rows, results // across)
        for down in sorted({-(-rows // n) for n in range(1, rows + 1)} | {most}):
            if down > most:
                continue
            together = 1
            if (down, across) == (rows, columns):
                together = min(batch, results // (down * across), MAX_IMAGES)
            found += [(n, down, across) for n in sorted({together, max(together // 2, 1), 1})]
    return tile_of(*np.array(found).T, reads)


def with_best(choice, clocks, fits):
    """Return the Choice with the tile that takes least time, or None where none fits.

    Args:
        choice: a Choice whose `tile` and `at_a_time` are of arrays.
        clocks: array, of each.
        fits: bool array, whether its windows fit in shared memory.
    """
    many = choice.tile
    fits = fits & (np.maximum(*many.window) <= MAX_SIDE)
    if not fits.any():
        return None
    best = int(np.argmin(np.where(fits, clocks, np.inf)))
    images, rows, columns, *window = (
        int(numbers[best]) for numbers in (many.images, many.rows, many.columns, *many.window)
    )
    own = {"cost": float(clocks[best]), "at_a_time": int(choice.at_a_time[best])}
    return dataclasses.replace(choice, tile=Tile(images, rows, columns, tuple(window)), **own)


def counts(tile, reads, batch):
    """Return (all tiles, tiles down an image, tiles across)."""
    rows, columns = reads.results
    down, across = -(-rows // tile.rows), -(-columns // tile.columns)
    return -(-batch // tile.images) * down * across, down, across
