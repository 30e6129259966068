// What is multiplied with what: the pattern, written out for vectors of V filters.
#pragma once

#include <cstddef>

#include "convolution.h"

namespace keras_ssc {

// V consecutive filters of one matrix, with consecutive shifts.
struct Vector {
  int matrix, column, filter, shift;
};

// One step of a sum: the source vector at a tap and a channel.
struct Term {
  int tap_row, tap_column, channel;
};

// A few output vectors that are sums over the same terms.
struct Block {
  int terms;               // which list of terms
  int vectors;             // at most kMaxVectors
  int out[kMaxVectors];    // channel of each output vector
  bool add;                // to what earlier blocks have left there
  std::size_t packed;      // where its weights begin: (terms, vectors, lanes)
};

struct Plan {
  std::vector<std::vector<Term>> terms;
  std::vector<Block> blocks;
  std::vector<std::array<int, 2>> sources;  // (matrix, offset) of each packed vector, in order
  std::size_t packed_floats;
  int stored;  // channels that blocks store to, before others add; the rest must begin at zero
};

std::vector<Vector> vectors_of(const Pattern&, int lanes);
// Cuts `count` into parts of at most `most`, as equal as can be: the sizes.
std::vector<int> even_parts(int count, int most);

Plan forward_plan(const Pattern&, int lanes);
Plan input_gradient_plan(const Pattern&, int lanes);
void pack(const Plan&, int lanes, const std::vector<const float*>& weights, float* packed);

}  // namespace keras_ssc
