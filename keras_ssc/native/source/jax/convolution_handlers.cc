// XLA custom calls around convolution.h: the convolution and its two gradients, on CPU.
#include "../attributes.h"
#include "call.h"

namespace keras_ssc {
namespace {

constexpr double kSmall = 1e6;  // multiply-adds that are not worth waking another thread

// The geometry of a call, the problem for its x, and the parts of the work.
struct Convolution {
  Geometry geometry;
  Problem problem;
  int slices;
  bool small;

  template <typename Shape>
  Convolution(const Call& call, const Shape& x, int for_each_thread) {
    Attributes attributes;
    attributes.each([&](const char* name, std::vector<int>& list) {
      const auto span = call.attribute<ffi::Span<const int32_t>>(name);
      list.assign(span.begin(), span.end());
    });
    const char* wrong =
        geometry.set(attributes, call.attribute<bool>("same"), call.attribute<int32_t>("lanes"));
    require(!wrong, wrong);
    require(x.size() == 4, "x must have 4 dimensions");
    wrong = geometry.problem({x[0], x[1], x[2], x[3]}, &problem);
    require(!wrong, wrong);
    // More parts than threads: one that is held up leaves its work to the others.
    slices = call.attribute<int32_t>("slices");
    if (!slices) slices = worth_slices(problem, threads_of(call.threads) * for_each_thread);
    double weights = 0;
    for (int m = 0; m < geometry.matrices(); ++m)
      weights += (double)geometry.matrix_shape(m)[0] * geometry.matrix_shape(m)[1];
    small = weights * problem.batch * problem.rows.out * problem.columns.out < kSmall;
  }

  std::vector<const float*> weights(const Call& call, int first) const {
    std::vector<const float*> all;
    for (int m = 0; m < geometry.matrices(); ++m) {
      require(has_shape(call.argument(first + m), geometry.matrix_shape(m)),
              "weights don't fit the pattern");
      all.push_back(call.in(first + m));
    }
    return all;
  }
};

// x, weights, then the bias and the residual where the attributes say so.
void convolve(const Call& call) {
  const Convolution c(call, call.argument(0).dimensions(), 4);
  const auto shape = c.geometry.output_shape(c.problem);
  const auto weights = c.weights(call, 1);
  int next = 1 + c.geometry.matrices();
  Epilogue epilogue = {nullptr, nullptr, call.attribute<bool>("relu")};
  if (call.attribute<bool>("has_bias")) {
    require(has_shape(call.argument(next), std::array<long, 1>{shape[3]}),
            "bias doesn't fit the pattern");
    epilogue.bias = call.in(next++);
  }
  if (call.attribute<bool>("has_residual")) {
    require(has_shape(call.argument(next), shape), "residual isn't shaped like the output");
    epilogue.residual = call.in(next++);
  }
  require(has_shape(call.result(0), shape), "y doesn't fit x");
  if (c.problem.batch == 0) return;
  forward(c.problem, call.in(0), weights, epilogue, call.out(0), c.slices,
          runner(call.threads, c.small));
}

// dy, weights.
void by_input(const Call& call) {
  const Convolution c(call, call.result(0).dimensions(), 4);
  require(has_shape(call.argument(0), c.geometry.output_shape(c.problem)), "dy doesn't fit x");
  if (c.problem.batch == 0) return;
  input_gradient(c.problem, call.in(0), c.weights(call, 1), call.out(0), c.slices,
                 runner(call.threads, c.small));
}

// x, dy.
void by_weights(const Call& call) {
  const Convolution c(call, call.argument(0).dimensions(), 2);
  require(has_shape(call.argument(1), c.geometry.output_shape(c.problem)), "dy doesn't fit x");
  std::vector<float*> gradients;
  for (int m = 0; m < c.geometry.matrices(); ++m) {
    require(has_shape(call.result(m), c.geometry.matrix_shape(m)), "gradients don't fit");
    gradients.push_back(call.out(m));
    if (c.problem.batch == 0) std::fill_n(gradients.back(), call.result(m).element_count(), 0.f);
  }
  if (c.problem.batch == 0) return;
  weight_gradient(c.problem, call.in(0), call.in(1), gradients, c.slices,
                  runner(call.threads, c.small));
}

}  // namespace

KERAS_SSC_HANDLER(KerasSscConv2D, convolve);
KERAS_SSC_HANDLER(KerasSscConv2DInputGradient, by_input);
KERAS_SSC_HANDLER(KerasSscConv2DWeightGradient, by_weights);

}  // namespace keras_ssc
