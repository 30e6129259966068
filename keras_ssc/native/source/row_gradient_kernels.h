// The inner loops of the gradient by input, part of row_kernels.cc.
#pragma once

#include "row_vectors.h"

namespace keras_ssc {
namespace {

// Sets of one parity and one row of taps. Lanes are channels of dx here: channel m reads filter
// m mod q of every set.
template <int V, int R, int F, int P, bool Outer>
INLINE const float* taps_back(const RowGradient& a, const float* dy, const float* w,
                              vec_of<V> (&sums)[F][P], Ahead& ahead) {
  constexpr int Columns = Outer ? 2 : 1;
  for (int j = 0; j < a.sets; ++j, dy += a.set, w += Columns * F * V) {
    fetch_line(ahead);
    vec_of<V> weights[Columns][F];
    UNROLL for (int column = 0; column < Columns; ++column) UNROLL for (int f = 0; f < F; ++f) {
      weights[column][f] = load<V>(w + (column * F + f) * V);
      HOLD(weights[column][f]);
    }
    const float* at = Outer ? dy : dy + a.pixel;
    UNROLL for (int c = 0; c < (Outer ? P + 2 : P); ++c, at += a.pixel) {
      const vec_of<V> value = spread<V, R>(at);
      if constexpr (Outer) {
        if (c < P) UNROLL for (int f = 0; f < F; ++f) sums[f][c] += value * weights[1][f];
        if (c >= 2) UNROLL for (int f = 0; f < F; ++f) sums[f][c - 2] += value * weights[0][f];
      } else {
        UNROLL for (int f = 0; f < F; ++f) sums[f][c] += value * weights[0][f];
      }
    }
  }
  return w;
}

template <int V, int R, int P, int J, bool Add>
INLINE void leave(const RowGradient& a, float* buffer, const int* places, vec_of<V> (&sums)[J][P]) {
  UNROLL for (int j = 0; j < J; ++j) UNROLL for (int p = 0; p < P; ++p) {
    if constexpr (R > 1) IN_TURN(sums[j][p]);
    float* to = buffer + places[j] + p * a.layer_pixel;
    const auto sum = fold<V, R>(sums[j][p]);
    store<V / R>(to, Add ? load<V / R>(to) + sum : sum);
  }
}

// Some 1x1 kernels, over all filters of one shift, to their places in the buffer.
template <int V, int R, int P, int J>
INLINE const float* pointwise_back(const RowGradient& a, const float* dy, const int* places,
                                   float* buffer, const float* w, Ahead& ahead) {
  vec_of<V> sums[J][P];
  UNROLL for (int j = 0; j < J; ++j) UNROLL for (int p = 0; p < P; ++p) sums[j][p] = vec_of<V>{};
  for (int n = 0; n < 2 * a.half; n += a.vector, w += J * V) {
    fetch_line(ahead);
    vec_of<V> weights[J];
    UNROLL for (int j = 0; j < J; ++j) {
      weights[j] = load<V>(w + j * V);
      HOLD(weights[j]);
    }
    const float* at = dy + n;
    UNROLL for (int p = 0; p < P; ++p, at += a.pixel) {
      vec_of<V> value = load<V>(at);
      HOLD(value);
      UNROLL for (int j = 0; j < J; ++j) sums[j][p] += value * weights[j];
    }
  }
  if (a.overlap)
    leave<V, R, P, J, true>(a, buffer, places, sums);
  else
    leave<V, R, P, J, false>(a, buffer, places, sums);
  return w;
}

template <int V, int R, int P, int J>
INLINE const float* pointwise_part(const RowGradient& a, int size, const float* dy,
                                   const int* places, float* buffer, const float* w, Ahead& ahead) {
  if constexpr (J > 1)
    if (size < J) return pointwise_part<V, R, P, J - 1>(a, size, dy, places, buffer, w, ahead);
  return pointwise_back<V, R, P, J>(a, dy, places, buffer, w, ahead);
}

// Adds what the 1x1 kernels have left for a vector of channels of P pixels.
template <int V, int P>
INLINE void add_layer(const RowGradient& a, float* from, vec_of<V> (&sums)[P]) {
  UNROLL for (int p = 0; p < P; ++p) {
    sums[p] += load<V>(from + p * a.layer_pixel);
    if (a.overlap) store<V>(from + p * a.layer_pixel, vec_of<V>{});
  }
}

template <int V, int R, int F, int P, int J>
void gradient(const RowGradient& a, Ahead& kept) {
  assert(a.sets >= 0 && a.shifts >= 1 && a.blocks >= 1 && a.pointwise >= 0 && a.strips >= 0);
  assert(a.dx && a.weights);
  Ahead ahead = kept;
  for (int strip = 0; strip < a.strips; ++strip) {
    const long first = (long)strip * P, at = first * a.pixel;
    const float* w = a.weights;
    if (!a.rows[1]) w += 2L * a.half * a.pointwise;
    const long layer = (long)kMostPixels * a.layer_pixel;
    // Zeros that have just been stored would have to be waited for: two buffers take turns.
    float* buffer = a.buffer + (a.overlap ? strip % 2 * layer : 0);
    for (int s = 0; a.rows[1] && s < a.shifts; ++s) {
      const float* dy = a.rows[1] + at + a.pixel + s * V;
      const int* places = a.places + s * a.pointwise;
      for (int parts = (a.pointwise + J - 1) / J, left = a.pointwise; parts; --parts) {
        const int size = (left + parts - 1) / parts;
        w = pointwise_part<V, R, P, J>(a, size, dy, places, buffer, w, ahead);
        places += size;
        left -= size;
      }
    }
    const int layers = a.rows[1] ? a.layers : 0;
    for (int s = 0; s < a.shifts; ++s)
      for (int block = 0; block < a.blocks; ++block) {
        vec_of<V> sums[F][P];
        UNROLL for (int f = 0; f < F; ++f) UNROLL for (int p = 0; p < P; ++p) sums[f][p] =
            vec_of<V>{};
        UNROLL for (int row = 0; row < 3; ++row) {
          if (!a.rows[row]) {
            w += (long)a.sets * 3 * F * V;
            continue;
          }
          const float* dy = a.rows[row] + at + s * V;
          if (row == 1) {
            w = taps_back<V, R, F, P, false>(a, dy, w, sums, ahead);
            w = taps_back<V, R, F, P, true>(a, dy + a.half, w, sums, ahead);
          } else {
            w = taps_back<V, R, F, P, true>(a, dy, w, sums, ahead);
            w = taps_back<V, R, F, P, false>(a, dy + a.half, w, sums, ahead);
          }
        }
        const int channel = s * V + block * F * a.vector;
        float* from = buffer + channel;
        for (int i = 0; i < layers; ++i, from += layer) {
          UNROLL for (int f = 0; f < F; ++f) add_layer<V, P>(a, from + f * a.vector, sums[f]);
          if (channel == 0) add_layer<V, P>(a, from + a.channels, sums[0]);
        }
        float* to = a.dx + first * a.channels + channel;
        UNROLL for (int f = 0; f < F; ++f) UNROLL for (int p = 0; p < P; ++p)
            store<V>(to + f * a.vector + p * a.channels, sums[f][p]);
      }
  }
  kept = ahead;
}

}  // namespace
}  // namespace keras_ssc
