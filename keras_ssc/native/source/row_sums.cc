// The sums of the gradient by weights, along rows. Compiled once for every instruction set like
// row_kernels.cc, and like it without the standard library.
#include "row_kernels.h"
#include "row_vectors.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(row_sums_, instructions)

namespace keras_ssc {
namespace {

// A pixel of x meets, with the taps of columns 0, 1, 2, the pixels of dy on its right, at and on
// its left: `Left`, `Right` say which there are.
template <int V, int R, int K>
struct KernelSums {
  typedef vec_of<V> vec;
  vec right[K], middle[K], left[K];

  template <bool Right, bool Middle, bool Left>
  INLINE void add(const RowSum& a, const float* x, const float* outer, const float* inner) {
    vec at_right, at_middle, at_left;
    if constexpr (Right) {
      at_right = load<V>(outer);
      HOLD(at_right);
    }
    if constexpr (Middle) {
      at_middle = load<V>(inner - a.dy_pixel);
      HOLD(at_middle);
    }
    if constexpr (Left) {
      at_left = load<V>(outer - 2 * a.dy_pixel);
      HOLD(at_left);
    }
    UNROLL for (int k = 0; k < K; ++k) {
      const vec value = spread<V, R>(x + a.channels[k]);
      if constexpr (Right) right[k] += value * at_right;
      if constexpr (Middle) middle[k] += value * at_middle;
      if constexpr (Left) left[k] += value * at_left;
    }
  }
};

template <int V, int R, int K>
void kxk(const RowSum& a, Ahead& kept) {
  assert(a.count >= 0 && a.columns_out >= 1 && a.dy && a.channels && a.sums[0]);
  Ahead ahead = kept;
  KernelSums<V, R, K> sums;
  UNROLL for (int k = 0; k < K; ++k) sums.right[k] = sums.middle[k] = sums.left[k] = vec_of<V>{};
  for (int row = 0; row < a.count; ++row) {
    const float* x = a.rows[row];
    // Where the pixel of dy would be that x meets with the taps of column 0.
    const float* outer = a.dy + row * a.dy_row + a.half[0] + a.pad * a.dy_pixel;
    const float* inner = outer - a.half[0] + a.half[1];
    int c = 0;
    const auto next = [&] { ++c, x += a.pixel, outer += a.dy_pixel, inner += a.dy_pixel; };
    if (a.pad == 0) sums.template add<true, false, false>(a, x, outer, inner), next();
    sums.template add<true, true, false>(a, x, outer, inner), next();
    for (; c < a.columns_out - a.pad; next()) {
      fetch_line(ahead);
      sums.template add<true, true, true>(a, x, outer, inner);
    }
    sums.template add<false, true, true>(a, x, outer, inner), next();
    if (a.pad == 0) sums.template add<false, false, true>(a, x, outer, inner);
  }
  UNROLL for (int k = 0; k < K; ++k) {
    const long at = (long)k * a.length;
    store<V>(a.sums[0] + at, load<V>(a.sums[0] + at) + sums.right[k]);
    store<V>(a.sums[1] + at, load<V>(a.sums[1] + at) + sums.middle[k]);
    store<V>(a.sums[2] + at, load<V>(a.sums[2] + at) + sums.left[k]);
  }
  kept = ahead;
}

template <int V, int R, int J>
void pointwise(const RowSum& a, Ahead& kept) {
  assert(a.count >= 0 && a.columns_out >= 1 && a.dy && a.channels && a.sums[0] && a.sums[1]);
  Ahead ahead = kept;
  vec_of<V> even[J], odd[J];
  UNROLL for (int j = 0; j < J; ++j) even[j] = odd[j] = vec_of<V>{};
  for (int row = 0; row < a.count; ++row) {
    const float* x = a.rows[row] + (1 - a.pad) * a.pixel;
    const float* dy = a.dy + row * a.dy_row;
    for (int c = 0; c < a.columns_out; ++c, x += a.pixel, dy += a.dy_pixel) {
      fetch_line(ahead);
      vec_of<V> at_even = load<V>(dy + a.half[0]), at_odd = load<V>(dy + a.half[1]);
      HOLD(at_even);
      HOLD(at_odd);
      UNROLL for (int j = 0; j < J; ++j) {
        const vec_of<V> value = spread<V, R>(x + a.channels[j]);
        even[j] += value * at_even;
        odd[j] += value * at_odd;
      }
    }
  }
  UNROLL for (int j = 0; j < J; ++j) {
    const long at = (long)j * a.length;
    store<V>(a.sums[0] + at, load<V>(a.sums[0] + at) + even[j]);
    store<V>(a.sums[1] + at, load<V>(a.sums[1] + at) + odd[j]);
  }
  kept = ahead;
}

template <int V, int R, int K>
void fill_kxk(RowSums& s) {
  s.kxk[K] = kxk<V, R, K>;
  if constexpr (K > 1) fill_kxk<V, R, K - 1>(s);
}

template <int V, int R, int J>
void fill_pointwise(RowSums& s) {
  s.pointwise[J] = pointwise<V, R, J>;
  if constexpr (J > 1) fill_pointwise<V, R, J - 1>(s);
}

template <int V, int R>
const RowSums* table() {
  static const RowSums sums = [] {
#ifdef __AVX512F__
    constexpr int Kxk = 8, Pointwise = 12;  // of 32 registers
#else
    constexpr int Kxk = 3, Pointwise = 5;  // of 16
#endif
    RowSums s = {Kxk, Pointwise};
    fill_kxk<V, R, Kxk>(s);
    fill_pointwise<V, R, Pointwise>(s);
    return s;
  }();
  return &sums;
}

}  // namespace

const RowSums* NAME(INSTRUCTIONS)(int lanes, int repeats) {
#if defined(__AVX512F__)
  if (lanes == 16 && repeats == 1) return table<16, 1>();
  if (lanes == 16 && repeats == 2) return table<16, 2>();
  if (lanes == 16 && repeats == 4) return table<16, 4>();
#elif defined(__AVX2__)
  if (lanes == 8 && repeats == 1) return table<8, 1>();
  if (lanes == 8 && repeats == 2) return table<8, 2>();
#endif
  return nullptr;
}

}  // namespace keras_ssc
