// What is multiplied with what: the pattern, written out for vectors of V lanes, with its weights.
#pragma once

#include <cstring>

#include "buffer.h"
#include "vectors.h"

namespace keras_ssc {

// One step of a sum: where its source lies, as a tap and a place within the pixel.
struct Term {
  int tap_row, tap_column, place;
};

// A few output vectors that are sums over the same terms.
struct Block {
  int terms;              // which list of terms
  int access;             // how their source is loaded, or how they fold: of `Plan::accesses`
  int vectors;            // at most kMaxVectors
  int out[kMaxVectors];   // channel of each output vector
  int live[kMaxVectors];  // lanes of each that are stored
  bool add;               // to what earlier blocks have left there
  bool folded;            // lanes are filters: each is added to its channel
  std::size_t packed;     // where its weights begin: (terms, vectors, lanes)
  const float* in_place;  // or where they lie in their matrix, row by row; null: packed
  long row;               // floats from one row of them to the next
  long start;             // what is added to every pixel, (vectors, lanes); -1: nothing
  long scale;             // what the sums are multiplied with before, alike; -1: nothing
};

struct Plan {
  const Microkernels* micro;
  std::vector<Access> accesses;
  std::vector<std::vector<Term>> terms;
  std::vector<Block> blocks;
  // The source as it is copied: which channel is at each place of a pixel, -1: a zero. Empty: the
  // channels as they are, then the first `again` of them once more.
  std::vector<int> source;
  int again;
  std::vector<int> distances;  // not empty: of pairs in the place of floats (pairs.h)
  bool wraps;  // whether the channels read once more count; else they are in lanes not stored
  // Which channel of the destination each place of the blocks' output is; empty: the channels as
  // they are.
  std::vector<int> destination;
  // Whether lanes are folded: the blocks then write to `beyond` channels more, which belong to the
  // first ones, and all from `stored` on must begin at zero.
  bool folded;
  int beyond, stored;
  std::size_t floats;  // that `packed` holds
  Buffer packed{0};

  int reads() const;  // floats of a source pixel that a load may touch

  // Appends blocks of output vectors that share the newest list of terms and the newest access;
  // `starts`: whether something is added to every pixel; `scales`: and multiplied.
  struct Output {
    int channel, live;
  };
  void add_blocks(const std::vector<Output>&, bool add, bool folded, bool starts,
                  bool scales = false);
};

// The channels as they are: nothing to put into an order.
bool as_they_are(const std::vector<int>& order, int channels);

// Copies `live` floats and writes zeros behind them; returns where the next vector begins.
inline float* put(float* to, const float* from, int live, int lanes) {
  if (live == 16 && lanes == 16)  // of a length that the compiler knows
    std::memcpy(to, from, 16 * sizeof(float));
  else if (live == 8 && lanes == 8)
    std::memcpy(to, from, 8 * sizeof(float));
  else
    for (int l = 0; l < lanes; ++l) to[l] = l < live ? from[l] : 0.f;
  return to + lanes;
}

Plan forward_plan(const Problem&, const std::vector<const float*>& weights, const Epilogue&);
// In input_gradient_plan.cc.
Plan input_gradient_plan(const Problem&, const std::vector<const float*>& weights);

}  // namespace keras_ssc
