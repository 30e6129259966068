// The convolution of a Structured Sparse Convolution, and its gradient by the input, which differs
// in its tables alone: an implicit product of matrices over a list of live blocks.
//
// A job is a run of 8 NT outputs. Its steps list the (tap, 16 bytes of channels) pairs in which one
// of these outputs has a weight, two pairs a step; what is not listed is neither read nor multiplied.
// A block of threads keeps the weights of its jobs in shared memory and walks along tiles of results.
// For each it brings the window of pixels that the tile reads into shared memory, with zeros around
// the image, so that a pair is one constant offset there.
//   NT 8-wide columns a job; MT 16-pixel rows a warp; WM x WJ warps, along pixels and along jobs
//   BLOCKS of threads that shall fit on a multiprocessor
//   EPILOGUE 1: bias, residual or ReLU may be asked for
//   JG jobs whose results are written together: 2 for one column of bfloat16, else 1
#include "window.h"

constexpr int kTile = WM * MT * 16, kThreads = WM * WJ * 32;

struct Fragments {
  Word a[MT][4], b[NT][2];
};

__device__ __forceinline__ void load_weights(Fragments& to, const unsigned char* weights, int step,
                                             int lane) {
#if NT == 1
  const uint2 two = ((const uint2*)weights)[step * 32 + lane];
  to.b[0][0] = two.x, to.b[0][1] = two.y;
#else
#pragma unroll
  for (int i = 0; i < NT / 2; ++i) {
    const uint4 four = ((const uint4*)weights)[(step * (NT / 2) + i) * 32 + lane];
    to.b[2 * i][0] = four.x, to.b[2 * i][1] = four.y;
    to.b[2 * i + 1][0] = four.z, to.b[2 * i + 1][1] = four.w;
  }
#endif
}

// What a lane holds of one pixel: 2 NT neighbouring outputs.
struct Results {
  float values[2 * NT];
};

__device__ __forceinline__ void add(Results& to, const Value* residual) {
#pragma unroll
  for (int i = 0; i < 2 * NT; i += kValuesOfWord) {
    const Word word = *(const Word*)(residual + i);
#if BF16
    to.values[i] += __uint_as_float(word << 16);
    to.values[i + 1] += __uint_as_float(word & 0xffff0000u);
#else
    to.values[i] += __uint_as_float(word);
#endif
  }
}

__device__ __forceinline__ void store(Value* to, const Results& from) {
  const float* v = from.values;
#if BF16 && NT == 1
  *(Word*)to = as_bfloat16(v[0], v[1]);
#elif BF16 && NT == 2
  *(uint2*)to = make_uint2(as_bfloat16(v[0], v[1]), as_bfloat16(v[2], v[3]));
#elif BF16
  *(uint4*)to = make_uint4(as_bfloat16(v[0], v[1]), as_bfloat16(v[2], v[3]),
                           as_bfloat16(v[4], v[5]), as_bfloat16(v[6], v[7]));
#elif NT == 1
  *(float2*)to = make_float2(v[0], v[1]);
#else
#pragma unroll
  for (int i = 0; i < 2 * NT; i += 4)
    *(float4*)(to + i) = make_float4(v[i], v[i + 1], v[i + 2], v[i + 3]);
#endif
}

// Adds what is asked for; bias and residual start at the lane's first output.
__device__ __forceinline__ void finish(Results& results, const Value* bias, const Value* residual,
                                       const Problem& p) {
  if (p.has_bias) add(results, bias);
  if (p.has_residual) add(results, residual);
  if (p.relu)  // as a comparison, so that what is not a number stays so
#pragma unroll
    for (int i = 0; i < 2 * NT; ++i)
      results.values[i] = results.values[i] < 0 ? 0 : results.values[i];
}

// Grid: blocks along the tiles; parts of the jobs; phases (by input, of strides: see reads.py).
//   steps      for each step the byte offsets of its two pairs in a window
//   starts     the first step of each job of each phase, and the end
//   pieces     for each part the 16-byte pieces of a pixel that it reads
//   phases     for each phase the row and column of its first result
extern "C" __global__ void __launch_bounds__(kThreads, BLOCKS)
    convolve(const uint4* __restrict__ x, const uint4* __restrict__ packed_weights,
             const int* __restrict__ steps, const int* __restrict__ starts,
             const int* __restrict__ pieces, const int* __restrict__ phases,
             const Value* __restrict__ bias, const Value* __restrict__ residual,
             Value* __restrict__ y, const Problem p) {
  extern __shared__ __align__(128) unsigned char shared[];
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const int along_pixels = warp % WM, along_jobs = warp / WM;
  const int part = blockIdx.y, first_job = part * p.jobs_of_part;
  const int jobs = min(p.jobs_of_part, p.jobs - first_job);
  const int* own_starts = starts + blockIdx.z * p.jobs + first_job;
  const int first_step = own_starts[0], step_count = own_starts[jobs] - first_step;

  int* offsets = (int*)(shared + p.at_steps);
  int* ends = (int*)(shared + p.at_starts);
  int* own_pieces = (int*)(shared + p.at_pieces);
  Word* pixels = (Word*)(shared + p.at_pixels);
  Word* places = (Word*)(shared + p.at_places);
  Fetch* fetches = (Fetch*)(shared + p.at_fetches);
  int* targets = (int*)(shared + p.at_targets);
  const unsigned char* weights = shared + p.at_weights;
  const Address windows = address_of(shared + p.at_windows);
  const int window_bytes = p.tile_images * p.image_pitch;

  // One dead step more: the loop below reads one too far.
  for (int i = thread; i < 2 * step_count + 2; i += kThreads)
    offsets[i] = i < 2 * step_count ? steps[2 * first_step + i] : 0;
  for (int i = thread; i <= jobs; i += kThreads) ends[i] = own_starts[i] - first_step;
  for (int i = thread; i < p.pieces; i += kThreads) own_pieces[i] = pieces[part * p.pieces + i];
  for (int i = thread; i < step_count * NT * 16; i += kThreads)
    copy_16(address_of(weights) + i * 16, packed_weights + (size_t)first_step * NT * 16 + i, true);
  list_pixels(pixels, pixels_of_window(p), p.tile_images, p.window_rows, p.window_columns,
              kThreads);
  list_pixels(places, kTile, p.tile_images, p.tile_rows, p.tile_columns, kThreads);
  __syncthreads();

  // Rows of a that this lane points at: of each matrix of 16 pixels its pixel l % 16.
  int row[MT];
#pragma unroll
  for (int m = 0; m < MT; ++m) {
    const Word place = places[(along_pixels * MT + m) * 16 + lane % 16];
    row[m] = place == kNone ? 0 : offset_in_window(place, p);
  }

  const int first_row = phases[2 * blockIdx.z], first_column = phases[2 * blockIdx.z + 1];
  // Where a tile's pixels come from, and where its results go, in runs of 8 outputs; -1: nowhere.
  auto find = [&](Position at, int* to) {
    locate_window(fetches, pixels, at, p, kThreads);
    for (int i = thread; i < kTile; i += kThreads) {
      const Word place = places[i];
      const int image = at.image * p.tile_images + image_of(place);
      const int row = (at.down * p.tile_rows + row_of(place)) * p.step_out_rows + first_row;
      const int column =
          (at.across * p.tile_columns + column_of(place)) * p.step_out_columns + first_column;
      const bool there =
          place != kNone && image < p.batch && row < p.out_rows && column < p.out_columns;
      to[i] = there ? ((image * p.out_rows + row) * p.out_columns + column) * (p.outputs / 8) : -1;
    }
  };
  const Share share = share_of(p.pieces, kThreads);
  auto load_window = [&](int stage) {
    load_pixels(windows + stage * window_bytes, x, fetches, pixels_of_window(p), own_pieces,
                p.pieces, share, kThreads);
  };

  // Where pixels lie is found `stages` tiles ahead, in a ring of three lists of targets.
  int tile = blockIdx.x, stage = 0, turn = 0;
  const int ahead = p.stages * gridDim.x;
  Position at = position_of(tile, p);
  const Position by = position_of(gridDim.x, p);
  find(at, targets);
  advance(at, by, p);
  __syncthreads();
  load_window(0);
  commit_copies();
  __syncthreads();
  if (p.stages == 2) {
    if (tile + (int)gridDim.x < p.tiles) find(at, targets + kTile);
    advance(at, by, p);
    __syncthreads();
  }
  for (; tile < p.tiles; tile += gridDim.x, turn = turn == 2 ? 0 : turn + 1) {
    const int next = tile + gridDim.x;
    if (p.stages == 2) {
      if (next < p.tiles) load_window(1 - stage);
      commit_copies();
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    const int later = turn + p.stages;
    if (tile + ahead < p.tiles) find(at, targets + (later >= 3 ? later - 3 : later) * kTile);
    advance(at, by, p);

    const int* own_targets = targets + turn * kTile + along_pixels * MT * 16 + lane / 4;
    const Address window = windows + stage * window_bytes;
    auto load = [&](Fragments& to, int step) {
      const Address from = window + offsets[2 * step + lane / 16];
#pragma unroll
      for (int m = 0; m < MT; ++m) {
        load_matrices(to.a[m], from + row[m]);
#pragma unroll
        for (int i = 0; i < 4; ++i) to.a[m][i] = rounded(to.a[m][i]);
      }
      load_weights(to, weights, step, lane);
    };
    for (int first = along_jobs * JG; first < jobs; first += WJ * JG) {
      float sums[JG][MT][NT][4] = {};
#pragma unroll
      for (int j = 0; j < JG; ++j) {
        if (first + j >= jobs) break;
        auto multiply = [&](const Fragments& of) {
#pragma unroll
          for (int n = 0; n < NT; ++n)
#pragma unroll
            for (int m = 0; m < MT; ++m)
              multiply_add(sums[j][m][n], of.a[m], of.b[n][0], of.b[n][1]);
        };
        // While one step is multiplied, the next one is read.
        Fragments even, odd;
        int step = ends[first + j];
        const int end = ends[first + j + 1];
        load(even, step);
        for (; step + 1 < end; step += 2) {
          load(odd, step + 1);
          multiply(even);
          load(even, step + 2);
          multiply(odd);
        }
        if (step < end) multiply(even);
      }
      // A lane has two neighbouring outputs of each column. With JG 2 it changes those of one job for
      // its neighbour's of the other, and so writes four of one job.
      const int odd = JG == 2 ? lane % 2 : 0;
      const bool own = first + odd < jobs;
      const int output =
          (first_job + first + odd) * 8 * NT + (JG == 2 ? lane % 4 / 2 * 4 : lane % 4 * 2 * NT);
#pragma unroll
      for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int target = own_targets[m * 16 + 8 * half];
          Value* to = y + (size_t)(unsigned)target * 8 + output;
          Results results[JG];
#pragma unroll
          for (int j = 0; j < JG; ++j) {
#pragma unroll
            for (int n = 0; n < NT; ++n) {
              results[j].values[2 * n] = sums[j][m][n][2 * half];
              results[j].values[2 * n + 1] = sums[j][m][n][2 * half + 1];
            }
#if EPILOGUE
            if (target >= 0 && first + j < jobs) {
              const int of_lane = (first_job + first + j) * 8 * NT + lane % 4 * 2 * NT;
              finish(results[j], bias + p.at_bias + of_lane,
                     residual + (size_t)target * 8 + of_lane, p);
            }
#endif
          }
#if JG == 2
          const Word a = as_bfloat16(results[0].values[0], results[0].values[1]);
          const Word b = as_bfloat16(results[1].values[0], results[1].values[1]);
          const Word other = from_lane(odd ? a : b, lane ^ 1);
          if (target >= 0 && own) *(uint2*)to = odd ? make_uint2(other, b) : make_uint2(a, other);
#else
          if (target >= 0) store(to, results[0]);
#endif
        }
    }
    __syncthreads();
    if (p.stages == 2) {
      stage = 1 - stage;
    } else {
      if (next < p.tiles) load_window(0);
      commit_copies();
    }
  }
}
