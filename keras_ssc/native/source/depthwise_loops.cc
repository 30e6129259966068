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

template <int V, int K, int S, int P>
void strip(const DepthwiseStrip& a) {
  assert(a.x && a.y && a.weights && a.taps && a.from && a.to);
  const vec_of<V> ceiling = vec_of<V>{} + a.ceiling;
  const float* weights = a.weights;
  for (int n = 0; n < a.vectors; ++n, weights += a.kernel_rows * K * V) {
    const float* x = a.x + (long)a.top * a.row + a.left * a.pixel + a.from[n];
    const vec_of<V> start = a.bias ? load<V>(a.bias + n * V) : vec_of<V>{};
    for (int i = 0; i < a.rows; ++i, x += a.row_stride * a.row) {
      vec_of<V> sums[P];
      UNROLL for (int p = 0; p < P; ++p) sums[p] = start;
      const int top = a.top + i * a.row_stride;
      for (int t = 0; t < a.kernel_rows; ++t) {
        if ((unsigned)(top + t) >= (unsigned)a.rows_in) continue;
        const float *at = x + t * a.row, *w = weights + t * K * V;
        if (a.taps[t] == kAllTaps)
          add_taps<V, K, S, P, 0, 1>(at, a.pixel, a.left, a.columns_in, w, sums);
        else if (a.taps[t] == kEvenTaps)
          add_taps<V, K, S, P, 0, 2>(at, a.pixel, a.left, a.columns_in, w, sums);
        else if (a.taps[t] == kOddTaps)
          add_taps<V, K, S, P, 1, 2>(at, a.pixel, a.left, a.columns_in, w, sums);
      }
      const long place = i * a.row_out + a.to[n];
      UNROLL for (int p = 0; p < P; ++p) {
        vec_of<V> value = sums[p];
        if (a.residual) value += load<V>(a.residual + place + p * a.pixel_out);
        if (a.relu) {
          value = value < 0 ? vec_of<V>{} : value;
          value = value > ceiling ? ceiling : value;
        }
        store<V>(a.y + place + p * a.pixel_out, value);
      }
    }
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
