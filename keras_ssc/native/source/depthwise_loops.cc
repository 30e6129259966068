// Compiled with -DINSTRUCTIONS=plain, avx2 or avx512 and that instruction set's flags. No standard
// library here, as in microkernels.cc.
#include "depthwise_loops.h"

#include "row_vectors.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(depthwise_loops_, instructions)

namespace keras_ssc {
namespace {

// One row of taps, of columns First, First + Step, ... of K, for P pixels that are S apart: what is
// loaded once serves all pixels that have a tap there. `x`: the first tap of the first pixel, in
// column `left` of the image.
template <int V, int K, int S, int P, int First, int Step>
INLINE void add_taps(const float* x, long pixel, int left, int columns, const float* w,
                     vec_of<V> (&sums)[P]) {
  vec_of<V> weights[K];
  UNROLL for (int k = First; k < K; k += Step) {
    weights[k] = load<V>(w + k * V);
    HOLD(weights[k]);
  }
  UNROLL for (int c = 0; c < (P - 1) * S + K; ++c, x += pixel) {
    if ((unsigned)(left + c) >= (unsigned)columns) continue;
    vec_of<V> value = load<V>(x);
    HOLD(value);
    UNROLL for (int p = 0; p < P; ++p) {
      const int k = c - p * S;
      if (k >= First && k < K && (k - First) % Step == 0) sums[p] += value * weights[k];
    }
  }
}

// Fetches `lines` lines for the second cache; returns what comes behind them.
inline const float* fetch(const float* at, int lines) {
  for (; lines; --lines, at += kLine) __builtin_prefetch(at, 0, 2);
  return at;
}

// The pixels of one row, of one vector of filters. A function of its own: what else the loops around
// it keep would take the registers.
template <int V, int K, int S, int P>
__attribute__((noinline)) void row_of(const DepthwiseStrip& a, int n, int i) {
  const float* weights = a.weights + (long)n * a.kernel_rows * K * V;
  const int top = a.top + i * a.row_stride;
  const int first = top < 0 ? -top : 0;
  const int end = a.kernel_rows < a.rows_in - top ? a.kernel_rows : a.rows_in - top;
  const float* x = a.x + (long)(top + first) * a.row + a.left * a.pixel + a.from[n];
  const float* w = weights + first * K * V;
  vec_of<V> sums[P];
  const vec_of<V> start = load<V>(a.bias + n * V);
  UNROLL for (int p = 0; p < P; ++p) sums[p] = start;
  for (int t = first; t < end; ++t, x += a.row, w += K * V) {
    if (a.taps[t] == kAllTaps)
      add_taps<V, K, S, P, 0, 1>(x, a.pixel, a.left, a.columns_in, w, sums);
    else if (a.taps[t] == kEvenTaps)
      add_taps<V, K, S, P, 0, 2>(x, a.pixel, a.left, a.columns_in, w, sums);
    else if (a.taps[t] == kOddTaps)
      add_taps<V, K, S, P, 1, 2>(x, a.pixel, a.left, a.columns_in, w, sums);
  }
  const long place = i * a.row_out + a.to[n], pixel = a.pixel_out;
  const float* residual = a.residual;
  if (residual) {
    residual += place;
    UNROLL for (int p = 0; p < P; ++p) sums[p] += load<V>(residual + p * pixel);
  }
  if (a.relu) {
    const vec_of<V> ceiling = vec_of<V>{} + a.ceiling;
    UNROLL for (int p = 0; p < P; ++p) {
      sums[p] = sums[p] < 0 ? vec_of<V>{} : sums[p];
      sums[p] = sums[p] > ceiling ? ceiling : sums[p];
    }
  }
  float* y = a.y + place;
  UNROLL for (int p = 0; p < P; ++p) store<V>(y + p * pixel, sums[p]);
}

template <int V, int K, int S, int P>
void strip(const DepthwiseStrip& a) {
  assert(a.x && a.y && a.weights && a.bias && a.taps && a.from && a.to);
  const float *source = a.next_source, *destination = a.next_destination;
  for (int n = 0; n < a.vectors; ++n)
    for (int i = 0; i < a.rows; ++i) {
      source = fetch(source, a.source_lines);
      destination = fetch(destination, a.destination_lines);
      row_of<V, K, S, P>(a, n, i);
    }
}

template <int V, int K, int S, int P = kStripPixels>
DepthwiseLoop of_pixels(int pixels) {
  if (pixels == P) return strip<V, K, S, P>;
  if constexpr (P > 1) return of_pixels<V, K, S, P - 1>(pixels);
  return nullptr;
}

template <int V, int K>
DepthwiseLoop of_stride(int stride, int pixels) {
  if (stride == 1) return of_pixels<V, K, 1>(pixels);
  if (stride == 2) return of_pixels<V, K, 2>(pixels);
  return nullptr;
}

template <int V>
DepthwiseLoop of_kernel(int columns, int stride, int pixels) {
  if (columns == 3) return of_stride<V, 3>(stride, pixels);
  if (columns == 5) return of_stride<V, 5>(stride, pixels);
  if (columns == 7) return of_stride<V, 7>(stride, pixels);
  return nullptr;
}

}  // namespace

const DepthwiseLoops* NAME(INSTRUCTIONS)(int lanes) {
#if defined(__AVX512F__)
  constexpr int V = 16;
#elif defined(__AVX2__)
  constexpr int V = 8;
#else
  constexpr int V = 4;
#endif
  static const DepthwiseLoops loops = {V, of_kernel<V>};
  return lanes == V ? &loops : nullptr;
}

}  // namespace keras_ssc
