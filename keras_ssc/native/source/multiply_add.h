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
  if constexpr (sizeof(vec) == 64)
    sum = (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)value, (__m512bh)weight);
  else
    sum = (vec)_mm256_dpbf16_ps((__m256)sum, (__m256bh)value, (__m256bh)weight);
#else
  sum += value * weight;
#endif
}

}  // namespace
}  // namespace keras_ssc
