// XLA custom calls around normalize.h, on CPU.
#include <cmath>

#include "../normalize.h"
#include "call.h"

namespace keras_ssc {
namespace {

constexpr long kLeastFloats = 16 * 1024;  // for one more thread

Normalization normalization(const Call& call, const ffi::Buffer<ffi::F32>& x, const Runner& run) {
  const auto sizes = x.dimensions();
  require(sizes.size() >= 2 && x.element_count() > 0, "an empty batch has no moments");
  const long floats = (long)x.element_count(), channels = sizes.back();
  const int most = (int)std::max(1L, std::min<long>(floats / kLeastFloats, 1 << 20));
  return {floats / channels, (int)channels, std::min(threads_of(call.threads), most), run};
}

// x, gamma, beta, and the residual where there is one; y, mean, variance.
void batch_norm(const Call& call) {
  const auto x = call.argument(0);
  const Runner run = runner(call.threads, false);
  const Normalization n = normalization(call, x, run);
  const bool added = call.count() > 3;
  const std::array<long, 1> vector = {n.channels};
  for (int i : {1, 2}) require(has_shape(call.argument(i), vector), "not one value a channel");
  for (int i : {1, 2}) require(has_shape(call.result(i), vector), "not one value a channel");
  require(has_shape(call.result(0), x.dimensions()), "y isn't shaped like x");
  if (added) require(has_shape(call.argument(3), x.dimensions()), "the residual isn't like x");
  float *mean = call.out(1), *variance = call.out(2);
  std::vector<float> scale(n.channels), shift(n.channels);
  moments(n, call.in(0), mean, variance);
  scale_and_shift(n.channels, call.in(1), call.in(2), mean, variance,
                  call.attribute<float>("epsilon"), scale.data(), shift.data());
  apply(n, call.in(0), scale.data(), shift.data(), added ? call.in(3) : nullptr,
        call.attribute<bool>("relu"), call.out(0));
}

// dy, x, gamma, beta, mean, variance, and y where there was a residual and a ReLU; dx, dgamma,
// dbeta, and the gradient by the residual where there was one.
void batch_norm_gradient(const Call& call) {
  const auto dy = call.argument(0), x = call.argument(1);
  const Runner run = runner(call.threads, false);
  const Normalization n = normalization(call, x, run);
  const std::array<long, 1> vector = {n.channels};
  require(has_shape(dy, x.dimensions()) && has_shape(call.result(0), x.dimensions()),
          "dy isn't shaped like x");
  for (int i : {2, 3, 4, 5}) require(has_shape(call.argument(i), vector), "not one a channel");
  for (int i : {1, 2}) require(has_shape(call.result(i), vector), "not one a channel");
  const float *gamma = call.in(2), *mean = call.in(4), *variance = call.in(5);
  const float epsilon = call.attribute<float>("epsilon");
  std::vector<float> scale(n.channels), shift(n.channels), inverse(n.channels);
  for (int i = 0; i < n.channels; ++i) inverse[i] = 1 / std::sqrt(variance[i] + epsilon);
  scale_and_shift(n.channels, gamma, call.in(3), mean, variance, epsilon, scale.data(),
                  shift.data());
  const bool relu = call.attribute<bool>("relu"), added = call.results.size() > 3;
  Gate gate = {};
  if (relu && !added) gate = {nullptr, scale.data(), shift.data()};
  if (relu && added) {
    require(has_shape(call.argument(6), x.dimensions()), "y isn't shaped like x");
    gate.y = call.in(6);
  }
  if (added) require(has_shape(call.result(3), x.dimensions()), "dresidual isn't like x");
  gradient(n, call.in(0), nullptr, gate, call.in(1), gamma, mean, inverse.data(), call.out(0),
           call.out(1), call.out(2), added ? call.out(3) : nullptr);
}

}  // namespace

KERAS_SSC_HANDLER(KerasSscBatchNorm, batch_norm);
KERAS_SSC_HANDLER(KerasSscBatchNormGradient, batch_norm_gradient);

}  // namespace keras_ssc
