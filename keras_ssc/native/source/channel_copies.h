// Pixels copied with their channels in another arrangement. For the inner loops alone, as lanes.h.
#pragma once

#include <cassert>

#include "lanes.h"

namespace keras_ssc {
namespace {

#ifndef PAIRS
template <int V>
void wrap_channels(const ChannelWrap& a) {
  assert(a.pixels >= 0 && a.channels >= 1 && a.extra >= 0);
  typedef typename Lanes<V>::vec vec;
  const float* from = a.from;
  float* to = a.to;
  for (long i = 0; i < a.pixels; ++i, from += a.channels, to += a.channels + a.extra) {
    int c = 0;
    for (; c + V <= a.channels; c += V) *(vec*)(to + c) = *(const vec*)(from + c);
    for (; c < a.channels; ++c) to[c] = from[c];
    for (int k = 0; c < a.channels + a.extra; ++c, k = k + 1 < a.channels ? k + 1 : 0)
      to[c] = from[k];
  }
}

template <int V>
void in_order(const Reorder& a) {
  assert(a.pixels >= 0 && a.count >= 1 && a.to_pixel >= a.count && a.pieces);
  typedef typename Lanes<V>::vec vec;
  typedef typename Lanes<V>::ints ints;
  const int* piece = a.pieces;
  for (int first = 0; first < a.count; first += V) {
    const int windows = *piece++;
    const int live = a.count - first < V ? a.count - first : V;
    const float* from = a.from;
    float* to = a.to + first;
    for (long i = 0; i < a.pixels; ++i, from += a.from_pixel, to += a.to_pixel) {
      vec value = {};
      const int* window = piece;
      for (int w = 0; w < windows; ++w, window += V + 1)
        value = pick<V>(value, from + window[0], *(const ints*)(window + 1));
      if (live == V)
        *(vec*)to = value;
      else
        store_part<V>(to, value, live);
    }
    piece += windows * (V + 1);
  }
}

template <int V>
void unwrap_channels(const ChannelWrap& a) {
  assert(a.pixels >= 0 && a.channels >= 1 && a.extra >= 0);
  typedef typename Lanes<V>::vec vec;
  const float* from = a.from;
  float* to = a.to;
  for (long i = 0; i < a.pixels; ++i, from += a.channels + a.extra, to += a.channels) {
    int c = 0;
    for (; c + V <= a.channels; c += V) *(vec*)(to + c) = *(const vec*)(from + c);
    for (; c < a.channels; ++c) to[c] = from[c];
    for (int k = 0; c < a.channels + a.extra; ++c, k = k + 1 < a.channels ? k + 1 : 0)
      to[k] += from[c];
  }
}
#elif defined(__AVX512BF16__)
inline __mmask16 first_of_16(int count) {
  return count >= 16 ? (__mmask16)-1 : (__mmask16)((1u << (count > 0 ? count : 0)) - 1);
}

inline void store_pairs(float* to, __m512i pairs, int count) {
  if (count >= 16)
    _mm512_storeu_si512(to, pairs);
  else if (count == 8)
    _mm256_storeu_si256((__m256i*)to, _mm512_castsi512_si256(pairs));
  else
    _mm512_mask_storeu_epi32(to, first_of_16(count), pairs);
}

// Of a pixel that fits into two registers every pair is a permutation.
constexpr int kFewChannels = 64, kMostPairs = 16;

void pair_few_channels(const ChannelPairs& a, int pieces) {
  alignas(64) short half[32];
  for (int i = 0; i < 32; ++i) half[i] = (short)(i / 2);
  const __m512i places = _mm512_load_si512(half), channels = _mm512_set1_epi16((short)a.channels);
  const int all = a.channels + a.extra;
  __m512i order[kMostPairs];
  for (int d = 0; d < a.count; ++d)
    for (int k = 0; k < pieces; ++k) {
      const __m512i jump = _mm512_set1_epi32(a.distances[d] << 16);
      __m512i at = _mm512_add_epi16(_mm512_add_epi16(places, jump), _mm512_set1_epi16(16 * k));
      for (int i = 0; i < 3; ++i)  // the smaller one, without a sign: around the end
        at = _mm512_min_epu16(at, _mm512_sub_epi16(at, channels));
      order[d * pieces + k] = at;
    }
  __mmask16 live[4];
  for (int k = 0; k < 4; ++k) live[k] = first_of_16(a.channels - 16 * k);
  const float* from = a.from;
  float* to = a.to;
  for (long i = 0; i < a.pixels; ++i, from += a.channels) {
    const auto two = [&](int k) {
      return (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(live[k + 1], from + 16 * (k + 1)),
                                          _mm512_maskz_loadu_ps(live[k], from + 16 * k));
    };
    const __m512i low = two(0), high = a.channels > 32 ? two(2) : low;
    const __m512i* at = order;
    for (int d = 0; d < a.count; ++d)
      for (int left = all; left > 0; left -= 16) {
        const int count = left < 16 ? left : 16;
        store_pairs(to, _mm512_permutex2var_epi16(low, *at++, high), count);
        to += count;
      }
  }
}

// The `count` floats from channel `first` on, around the end of a pixel.
inline __m512 around(const float* pixel, int channels, int first, int count) {
  const __mmask16 live = first_of_16(count);
  const __mmask16 fit = first_of_16(channels - first) & live;
  const __m512 head = _mm512_maskz_loadu_ps(fit, pixel + first);
  return _mm512_mask_loadu_ps(head, (__mmask16)(live & ~fit), pixel + first - channels);
}

void pair_channels(const ChannelPairs& a) {
  assert(a.pixels >= 0 && a.channels >= 16 && a.extra >= 0 && a.count >= 1);
  const int all = a.channels + a.extra, pieces = (all + 15) / 16;
  if (a.channels <= kFewChannels && a.extra <= a.channels && pieces * a.count <= kMostPairs)
    return pair_few_channels(a, pieces);
  alignas(64) short order[32];
  for (int i = 0; i < 32; ++i) order[i] = (short)(i / 2 + i % 2 * 16);
  const __m512i in_turn = _mm512_load_si512(order);
  const long to_pixel = (long)a.count * all;
  for (int d = 0; d < a.count; ++d)
    for (int j = 0; j < all; j += 16) {
      const int first = j % a.channels, second = (j + a.distances[d]) % a.channels;
      const int count = all - j < 16 ? all - j : 16;
      const bool inside = count == 16 && (first > second ? first : second) + 16 <= a.channels;
      const float* from = a.from;
      float* to = a.to + (long)d * all + j;
      const auto put = [&](__m512 one, __m512 other) {
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(other, one);
        store_pairs(to, _mm512_permutexvar_epi16(in_turn, both), count);
      };
      if (inside)
        for (long i = 0; i < a.pixels; ++i, from += a.channels, to += to_pixel)
          put(_mm512_loadu_ps(from + first), _mm512_loadu_ps(from + second));
      else
        for (long i = 0; i < a.pixels; ++i, from += a.channels, to += to_pixel)
          put(around(from, a.channels, first, count), around(from, a.channels, second, count));
    }
}
#endif

}  // namespace
}  // namespace keras_ssc
