// Where the weights of the row kernels lie in their matrices, and copies of them in order of use.
#pragma once

#include <cstring>

#include "pairs.h"
#include "row_layout.h"

namespace keras_ssc {

// Row of a matrix: KxK kernel k at tap (row, column). Both parities list their taps row by row.
inline int kxk_row(const Pattern& p, int row, int column, int k) {
  const auto& taps = p.taps[(row + column) % 2];
  const auto tap = std::find(taps.begin(), taps.end(), std::array<int, 2>{row, column});
  return (int)(tap - taps.begin()) * (int)p.kxk.size() + k;
}

inline int pointwise_row(const Pattern& p, int parity, int j) {
  return (int)(p.taps[parity].size() * p.kxk.size()) + j;
}

inline int rows_of(const Pattern& p, int parity) {
  return pointwise_row(p, parity, (int)p.pointwise.size());
}

// A copy of all weights, in the order in which a pass uses them.
class Packed {
 public:
  Packed(const Pattern& p, const RowLayout& l, const std::vector<const float*>& weights)
      : Packed(l, weights, nullptr, rows_of(p, 0) + rows_of(p, 1)) {}
  // `scale`: of each filter, that its weights are multiplied with; or null. `rows`: of half of the
  // filters, that will be added.
  Packed(const RowLayout& l, const std::vector<const float*>& weights, const float* scale,
         std::size_t rows)
      : weights_(weights),
        scale_(scale),
        half_(l.half),
        size_(l.half * rows),
        buffer_(size_),
        to_(buffer_.data()) {}
  // `count` weights of one row, from that filter on.
  void add(int parity, int row, int filter, int count) {
    std::memcpy(to_, weights_[parity] + (long)row * half_ + filter, count * sizeof(float));
    if (scale_)
      for (int i = 0; i < count; ++i) to_[i] *= scale_[parity * half_ + filter + i];
    to_ += count;
  }
  // Pairs of two rows, or of one where `second` is negative.
  void add_pairs(int parity, int first, int second, int filter, int count) {
    const float* matrix = weights_[parity] + filter;
    for (int i = 0; i < count; ++i) {
      const float scale = scale_ ? scale_[parity * half_ + filter + i] : 1.f;
      *to_++ = pair_of(matrix[(long)first * half_ + i] * scale,
                       second < 0 ? 0.f : matrix[(long)second * half_ + i] * scale);
    }
  }
  const float* data() const { return buffer_.data(); }
  std::size_t size() const { return size_; }

 private:
  const std::vector<const float*>& weights_;
  const float* scale_;
  const int half_;
  const std::size_t size_;
  Buffer buffer_;
  float* to_;
};

}  // namespace keras_ssc
