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


def best_tile(reads, batch, results, work, load, most_pixels):
    """Return (cost, Tile) of what takes least time for the batch, or None where none fits.

    Args:
        reads: `reads.Reads`.
        batch: int, images.
        results: int, the most results of a tile.
        work: function (Tile) -> the cost of its results.
        load: number, the cost of loading one pixel of a window.
        most_pixels: int, the most pixels of the windows of a tile.
    """
    found = [
        (counts(tile, reads, batch)[0] * (work(tile) + load * tile.window_pixels), tile)
        for tile in _tiles(reads, batch, results)
        if max(tile.window) <= MAX_SIDE and tile.window_pixels <= most_pixels
    ]
    return min(found, key=lambda pair: pair[0], default=None)


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
            window = tuple(
                (size - 1) * step + reach
                for size, step, reach in zip(
                    (down, across), reads.step_in, reads.reach, strict=True
                )
            )
            for images in sorted({together, max(together // 2, 1), 1}):
                yield Tile(images, down, across, window)


def counts(tile, reads, batch):
    """Return (all tiles, tiles down an image, tiles across)."""
    rows, columns = reads.results
    down, across = -(-rows // tile.rows), -(-columns // tile.columns)
    return -(-batch // tile.images) * down * across, down, across
