// Which code computes a pass: the row kernels where they serve, else the general ones, around which
// prologue and moments take passes of their own.
#include "convolution.h"

#include <algorithm>
#include <cassert>

#include "depthwise.h"
#include "general_convolution.h"
#include "normalize.h"
#include "pointwise.h"
#include "row_convolution.h"
#include "tile.h"

namespace keras_ssc {
namespace {

// x as the pass reads it: itself, or what the prologue makes of it.
class Source {
 public:
  Source(const Problem& p, const float* x, int slices, const Runner& run)
      : normalized_(p.prologue.scale ? floats(p) : 0), x_(x) {
    if (!p.prologue.scale) return;
    const int channels = p.pattern.in_channels;
    const long pixels = floats(p) / channels;
    const Normalization n = {pixels, channels, (int)std::min<long>(slices, pixels), run};
    apply(n, x, p.prologue.scale, p.prologue.shift, nullptr, true, normalized_.data());
    x_ = normalized_.data();
  }
  const float* data() const { return x_; }

 private:
  static long floats(const Problem& p) {
    return (long)p.batch * p.rows.in * p.columns.in * p.pattern.in_channels;
  }

  Buffer normalized_;
  const float* x_;
};

// What callers see to; checked only where NDEBUG is not defined.
void check(const Problem& problem, std::size_t matrices, int slices) {
  const Pattern& p = problem.pattern;
  assert(problem.micro && problem.micro->lanes == problem.lanes);
  assert(problem.batch >= 0 && slices >= 1);
  assert(p.in_channels >= 1 && p.out_channels >= 1);
  assert(matrices == p.filters.size() && matrices == p.taps.size());
  assert((int)p.shifts.size() == p.out_channels);
  assert(!problem.prologue.scale == !problem.prologue.shift);
  for (const Axis& axis : {problem.rows, problem.columns})
    assert(axis.in >= 1 && axis.out >= 1 && axis.stride >= 1 && axis.dilation >= 1 &&
           axis.pad >= 0);
}

}  // namespace

ForwardPass prepare_forward(const Problem& problem, const std::vector<const float*>& weights,
                            const Epilogue& epilogue, int slices) {
  check(problem, weights.size(), slices);
  assert(!epilogue.scale || epilogue.bias);
  assert(!epilogue.mean == !epilogue.variance);
  ForwardPass pass = depthwise_forward(problem, weights, epilogue, slices);
  if (!pass)
    if (ForwardPass rows = forward_by_rows(problem, weights, epilogue, slices)) return rows;
  if (!pass) pass = pointwise_forward(problem, weights, epilogue, slices);
  const bool moments_after = !pass && epilogue.mean;
  if (!pass) pass = forward_by_vectors(problem, weights, epilogue, slices);
  if (!problem.prologue.scale && !moments_after) return pass;
  return [&problem, &epilogue, slices, pass, moments_after](const float* x, const float* residual,
                                                            float* y, const Runner& run) {
    pass(Source(problem, x, slices, run).data(), residual, y, run);
    if (!moments_after) return;
    const long pixels = (long)problem.batch * problem.rows.out * problem.columns.out;
    moments({pixels, problem.pattern.out_channels, (int)std::min<long>(slices, pixels), run}, y,
            epilogue.mean, epilogue.variance);
  };
}

void forward(const Problem& problem, const float* x, const std::vector<const float*>& weights,
             const Epilogue& epilogue, float* y, int slices, const Runner& run) {
  prepare_forward(problem, weights, epilogue, slices)(x, epilogue.residual, y, run);
}

void input_gradient(const Problem& problem, const float* dy,
                    const std::vector<const float*>& weights, float* dx, int slices,
                    const Runner& run) {
  check(problem, weights.size(), slices);
  if (input_gradient_by_rows(problem, dy, weights, dx, slices, run)) return;
  if (pointwise_input_gradient(problem, dy, weights, dx, slices, run)) return;
  input_gradient_by_vectors(problem, dy, weights, dx, slices, run);
}

void weight_gradient(const Problem& problem, const float* x, const float* dy,
                     const std::vector<float*>& gradients, int slices, const Runner& run) {
  check(problem, gradients.size(), slices);
  if (weight_gradient_by_rows(problem, x, dy, gradients, slices, run)) return;
  const Source source(problem, x, slices, run);
  if (pointwise_weight_gradient(problem, source.data(), dy, gradients, slices, run)) return;
  weight_gradient_by_vectors(problem, source.data(), dy, gradients, slices, run);
}

}  // namespace keras_ssc
