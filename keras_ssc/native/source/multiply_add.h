// sum += value * weight, lane by lane; with PAIRS every lane holds two bfloat16, whose two products
// are added. For files that are compiled once for every instruction set.
#pragma once

#ifdef PAIRS
#include <immintrin.h>
#endif

namespace keras_ssc {
namespace {

template <typename vec>
inline __attribute__((always_inline)) void multiply_add(vec& sum, vec value, vec weight) {
#ifdef PAIRS
  // On the grid of their size: `vec` need not be, where it is in memory.
  typedef float whole __attribute__((vector_size(sizeof(vec))));
  const whole so_far = sum, pairs = value, weights = weight;
  if constexpr (sizeof(vec) == 64)
    sum = (vec)_mm512_dpbf16_ps((__m512)so_far, (__m512bh)pairs, (__m512bh)weights);
  else
    sum = (vec)_mm256_dpbf16_ps((__m256)so_far, (__m256bh)pairs, (__m256bh)weights);
#else
  sum += value * weight;
#endif
}

}  // namespace
}  // namespace keras_ssc
