"""Tiles of results: how many images, rows and columns a block of threads computes at a time."""

from dataclasses import dataclass

MAX_SIDE = 1023  # rows and columns of a window, which stand in ten bits each
MAX_IMAGES = 4095


@dataclass(frozen=True)
class Tile:
    """Args: images, rows, columns of results; window: (rows, columns) of what one image reads."""

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


def best_tile(reads, batch, results, work, load, most_pixels, fits):
    """Return (cost, Tile) of what takes least time for the batch, or None where none fits.

    Args:
        reads: `reads.Reads`.
        batch: int, images.
        results: int, the most results of a tile.
        work: function (Tile) -> the cost of its results.
        load: number, the cost of loading one pixel of a window.
        most_pixels: int, more than the windows of a tile can have.
        fits: function (Tile) -> whether its windows fit in shared memory.
    """
    found = [
        (counts(tile, reads, batch)[0] * (work(tile) + load * tile.window_pixels), tile)
        for tile in _tiles(reads, batch, results)
        if max(tile.window) <= MAX_SIDE and tile.window_pixels <= most_pixels
    ]
    found.sort(key=lambda pair: pair[0])
    return next((pair for pair in found if fits(pair[1])), None)


def _tiles(reads, batch, results):
    """All tiles worth a look: rows or columns cut into equal parts, small maps taken together."""
    rows, columns = reads.results
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
            for images in sorted({together, max(together // 2, 1), 1}):
                yield tile_of(images, down, across, reads)


def counts(tile, reads, batch):
    """Return (all tiles, tiles down an image, tiles across)."""
    rows, columns = reads.results
    down, across = -(-rows // tile.rows), -(-columns // tile.columns)
    return -(-batch // tile.images) * down * across, down, across
