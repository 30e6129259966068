// Compiled as microkernels.cc is, for pairs the forward pass alone. No standard library here: an
// inline function of it, compiled for AVX-512, could be linked into code for all
// CPUs.
#include "row_kernels.h"

#include "multiply_add.h"
#include "row_gradient_kernels.h"
#include "row_vectors.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(row_kernels_, instructions)

namespace keras_ssc {
#if !defined(PAIRS) || defined(__AVX512BF16__)
namespace {

// One row of taps: `outer` filters have its columns 0 and 2, `inner` ones column 1.
template <int V, int R, int F, int P>
INLINE const float* taps(const RowForward& a, const float* x, const float* w,
                         vec_of<V> (&outer)[F][P], vec_of<V> (&inner)[F][P], Ahead& ahead) {
  for (int k = 0; k < a.kxk; ++k, w += 3 * F * V) {
    fetch_line(ahead);
    const float* at = x + a.channels[k];
    vec_of<V> weights[3][F];
    UNROLL for (int column = 0; column < 3; ++column) UNROLL for (int f = 0; f < F; ++f) {
      weights[column][f] = load<V>(w + (column * F + f) * V);
      HOLD(weights[column][f]);
    }
    UNROLL for (int c = 0; c < P + 2; ++c, at += a.pixel) {
      const vec_of<V> value = spread<V, R>(at);
      if (c < P)
        UNROLL for (int f = 0; f < F; ++f) outer[f][c] =
            multiply_add(outer[f][c], value, weights[0][f]);
      if (c >= 1 && c <= P)
        UNROLL for (int f = 0; f < F; ++f) inner[f][c - 1] =
            multiply_add(inner[f][c - 1], value, weights[1][f]);
      if (c >= 2)
        UNROLL for (int f = 0; f < F; ++f) outer[f][c - 2] =
            multiply_add(outer[f][c - 2], value, weights[2][f]);
    }
  }
  return w;
}

template <int V, int F, int P>
INLINE void finish(const RowForward& a, vec_of<V> (&sums)[F][P], long at) {
  const vec_of<V> ceiling = vec_of<V>{} + a.ceiling;
  UNROLL for (int f = 0; f < F; ++f) UNROLL for (int p = 0; p < P; ++p) {
    const long place = at + f * a.vector + p * a.channels_out;
    vec_of<V> value = sums[f][p];
    if (a.residual) value += load<V>(a.residual + place);
    if (a.relu) {
      value = value < 0 ? vec_of<V>{} : value;
      value = value > ceiling ? ceiling : value;
    }
    store<V>(a.y + place, value);
  }
}

template <int V, int R, int F, int P>
void forward(const RowForward& a, Ahead& kept) {
  assert(a.kxk >= 0 && a.pointwise >= 0 && a.strips >= 0);
  assert(a.y && a.weights && a.channels);
  Ahead ahead = kept;
  for (int strip = 0; strip < a.strips; ++strip) {
    const long first = (long)strip * P;
    vec_of<V> even[F][P], odd[F][P];
    UNROLL for (int f = 0; f < F; ++f) UNROLL for (int p = 0; p < P; ++p) {
      even[f][p] = a.bias ? load<V>(a.bias + f * a.vector) : vec_of<V>{};
      odd[f][p] = a.bias ? load<V>(a.bias + a.half + f * a.vector) : vec_of<V>{};
    }
    const float* w = a.weights;
    const long row_weights = (long)a.kxk * 3 * F * V, at = first * a.pixel;
    if (a.rows[0]) taps<V, R, F, P>(a, a.rows[0] + at, w, even, odd, ahead);
    w += row_weights;
    if (a.rows[1]) taps<V, R, F, P>(a, a.rows[1] + at, w, odd, even, ahead);
    w += row_weights;
    if (a.rows[2]) taps<V, R, F, P>(a, a.rows[2] + at, w, even, odd, ahead);
    w += row_weights;
    const int* channels = a.channels + a.kxk;
    for (int j = 0; j < a.pointwise; ++j, w += 2 * F * V) {
      fetch_line(ahead);
      const float* x = a.rows[1] + at + a.pixel + channels[j];
      vec_of<V> weights[2][F];
      UNROLL for (int parity = 0; parity < 2; ++parity) UNROLL for (int f = 0; f < F; ++f) {
        weights[parity][f] = load<V>(w + (parity * F + f) * V);
        HOLD(weights[parity][f]);
      }
      UNROLL for (int p = 0; p < P; ++p, x += a.pixel) {
        const vec_of<V> value = spread<V, R>(x);
        UNROLL for (int f = 0; f < F; ++f) {
          even[f][p] = multiply_add(even[f][p], value, weights[0][f]);
          odd[f][p] = multiply_add(odd[f][p], value, weights[1][f]);
        }
      }
    }
    finish<V, F, P>(a, even, first * a.channels_out);
    finish<V, F, P>(a, odd, first * a.channels_out + a.half);
  }
  kept = ahead;
}

void copy(const float* from, float* to, int pixels, int channels, int pitch, int again) {
  assert(channels % 8 == 0 && again % 8 == 0 && again <= channels && channels + again <= pitch);
  for (int i = 0; i < pixels; ++i, from += channels, to += pitch) {
    for (int c = 0; c < channels; c += 8) store<8>(to + c, load<8>(from + c));
    for (int c = 0; c < again; c += 8) store<8>(to + channels + c, load<8>(from + c));
  }
}

// P from half of the most to the most: what equal parts of a row of 8 pixels or more come to.
template <int V, int R, int F, int P, int Least>
void fill_forward(RowKernels& k) {
  if constexpr (P >= Least) {
    k.forward[F][P] = forward<V, R, F, P>;
    fill_forward<V, R, F, P - 1, Least>(k);
  }
}

#ifndef PAIRS
template <int V, int R, int F, int P, int Least, int J>
void fill_gradient(RowKernels& k) {
  if constexpr (P >= Least) {
    k.gradient[F][P] = gradient<V, R, F, P, J>;
    fill_gradient<V, R, F, P - 1, Least, J>(k);
  }
}

#endif

template <int V, int R, int F, int Forward, int Gradient, int J>
void fill(RowKernels& k) {
  k.forward_pixels[F] = Forward;
  fill_forward<V, R, F, Forward, (Forward + 1) / 2>(k);
#ifndef PAIRS
  k.gradient_pixels[F] = Gradient;
  k.gradient_pointwise[F] = J;
  fill_gradient<V, R, F, Gradient, (Gradient + 1) / 2, J>(k);
#endif
}

template <int V, int R>
const RowKernels* table() {
  static const RowKernels kernels = [] {
    RowKernels k = {};
    k.lanes = V;
    k.repeats = R;
    k.copy = copy;
#ifdef __AVX512F__
    fill<V, R, 1, 8, 8, 3>(k);
    fill<V, R, 2, 4, 8, 3>(k);
#else
    fill<V, R, 1, 4, 8, 1>(k);
    fill<V, R, 2, 2, 5, 2>(k);
#endif
    return k;
  }();
  return &kernels;
}

}  // namespace

const RowKernels* NAME(INSTRUCTIONS)(int lanes, int repeats) {
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
#else
const RowKernels* NAME(INSTRUCTIONS)(int, int) { return nullptr; }
#endif

}  // namespace keras_ssc
