// The attributes of a convolution, as every framework hands them over: lists of integers by name.
// Checked once, they give the Problem of each input, and the shapes.
#pragma once

#include <vector>

#include "convolution.h"

namespace keras_ssc {

struct Attributes {
  std::vector<int> kernel_size;
  std::vector<int> kxk, pointwise;    // relative channels of the KxK and of the 1x1 kernels
  std::vector<int> taps, tap_counts;  // (row, column) of all matrices; how many are each one's
  std::vector<int> filters, filter_counts;  // columns of all matrices; how many are each one's
  std::vector<int> shifts;
  std::vector<int> strides, dilations;

  // read(name, list) for each of them.
  template <typename Read>
  void each(const Read& read) {
    read("kernel_size", kernel_size);
    read("kxk", kxk);
    read("pointwise", pointwise);
    read("taps", taps);
    read("tap_counts", tap_counts);
    read("filters", filters);
    read("filter_counts", filter_counts);
    read("shifts", shifts);
    read("strides", strides);
    read("dilations", dilations);
  }
};

int output_size(int in, int kernel, int stride, int dilation, bool same);

// Zeros around an image.
struct Zeros {
  int above = 0, below = 0, left = 0, right = 0;
};

// Of an output; where `same` is not asked for, `before` and `after` are the zeros around the input.
Axis make_axis(int in, int kernel, int stride, int dilation, bool same, int before = 0,
               int after = 0);

// Messages are null where nothing is wrong.
class Geometry {
 public:
  // `widest`: floats of the widest vectors to use; 0: the library's choice.
  // `zeros`: what x is taken to have around it before anything else.
  const char* set(const Attributes&, bool same, int widest, const Zeros& zeros = {});
  // For x (batch, rows, columns, channels).
  const char* problem(const std::array<long, 4>& x, Problem*) const;

  int matrices() const { return (int)pattern_.filters.size(); }
  std::array<long, 2> matrix_shape(int m) const;
  std::array<long, 4> output_shape(const Problem& p) const {
    return {p.batch, p.rows.out, p.columns.out, pattern_.out_channels};
  }

 private:
  Pattern pattern_ = {};
  std::array<int, 2> strides_ = {}, dilations_ = {};
  bool same_ = false;
  Zeros zeros_;
  int widest_ = 0;
};

}  // namespace keras_ssc
