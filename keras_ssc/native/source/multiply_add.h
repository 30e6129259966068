// sum + value * weight, lane by lane; with PAIRS every lane holds two bfloat16, whose two products
// are added. For files that are compiled once for every instruction set.
#pragma once

#ifdef PAIRS
#include <immintrin.h>
#endif

namespace keras_ssc {
namespace {

// By value: a reference would forget that vectors need not lie on the grid of their size.
template <typename vec>
inline __attribute__((always_inline)) vec multiply_add(vec sum, vec value, vec weight) {
#ifdef PAIRS
  if constexpr (sizeof(vec) == 64)
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)value, (__m512bh)weight);
  else
    return (vec)_mm256_dpbf16_ps((__m256)sum, (__m256bh)value, (__m256bh)weight);
#else
  return sum + value * weight;
#endif
}

}  // namespace
}  // namespace keras_ssc
