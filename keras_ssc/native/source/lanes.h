// Vectors of V floats: loads that repeat a few floats or put them into an order, and loads and
// stores of the first lanes only. For the inner loops alone: what is in here depends on the
// instruction set that is compiled for.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "microkernels.h"

namespace keras_ssc {
namespace {

template <int V>
struct Lanes {
  typedef float vec __attribute__((vector_size(4 * V), aligned(4)));
  typedef int ints __attribute__((vector_size(4 * V), aligned(4)));
};

// The lanes of x for one step of a sum.
template <int V, Load L>
struct Loader {
  typedef typename Lanes<V>::vec vec;
  explicit Loader(const int*) {}
  vec operator()(const float* x) const {
    if constexpr (L == kRow) {
      return *(const vec*)x;
#if defined(__AVX512F__)
    } else if constexpr (V == 16 && L == kOne) {
      return (vec)_mm512_set1_ps(*x);
    } else if constexpr (V == 16 && L == kTwo) {
      return (vec)_mm512_castpd_ps(_mm512_set1_pd(*(const unaligned_double*)x));
    } else if constexpr (V == 16 && L == kFour) {
      return (vec)_mm512_broadcast_f32x4(_mm_loadu_ps(x));
    } else if constexpr (V == 16 && L == kEight) {
      return (vec)_mm512_broadcast_f32x8(_mm256_loadu_ps(x));
#endif
#if defined(__AVX2__)
    } else if constexpr (V == 8 && L == kOne) {
      return (vec)_mm256_set1_ps(*x);
    } else if constexpr (V == 8 && L == kTwo) {
      return (vec)_mm256_castpd_ps(_mm256_set1_pd(*(const unaligned_double*)x));
    } else if constexpr (V == 8 && L == kFour) {
      return (vec)_mm256_broadcast_ps((const __m128*)x);
#endif
    } else {
      constexpr int count = 1 << L;
      vec all;
#pragma GCC unroll 16
      for (int l = 0; l < V; ++l) all[l] = x[l % count];
      return all;
    }
  }

 private:
  typedef double unaligned_double __attribute__((aligned(4), may_alias));
};

template <int V>
struct Loader<V, kPermuted> {
  typedef typename Lanes<V>::vec vec;
  typedef typename Lanes<V>::ints ints;
  const ints index;
  explicit Loader(const int* lanes) : index(*(const ints*)lanes) {}
  vec operator()(const float* x) const {
#if defined(__AVX512F__)
    if constexpr (V == 16) return (vec)_mm512_permutexvar_ps((__m512i)index, _mm512_loadu_ps(x));
#endif
#if defined(__AVX2__)
    if constexpr (V == 8) return (vec)_mm256_permutevar8x32_ps(_mm256_loadu_ps(x), (__m256i)index);
#endif
    vec all;
#pragma GCC unroll 16
    for (int l = 0; l < V; ++l) all[l] = x[index[l]];
    return all;
  }
};

#if defined(__AVX2__)
inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

// The first `count` lanes, and zeros.
template <int V>
typename Lanes<V>::vec load_part(const float* from, int count) {
  typedef typename Lanes<V>::vec vec;
#if defined(__AVX512F__)
  if constexpr (V == 16) return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#endif
#if defined(__AVX2__)
  if constexpr (V == 8) return (vec)_mm256_maskload_ps(from, first_lanes(count));
#endif
  vec all = {};
  for (int l = 0; l < count; ++l) all[l] = from[l];
  return all;
}

template <int V>
void store_part(float* to, typename Lanes<V>::vec value, int count) {
#if defined(__AVX512F__)
  if constexpr (V == 16)
    return _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
#endif
#if defined(__AVX2__)
  if constexpr (V == 8) return _mm256_maskstore_ps(to, first_lanes(count), (__m256)value);
#endif
  for (int l = 0; l < count; ++l) to[l] = value[l];
}

// `value`, but from[index[l]] in every lane l whose index is not negative.
template <int V>
typename Lanes<V>::vec pick(typename Lanes<V>::vec value, const float* from,
                            typename Lanes<V>::ints index) {
#if defined(__AVX512F__)
  const __mmask16 mask = _mm512_cmpge_epi32_mask((__m512i)index, _mm512_setzero_si512());
  return (typename Lanes<V>::vec)_mm512_mask_permutexvar_ps((__m512)value, mask, (__m512i)index,
                                                            _mm512_loadu_ps(from));
#elif defined(__AVX2__)
  const __m256 picked = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), (__m256i)index);
  return (typename Lanes<V>::vec)_mm256_blendv_ps(picked, (__m256)value,
                                                  _mm256_castsi256_ps((__m256i)index));
#else
  for (int l = 0; l < V; ++l)
    if (index[l] >= 0) value[l] = from[index[l]];
  return value;
#endif
}

// to[l % places] += value[l], where `places` is a power of two below V.
template <int V>
void add_folded(float* to, typename Lanes<V>::vec value, int places) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)value),
                                     _mm512_extractf32x8_ps((__m512)value, 1));
#else
  const __m256 eight = (__m256)value;
#endif
  if (places == 8) {
    _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), eight));
    return;
  }
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  if (places == 4) {
    _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), four));
    return;
  }
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  if (places == 2) {
    to[0] += two[0];
    to[1] += two[1];
  } else {
    to[0] += two[0] + two[1];
  }
#else
  for (int place = 0; place < places; ++place) {
    float sum = 0;
    for (int l = place; l < V; l += places) sum += value[l];
    to[place] += sum;
  }
#endif
}

}  // namespace
}  // namespace keras_ssc
