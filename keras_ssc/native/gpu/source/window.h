// Tiles of results and the windows of pixels that they read, as both kernels walk along them.
#pragma once

#include "problem.h"
#include "warp.h"

// A pixel relative to its tile or window: image, row, column in one word; `kNone`: there is none.
constexpr Word kNone = ~0u;
__device__ __forceinline__ Word packed(int image, int row, int column) {
  return (Word)image << 20 | (Word)row << 10 | (Word)column;
}
__device__ __forceinline__ int image_of(Word spot) { return (int)(spot >> 20); }
__device__ __forceinline__ int row_of(Word spot) { return (int)(spot >> 10 & 1023); }
__device__ __forceinline__ int column_of(Word spot) { return (int)(spot & 1023); }

// Lists the pixels of a box row by row; what is left of the list is `kNone`.
__device__ __forceinline__ void list_pixels(Word* list, int length, int images, int rows,
                                            int columns, int threads) {
  for (int i = threadIdx.x; i < length; i += threads) {
    const int row = i / columns, image = row / rows;
    list[i] = image < images ? packed(image, row - image * rows, i - row * columns) : kNone;
  }
}

__device__ __forceinline__ int pixels_of_window(const Problem& p) {
  return p.tile_images * p.window_rows * p.window_columns;
}

// Byte of the first value that a result reads, from the start of its window.
__device__ __forceinline__ int offset_in_window(Word place, const Problem& p) {
  const int row = image_of(place) * p.window_rows + row_of(place) * p.step_in_rows;
  return (row * p.window_columns + column_of(place) * p.step_in_columns) * p.pitch;
}

// The first pixel of a tile: image, and row and column of its first result.
struct Corner {
  int image, row, column;
};
__device__ __forceinline__ Corner corner_of(int tile, const Problem& p) {
  const int across = tile % p.tiles_across, rest = tile / p.tiles_across;
  return {rest / p.tiles_down * p.tile_images, rest % p.tiles_down * p.tile_rows,
          across * p.tile_columns};
}

// Lists where the listed pixels of a tile or window lie in a tensor, in pixels; -1: outside.
// Made once for a tile, so that its many copies need not look where the image ends.
__device__ __forceinline__ void locate(int* to, const Word* list, int length, int batch, int rows,
                                       int columns, Corner first, int threads) {
  for (int i = threadIdx.x; i < length; i += threads) {
    const Word spot = list[i];
    const int image = first.image + image_of(spot), row = first.row + row_of(spot),
              column = first.column + column_of(spot);
    const bool there = spot != kNone && image < batch && (unsigned)row < (unsigned)rows &&
                       (unsigned)column < (unsigned)columns;
    to[i] = there ? (image * rows + row) * columns + column : -1;
  }
}

__device__ __forceinline__ void locate_window(int* to, const Word* pixels, int tile,
                                              const Problem& p, int threads) {
  const Corner corner = corner_of(tile, p);
  const Corner first = {corner.image, corner.row * p.step_in_rows + p.first_row,
                        corner.column * p.step_in_columns + p.first_column};
  locate(to, pixels, pixels_of_window(p), p.batch, p.in_rows, p.in_columns, first, threads);
}

// Copies some pieces of each located pixel into shared memory, zeros where it is outside.
__device__ __forceinline__ void load_pixels(Address to, int pitch, const uint4* from,
                                            int pieces_of_pixel, const int* located, int length,
                                            const int* pieces, int count, int threads) {
  const int down = threads / count, across = threads % count;
  int pixel = (int)threadIdx.x / count, piece = (int)threadIdx.x % count;
  int own = pieces[piece];
  while (pixel < length) {
    const int source = located[pixel];
    copy_16(to + pixel * pitch + piece * 16,
            from + ((size_t)(source < 0 ? 0 : source) * pieces_of_pixel + own), source >= 0);
    pixel += down;
    if (across) {
      piece += across;
      if (piece >= count) {
        piece -= count;
        ++pixel;
      }
      own = pieces[piece];
    }
  }
}

__device__ __forceinline__ void load_window(Address to, const uint4* x, const int* located,
                                            const int* pieces, const Problem& p, int threads) {
  load_pixels(to, p.pitch, x, p.in_pieces, located, pixels_of_window(p), pieces, p.pieces,
              threads);
}
