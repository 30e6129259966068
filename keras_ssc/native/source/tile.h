// Geometry of an axis, and images copied into a cache-sized buffer with room around them.
#pragma once

#include <climits>
#include <vector>

#include "buffer.h"
#include "convolution.h"

namespace keras_ssc {

constexpr int kDead = INT_MIN;  // a tap that reads nothing

// Where the taps of one destination pixel lie on an axis: at base + relative[tap] of the source.
struct Reach {
  int base;
  std::vector<int> relative;
};

// Of output pixel `o`, in the input; taps outside are dead where `inside` is asked for.
inline Reach forward_reach(const Axis& a, int kernel, int o, bool inside) {
  Reach reach = {o * a.stride - a.pad, std::vector<int>(kernel)};
  for (int t = 0; t < kernel; ++t) {
    const int at = reach.base + t * a.dilation;
    reach.relative[t] = inside && (at < 0 || at >= a.in) ? kDead : t * a.dilation;
  }
  return reach;
}

// Of input pixel `i`, in the output: the pixels o with o * stride - pad + t * dilation = i.
inline Reach backward_reach(const Axis& a, int kernel, int i, bool inside) {
  const int phase = (i + a.pad) % a.stride;
  Reach reach = {(i + a.pad) / a.stride, std::vector<int>(kernel)};
  for (int t = 0; t < kernel; ++t) {
    const int distance = phase - t * a.dilation;
    const int relative = distance / a.stride, at = reach.base + relative;
    const bool dead = distance % a.stride != 0 || (inside && (at < 0 || at >= a.out));
    reach.relative[t] = dead ? kDead : relative;
  }
  return reach;
}

// Which channel comes at each place of a copied pixel, -1: a zero; empty: as they are.
struct Order {
  std::vector<int> channels;
  std::vector<int> pieces;  // as in Reorder

  // Of pixels of `all` channels, for these microkernels.
  Order(const std::vector<int>& channels, int all, const Microkernels&);
  Order() = default;
};

// Some rows of some images, each pixel with its first channels once more behind its last or with
// its channels in another order, each row with zero pixels on its left and right.
struct Tile {
  int images, rows, columns, channels;  // of what is copied
  int left, right, extra;               // zero pixels; repeated channels, or room for them
  Order order;
  std::vector<int> distances = {};  // not empty: pairs, as in ChannelPairs

  long pixel() const {
    if (!distances.empty()) return (long)distances.size() * (channels + extra);
    return (order.channels.empty() ? channels : (int)order.channels.size()) + extra;
  }
  long row() const { return (left + columns + right) * pixel(); }
  long image() const { return rows * row(); }
  std::size_t floats() const { return images * image(); }

  // Zero the margins: once for a buffer.
  void clear(float* buffer) const;
  // Copies `copied_rows` rows from `source`, whose rows and images are that far apart.
  void fill(const Microkernels&, float* buffer, const float* source, long source_row,
            long source_image, int copied_images, int copied_rows) const;
};

}  // namespace keras_ssc
