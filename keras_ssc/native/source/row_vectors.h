// Vectors of V floats, and R sets of V / R filters that share one: the V / R channels that they
// read are loaded once and repeated R times.
//
// For files that are compiled once for every instruction set: all names are local to the file.
#pragma once

#include <cassert>

#include "row_kernels.h"

#ifdef __x86_64__
#include <immintrin.h>
// Keep a loaded value in a register: GCC would load it again for every multiply-add.
#define HOLD(value) __asm__("" : "+v"(value))
// Nothing done with `value` begins before what has been stored so far: GCC would begin with it for
// many values, more than there are registers.
#define IN_TURN(value) __asm__ volatile("" : "+v"(value) : : "memory")
#else
#define HOLD(value)
#define IN_TURN(value)
#endif

#define UNROLL _Pragma("GCC unroll 32")
#define INLINE inline __attribute__((always_inline))

namespace keras_ssc {
namespace {

template <int V>
struct Lanes {
  typedef float vec __attribute__((vector_size(4 * V), aligned(4)));
};

template <int V>
using vec_of = typename Lanes<V>::vec;

template <int V>
INLINE vec_of<V> load(const float* from) {
  return *(const vec_of<V>*)from;
}

template <int V>
INLINE void store(float* to, vec_of<V> value) {
  *(vec_of<V>*)to = value;
}

// V / R floats, R times.
template <int V, int R>
INLINE vec_of<V> spread(const float* from) {
  if constexpr (R == 1) {
    vec_of<V> value = load<V>(from);
    HOLD(value);
    return value;
  }
#ifdef __AVX512DQ__
  else if constexpr (V == 16 && R == 2)
    return (vec_of<V>)_mm512_broadcast_f32x8(_mm256_loadu_ps(from));
  else if constexpr (V == 16 && R == 4)
    return (vec_of<V>)_mm512_broadcast_f32x4(_mm_loadu_ps(from));
#endif
#ifdef __AVX2__
  else
    return (vec_of<V>)_mm256_broadcast_ps((const __m128*)from);
#endif
}

// The sums of lanes i, i + V / R, ...: V / R floats.
template <int V, int R>
INLINE vec_of<V / R> fold(vec_of<V> value) {
  if constexpr (R == 1) return value;
#ifdef __AVX512DQ__
  else if constexpr (V == 16)
    return fold<8, R / 2>((vec_of<8>)(_mm512_castps512_ps256((__m512)value) +
                                      _mm512_extractf32x8_ps((__m512)value, 1)));
#endif
#ifdef __AVX2__
  else
    return (vec_of<4>)(_mm256_castps256_ps128((__m256)value) +
                       _mm256_extractf128_ps((__m256)value, 1));
#endif
}

constexpr int kLine = 16;  // floats of a cache line

INLINE void fetch_line(Ahead& a) {
  if (a.source < a.source_end) {
    __builtin_prefetch(a.source, 0);
    a.source += kLine;
  }
  if (a.destination < a.destination_end) {
    __builtin_prefetch(a.destination, 1);
    a.destination += kLine;
    if (a.residual) {
      __builtin_prefetch(a.residual, 0);
      a.residual += kLine;
    }
  }
}

}  // namespace
}  // namespace keras_ssc
