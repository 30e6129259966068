// The gradient by the weights of a Structured Sparse Convolution.
//
// Steps as in convolve.cu, of blocks of 8 channels. A warp keeps the sums of one unit, up to MS
// steps of one job, in registers for the life of its block: 16 MS channels by 8 NT outputs. The
// block walks along tiles: the window of x, and dy at the tile's pixels; pixels are what is summed
// over. At the end the sums are added to those of the other blocks, in no fixed order.
//   NT 8-wide columns a job; MS steps a unit; WARPS units a block; TILE pixels a tile
//   BLOCKS of threads that shall fit on a multiprocessor
#include "window.h"

constexpr int kThreads = WARPS * 32;
constexpr int kDepth = 8 * kValuesOfWord;  // pixels of one product

// The rows of a are the 16 channels of a step, its columns are pixels. Values of bfloat16 are
// transposed as they are loaded; there is no such load for float32, which is read value by value.
__device__ __forceinline__ void load_x(Word (&a)[4], Address window, const int* rows, int first,
                                       const int (&offset)[2], int lane) {
#if BF16
  const int own = lane / 8 % 2 ? offset[1] : offset[0];
  load_transposed(a, window + rows[first + lane % 8 + lane / 16 * 8] + own);
#else
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = rows[first + lane % 4 + i / 2 * 4];
    a[i] = rounded(load_word(window + row + offset[i % 2] + lane / 4 * 4));
  }
#endif
}

// The rows of b are pixels, its columns are outputs.
__device__ __forceinline__ void load_dy(Word (&b)[NT][2], Address dy, int pitch, int lane) {
#if BF16
#if NT == 1
  Word four[4];  // both halves of the warp point at the same matrices
  load_transposed(four, dy + lane % 16 * pitch);
  b[0][0] = four[0], b[0][1] = four[1];
#else
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    Word four[4];
    load_transposed(four, dy + lane % 16 * pitch + (n + lane / 16) * 16);
    b[n][0] = four[0], b[n][1] = four[1];
    b[n + 1][0] = four[2], b[n + 1][1] = four[3];
  }
#endif
#else
#pragma unroll
  for (int n = 0; n < NT; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      b[n][i] = rounded(load_word(dy + (lane % 4 + 4 * i) * pitch + (8 * n + lane / 4) * 4));
#endif
}

// Grid: blocks along the tiles; parts of the units.
//   steps      for each step the byte offsets of its two pairs in a window
//   units      for each warp of each part: byte of its outputs in dy's tile, first step, steps
//   pieces, dy_pieces   for each part the 16-byte pieces of a pixel that it reads
//   sums       (steps, 16, 8 NT), zeros before
extern "C" __global__ void __launch_bounds__(kThreads, BLOCKS)
    weight_gradient(const uint4* __restrict__ x, const uint4* __restrict__ dy,
                    const int* __restrict__ steps, const int* __restrict__ units,
                    const int* __restrict__ pieces, const int* __restrict__ dy_pieces,
                    float* __restrict__ sums, const Problem p) {
  extern __shared__ __align__(128) unsigned char shared[];
  const int thread = threadIdx.x, lane = thread % 32, part = blockIdx.y;
  int* rows = (int*)(shared + p.at_starts);
  int* own_pieces = (int*)(shared + p.at_pieces);
  Word* pixels = (Word*)(shared + p.at_pixels);
  Word* places = (Word*)(shared + p.at_places);
  Fetch* fetches = (Fetch*)(shared + p.at_fetches);
  Fetch* fetches_of_dy = (Fetch*)(shared + p.at_targets);
  const Address dy_tiles = address_of(shared + p.at_dy);
  const Address windows = address_of(shared + p.at_windows);
  const int window_bytes = p.tile_images * p.image_pitch, dy_bytes = TILE * p.dy_pitch;
  const int results = p.tile_images * p.tile_rows * p.tile_columns;
  const int rows_of_b = (results + kDepth - 1) / kDepth * kDepth;  // at most TILE

  for (int i = thread; i < p.pieces; i += kThreads) own_pieces[i] = pieces[part * p.pieces + i];
  for (int i = thread; i < p.dy_pieces; i += kThreads)
    own_pieces[p.pieces + i] = dy_pieces[part * p.dy_pieces + i];
  list_pixels(pixels, pixels_of_window(p), p.tile_images, p.window_rows, p.window_columns,
              kThreads);
  list_pixels(places, TILE, p.tile_images, p.tile_rows, p.tile_columns, kThreads);
  __syncthreads();
  for (int i = thread; i < TILE; i += kThreads)
    rows[i] = places[i] == kNone ? 0 : offset_in_window(places[i], p);  // there dy is zero

  const int* unit = units + 3 * (part * WARPS + thread / 32);
  const int first_step = unit[1], count = unit[2];
  int offsets[MS][2];
#pragma unroll
  for (int s = 0; s < MS; ++s)
#pragma unroll
    for (int i = 0; i < 2; ++i) offsets[s][i] = s < count ? steps[2 * (first_step + s) + i] : 0;
  float sum[MS][NT][4] = {};

  const int pieces_of_dy = p.outputs * (int)sizeof(Value) / 16;
  auto find = [&](Position at) {
    locate_window(fetches, pixels, at, p, kThreads);
    for (int i = thread; i < rows_of_b; i += kThreads) {
      const Word place = places[i];
      const int image = at.image * p.tile_images + image_of(place);
      const int row = at.down * p.tile_rows + row_of(place);
      const int column = at.across * p.tile_columns + column_of(place);
      const bool there =
          place != kNone && image < p.batch && row < p.out_rows && column < p.out_columns;
      const int pixel = (image * p.out_rows + row) * p.out_columns + column;
      fetches_of_dy[i] = {there ? (Word)pixel * pieces_of_dy : kNone, i * p.dy_pitch};
    }
  };
  const Share share = share_of(p.pieces, kThreads), share_of_dy = share_of(p.dy_pieces, kThreads);
  auto load = [&](int stage) {
    load_pixels(windows + stage * window_bytes, x, fetches, pixels_of_window(p), own_pieces,
                p.pieces, share, kThreads);
    load_pixels(dy_tiles + stage * dy_bytes, dy, fetches_of_dy, rows_of_b, own_pieces + p.pieces,
                p.dy_pieces, share_of_dy, kThreads);
  };
  int tile = blockIdx.x, stage = 0;
  const int ahead = p.stages * gridDim.x;
  Position at = position_of(tile, p);
  const Position by = position_of(gridDim.x, p);
  find(at);
  advance(at, by, p);
  __syncthreads();
  load(0);
  commit_copies();
  __syncthreads();
  if (p.stages == 2) {
    if (tile + (int)gridDim.x < p.tiles) find(at);
    advance(at, by, p);
    __syncthreads();
  }
  for (; tile < p.tiles; tile += gridDim.x) {
    const int next = tile + gridDim.x;
    if (p.stages == 2) {
      if (next < p.tiles) load(1 - stage);
      commit_copies();
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    if (tile + ahead < p.tiles) find(at);
    advance(at, by, p);
    const Address window = windows + stage * window_bytes;
    const Address tile_of_dy = dy_tiles + stage * dy_bytes + unit[0];
#pragma unroll 2
    for (int first = 0; first < rows_of_b; first += kDepth) {
      Word b[NT][2];
      load_dy(b, tile_of_dy + first * p.dy_pitch, p.dy_pitch, lane);
#pragma unroll
      for (int s = 0; s < MS; ++s) {
        Word a[4];
        load_x(a, window, rows, first, offsets[s], lane);
#pragma unroll
        for (int n = 0; n < NT; ++n) multiply_add(sum[s][n], a, b[n][0], b[n][1]);
      }
    }
    __syncthreads();
    if (p.stages == 2) {
      stage = 1 - stage;
    } else {
      if (next < p.tiles) load(0);
      commit_copies();
    }
  }

#pragma unroll
  for (int s = 0; s < MS; ++s)
    if (s < count)
#pragma unroll
      for (int n = 0; n < NT; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int channel = lane / 4 + half * 8, output = 8 * n + lane % 4 * 2;
          add_two(sums + ((size_t)(first_step + s) * 16 + channel) * 8 * NT + output,
                  sum[s][n][2 * half], sum[s][n][2 * half + 1]);
        }
}
