// What a pass reads and writes next is fetched for the second cache while it computes: a few lines
// at every step, since a pass that asks for many at once, or for each when it needs it, waits.
#pragma once

#include <algorithm>

namespace keras_ssc {

constexpr int kLine = 16;  // floats of a cache line
// Arrays that are smaller together, in floats, are in the second cache anyway.
constexpr long kFetchFrom = 128 * 1024;

// The lines of `floats` floats, shared out to the steps of several loops.
class Fetch {
 public:
  Fetch(const float* from, long floats, long steps)
      : at_(from),
        left_((floats + kLine - 1) / kLine),
        each_(steps ? (int)((left_ + steps - 1) / steps) : 0) {}
  // For the next loop, of so many steps: where to begin, and how many lines at each of them.
  const float* begin(long steps, int* lines) {
    const float* from = at_;
    *lines = left_ > 0 ? each_ : 0;
    left_ -= steps * *lines;
    at_ += steps * *lines * kLine;
    return from;
  }

 private:
  const float* at_;
  long left_;
  const int each_;
};

// The part of an array that comes `after` that many floats: at most `floats`, of `all`.
inline long floats_left(long after, long floats, long all) {
  return std::max(0L, std::min(floats, all - after));
}

}  // namespace keras_ssc
