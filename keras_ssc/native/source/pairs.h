// Products of bfloat16: two terms of a sum at a time, for CPUs that multiply pairs of them.
//
// A pixel is copied as pairs (bfloat16 of channel j, bfloat16 of channel j + d), 32 bits each, as
// many as it had floats. Two terms whose channels are d apart, around the end of the pixel too, are
// then one step, which reads the pairs from where the first of them would have read floats.
#pragma once

#include <cstdint>
#include <cstring>

#include "convolution.h"

namespace keras_ssc {

// Two kernels of a list, and which distance they are apart. Where `second` is -1 there is only the
// first one: its neighbour, another of the list or itself, has the weight zero.
struct Pair {
  int first, second, distance;
};

struct Pairs {
  std::vector<int> distances;  // empty: sums stay as they are
  std::vector<Pair> kxk, pointwise;
};

// The pairs of a problem's kernels; none where it doesn't ask for them or they would not pay.
Pairs pairs_of(const Problem&);

// To the nearest, of two the even one.
inline std::uint32_t bfloat16_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// Bits, not a number: two weights in the place of one.
inline float pair_of(float first, float second) {
  const std::uint32_t bits = bfloat16_of(first) | bfloat16_of(second) << 16;
  float pair;
  std::memcpy(&pair, &bits, sizeof pair);
  return pair;
}

}  // namespace keras_ssc
