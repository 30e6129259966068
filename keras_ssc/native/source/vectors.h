// Filters, or channels, cut into vectors of V lanes, and how a vector's source is loaded.
#pragma once

#include <vector>

#include "convolution.h"

namespace keras_ssc {

// How the lanes of a vector are loaded from `base` on: lane l is float `index[l]`.
struct Access {
  Load load;
  std::vector<int> index;  // of each lane; empty unless `load` is kPermuted
  int span;                // floats that are read
  int last;                // the last of them that is in a lane asked for

  bool operator<(const Access& other) const {
    return load != other.load ? load < other.load : index < other.index;
  }
};

// The cheapest way to load lanes of which the first, as many as `index` has, are these floats.
Access access_of(const std::vector<int>& index, int lanes);

// Consecutive filters of one matrix, as many as share one load: the filter of lane l has the
// shift `shift + index of lane l`.
struct Vector {
  int matrix, column, live;
  int shift;
  Access access;
};

std::vector<Vector> vectors_of(const Pattern&, int lanes);

// How many of the numbers from `first` on go into one vector, because they stay within as many
// consecutive floats as it has lanes; rather fewer where the next vector then begins alike.
int fitting(const std::vector<int>& numbers, int first, int lanes);

// The microkernels, of at most `widest` floats, that take the fewest steps for a vector each for
// `count(lanes)` vectors.
const Microkernels* cheapest(int widest, const std::function<int(int lanes)>& count,
                             const Microkernels* (*of)(int lanes) = microkernels_for);

// Cuts `count` into parts of at most `most`, as equal as can be: the sizes.
std::vector<int> even_parts(int count, int most);

// The same for rows of outer products, of which not every number has a loop: the next size of what
// is left, and all of them.
inline int next_rows(int left, int most) {
  const int parts = (left + most - 1) / most, size = (left + parts - 1) / parts;
  if (is_size(size)) return size;
  return left > size && size < most ? size + 1 : size - 1;
}
std::vector<int> row_parts(int count, int most);

}  // namespace keras_ssc
