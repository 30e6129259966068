// Where the sums of the gradient by weights lie while they grow: rows of whole vectors.
#pragma once

#include "buffer.h"
#include "vectors.h"

namespace keras_ssc {

struct Layout {
  const Pattern& pattern;
  const Microkernels* micro;
  std::vector<Vector> vectors;
  std::vector<int> places, columns;      // of each vector: in dy, and in its row of sums
  std::vector<std::vector<int>> groups;  // vectors of one matrix that share their x
  std::vector<int> starts, pitches;      // of each matrix: first sum, sums from row to row
  std::vector<int> order;                // which channel of dy comes where; empty: as they are
  int floats;                            // sums in all
  int again;    // channels of x that are read beyond its last: the first ones again
  bool wraps;   // whether those count, or are in dead lanes only
  bool beyond;  // whether a vector of dy reaches beyond its pixel

  explicit Layout(const Problem&);
};

// The sums of each slice, zero at first; they are then added in their order.
class WeightSums {
 public:
  WeightSums(const Layout&, int slices);
  float* of(int slice) const;  // to be called by who fills them
  void add_up(const std::vector<float*>& gradients) const;

 private:
  const Layout& layout_;
  const int slices_;
  const long pitch_;
  Buffer sums_;
};

}  // namespace keras_ssc
