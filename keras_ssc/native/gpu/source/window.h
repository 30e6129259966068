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

// Where a row or column of a window is kept, of `group` in each residue modulo the step between
// results: what neighbouring results read lies side by side.
__device__ __forceinline__ int kept(int number, int step, int group) {
  return step == 1 ? number : number % step * group + number / step;
}

// Byte of the first value that a result reads, from the start of its window.
__device__ __forceinline__ int offset_in_window(Word place, const Problem& p) {
  return image_of(place) * p.image_pitch + row_of(place) * p.row_pitch + column_of(place) * p.pitch;
}

// A tile of the batch, by its place; the tiles of a block are `gridDim.x` apart.
struct Position {
  int image, down, across;
};
__device__ __forceinline__ Position position_of(int tile, const Problem& p) {
  const int across = tile % p.tiles_across, rest = tile / p.tiles_across;
  return {rest / p.tiles_down, rest % p.tiles_down, across};
}
__device__ __forceinline__ void advance(Position& at, const Position& by, const Problem& p) {
  at.across += by.across;
  at.down += by.down;
  at.image += by.image;
  if (at.across >= p.tiles_across) at.across -= p.tiles_across, ++at.down;
  if (at.down >= p.tiles_down) at.down -= p.tiles_down, ++at.image;
}

// Where a pixel comes from, in pieces of 16 bytes (`kNone`: from outside, it is zeros), and the byte
// of shared memory that it goes to. Made once for a tile: its many copies look here.
struct alignas(8) Fetch {
  Word from;
  int to;
};

__device__ __forceinline__ void locate_window(Fetch* fetches, const Word* pixels, Position at,
                                              const Problem& p, int threads) {
  const int first_image = at.image * p.tile_images;
  const int first_row = at.down * p.tile_rows * p.step_in_rows + p.first_row;
  const int first_column = at.across * p.tile_columns * p.step_in_columns + p.first_column;
  for (int i = threadIdx.x; i < pixels_of_window(p); i += threads) {
    const Word spot = pixels[i];
    const int image = first_image + image_of(spot), row = first_row + row_of(spot),
              column = first_column + column_of(spot);
    const bool there = image < p.batch && (unsigned)row < (unsigned)p.in_rows &&
                       (unsigned)column < (unsigned)p.in_columns;
    const int pixel = (image * p.in_rows + row) * p.in_columns + column;
    fetches[i] = {there ? (Word)pixel * p.in_pieces : kNone,
                  image_of(spot) * p.image_pitch +
                      kept(row_of(spot), p.step_in_rows, p.row_group) * p.row_pitch +
                      kept(column_of(spot), p.step_in_columns, p.column_group) * p.pitch};
  }
}

// What a thread copies of every tile: one piece (more, where there are more pieces than threads) of
// every `down`-th pixel.
struct Share {
  int first, down, piece;
};
__device__ __forceinline__ Share share_of(int pieces, int threads) {
  const int down = pieces < threads ? threads / pieces : 1;
  const int first = (int)threadIdx.x / pieces;
  return {first < down ? first : 1 << 30, down, (int)threadIdx.x % pieces};
}

__device__ __forceinline__ void load_pixels(Address to, const uint4* from, const Fetch* fetches,
                                            int length, const int* pieces, int count,
                                            const Share& share, int threads) {
  for (int piece = share.piece; piece < count; piece += threads) {
    const uint4* source = from + pieces[piece];
    const Address target = to + piece * 16;
#pragma unroll 4
    for (int pixel = share.first; pixel < length; pixel += share.down) {
      const Fetch fetch = fetches[pixel];
      const bool there = fetch.from != kNone;
      copy_16(target + fetch.to, source + (there ? fetch.from : 0), there);
    }
  }
}
