// Structured Sparse Convolution with filters as vector lanes: the three passes, float32, NHWC.
//
// Consecutive filters of a set read consecutive channels, so a vector of filters takes one
// contiguous load of x and one of w for every position: no gather and no index table.
// No framework in here; tensorflow/ and jax/ hand the arrays over.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "microkernels.h"

namespace keras_ssc {

// One spatial axis of the convolution.
struct Axis {
  int in, out, stride, dilation, pad;  // pad: zeros before the first pixel
};

// What SSCPattern knows, as plain numbers. `weights[m]` of a call is matrix m: its rows are the
// KxK kernels, tap by tap, then the 1x1 kernels; its columns are `filters[m]`.
struct Pattern {
  int in_channels, out_channels;
  std::vector<int> kxk, pointwise;                    // relative channels r
  std::array<int, 2> kernel, centre;                  // size; tap of the 1x1 kernels
  std::vector<std::vector<std::array<int, 2>>> taps;  // of each matrix
  std::vector<std::vector<int>> filters;              // of each matrix
  std::vector<int> shifts;                            // of each filter
};

// What is done to x while it is read: relu(x * scale + shift), by channel; nothing where null.
struct Prologue {
  const float *scale = nullptr, *shift = nullptr;
};

struct Problem {
  Pattern pattern;
  int batch;
  Axis rows, columns;
  int lanes;                  // floats in a vector, at most; `usable_lanes` says which serve
  const Microkernels* micro;  // of that many lanes
  Prologue prologue = {};     // of the forward pass and the gradient by weights
  bool bfloat16 = false;      // products of the forward pass, where that is faster (pairs.h)
};

// Runs job(0) ... job(count - 1), on several threads or one.
using Runner = std::function<void(int count, const std::function<void(int)>& job)>;

// The widest vectors, of at most `widest` floats, that this CPU has. A pass may take narrower ones.
int usable_lanes(const Pattern& pattern, int widest);

// The inner loops for vectors of `lanes` floats on this CPU; null if it has none.
const Microkernels* microkernels_for(int lanes);
// Those for pairs of bfloat16.
const Microkernels* paired_microkernels_for(int lanes);

// Into how many parts, at most so many, it pays to cut a pass: little work is done sooner than
// other threads would have begun with it. `ready`: they need not be woken.
int worth_slices(const Problem&, int most, bool ready = false);

// What is done to each output pixel: multiplied with `scale`, only where there is a `bias`, too;
// then `bias` is added to every one, and `residual` like y; null where there is none. Then, where
// `relu`, what is negative becomes zero and what is above `ceiling` the ceiling. Of what is stored,
// `mean` and `variance` of every channel are taken where they are not null.
struct Epilogue {
  const float *bias = nullptr, *residual = nullptr;
  bool relu = false;
  float ceiling = INFINITY;
  float *mean = nullptr, *variance = nullptr;
  const float* scale = nullptr;
};

// The forward pass with its weights in order of use, for any number of runs, also at a time.
// `residual` stands for the epilogue's.
using ForwardPass =
    std::function<void(const float* x, const float* residual, float* y, const Runner&)>;

// Refers to all of its arguments: they must live as long.
ForwardPass prepare_forward(const Problem&, const std::vector<const float*>& weights,
                            const Epilogue&, int slices);

void forward(const Problem&, const float* x, const std::vector<const float*>& weights,
             const Epilogue&, float* y, int slices, const Runner&);
void input_gradient(const Problem&, const float* dy, const std::vector<const float*>& weights,
                    float* dx, int slices, const Runner&);
void weight_gradient(const Problem&, const float* x, const float* dy,
                     const std::vector<float*>& gradients, int slices, const Runner&);

}  // namespace keras_ssc
