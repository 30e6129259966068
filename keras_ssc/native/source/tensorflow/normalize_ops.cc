// TensorFlow operations around normalize.h, on CPU.
#include <algorithm>
#include <cmath>

#include "../normalize.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "threads.h"

namespace keras_ssc {
namespace {

using absl::InvalidArgumentError;
using tensorflow::OpInputList;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;

constexpr long kLeastFloats = 16 * 1024;  // for one more thread

const float* data(const Tensor& tensor) { return tensor.flat<float>().data(); }
float* data(Tensor* tensor) { return tensor->flat<float>().data(); }

class NormalizeOp : public tensorflow::OpKernel {
 public:
  explicit NormalizeOp(OpKernelConstruction* c) : OpKernel(c) {
    OP_REQUIRES_OK(c, c->GetAttr("relu", &relu_));
    if (c->HasAttr("epsilon")) OP_REQUIRES_OK(c, c->GetAttr("epsilon", &epsilon_));
  }

 protected:
  // Checks that `vectors` have one entry for each channel of x; no pixels: nothing to do.
  bool check(OpKernelContext* c, const Tensor& x, std::initializer_list<Tensor> vectors,
             std::initializer_list<Tensor> likes) const {
    bool fit = x.dims() >= 2;
    const int64_t channels = fit ? x.dim_size(x.dims() - 1) : 0;
    for (const Tensor& vector : vectors) fit &= vector.NumElements() == channels;
    for (const Tensor& like : likes) fit &= like.shape() == x.shape();
    if (!fit) c->SetStatus(InvalidArgumentError("tensors that don't fit each other"));
    return fit;
  }

  Normalization normalization(OpKernelContext* c, const Tensor& x, const Runner& run) const {
    const int channels = (int)x.dim_size(x.dims() - 1);
    const long most = std::max<long>(1, x.NumElements() / kLeastFloats);
    return {x.NumElements() / channels, channels, (int)std::min<long>(threads_of(c), most), run};
  }

  bool relu_;
  float epsilon_ = 0;
};

class BatchNorm : public NormalizeOp {
 public:
  using NormalizeOp::NormalizeOp;
  void Compute(OpKernelContext* c) override {
    const Tensor &x = c->input(0), &gamma = c->input(1), &beta = c->input(2);
    OpInputList residual;
    OP_REQUIRES_OK(c, c->input_list("residual", &residual));
    if (!check(c, x, {gamma, beta}, {residual.size() ? residual[0] : x})) return;
    Tensor *y, *mean, *variance, scale, shift;
    OP_REQUIRES_OK(c, c->allocate_output(0, x.shape(), &y));
    OP_REQUIRES_OK(c, c->allocate_output(1, gamma.shape(), &mean));
    OP_REQUIRES_OK(c, c->allocate_output(2, gamma.shape(), &variance));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &scale));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &shift));
    OP_REQUIRES(c, x.NumElements() > 0, InvalidArgumentError("an empty batch has no moments"));
    const Runner run = runner(c);
    const Normalization n = normalization(c, x, run);
    moments(n, data(x), data(mean), data(variance));
    scale_and_shift(n.channels, data(gamma), data(beta), data(mean), data(variance), epsilon_,
                    data(&scale), data(&shift));
    apply(n, data(x), data(scale), data(shift), residual.size() ? data(residual[0]) : nullptr,
          relu_, data(y));
  }
};

// With moments that are known: the convolution before took them.
class Normalize : public NormalizeOp {
 public:
  using NormalizeOp::NormalizeOp;
  void Compute(OpKernelContext* c) override {
    const Tensor &x = c->input(0), &gamma = c->input(1), &beta = c->input(2);
    const Tensor &mean = c->input(3), &variance = c->input(4);
    OpInputList residual;
    OP_REQUIRES_OK(c, c->input_list("residual", &residual));
    if (!check(c, x, {gamma, beta, mean, variance}, {residual.size() ? residual[0] : x})) return;
    Tensor *y, scale, shift;
    OP_REQUIRES_OK(c, c->allocate_output(0, x.shape(), &y));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &scale));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &shift));
    if (x.NumElements() == 0) return;
    const Runner run = runner(c);
    const Normalization n = normalization(c, x, run);
    scale_and_shift(n.channels, data(gamma), data(beta), data(mean), data(variance), epsilon_,
                    data(&scale), data(&shift));
    apply(n, data(x), data(scale), data(shift), residual.size() ? data(residual[0]) : nullptr,
          relu_, data(y));
  }
};

class BatchNormGradient : public NormalizeOp {
 public:
  using NormalizeOp::NormalizeOp;
  void Compute(OpKernelContext* c) override {
    const Tensor &dy = c->input(0), &y = c->input(1), &x = c->input(2), &gamma = c->input(3);
    const Tensor &beta = c->input(4), &mean = c->input(5), &variance = c->input(6);
    OpInputList more;
    OP_REQUIRES_OK(c, c->input_list("more", &more));
    if (!check(c, x, {gamma, beta, mean, variance}, {dy, y, more.size() ? more[0] : x})) return;
    tensorflow::OpOutputList residual;
    Tensor *dx, *dgamma, *dbeta, *dresidual = nullptr, inverse, scale, shift;
    // In the place of dy, where nobody else needs that.
    OP_REQUIRES_OK(c, c->forward_input_or_allocate_output({0}, 0, x.shape(), &dx));
    OP_REQUIRES_OK(c, c->allocate_output(1, gamma.shape(), &dgamma));
    OP_REQUIRES_OK(c, c->allocate_output(2, gamma.shape(), &dbeta));
    OP_REQUIRES_OK(c, c->output_list("dresidual", &residual));
    if (residual.size()) OP_REQUIRES_OK(c, residual.allocate(0, x.shape(), &dresidual));
    OP_REQUIRES(c, more.size() <= residual.size(),
                InvalidArgumentError("two gradients are summed where there is a residual only"));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &inverse));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &scale));
    OP_REQUIRES_OK(c, c->allocate_temp(tensorflow::DT_FLOAT, gamma.shape(), &shift));
    const Runner run = runner(c);
    const Normalization n = normalization(c, x, run);
    for (int i = 0; i < n.channels; ++i)
      data(&inverse)[i] = 1 / std::sqrt(data(variance)[i] + epsilon_);
    scale_and_shift(n.channels, data(gamma), data(beta), data(mean), data(variance), epsilon_,
                    data(&scale), data(&shift));
    Gate gate = {};
    if (relu_ && dresidual) gate.y = data(y);
    if (relu_ && !dresidual) gate = {nullptr, data(&scale), data(&shift)};
    gradient(n, data(dy), more.size() ? data(more[0]) : nullptr, gate, data(x), data(gamma),
             data(mean), data(inverse), data(dx), data(dgamma), data(dbeta),
             dresidual ? data(dresidual) : nullptr);
  }
};

class ScaleShift : public NormalizeOp {
 public:
  using NormalizeOp::NormalizeOp;
  void Compute(OpKernelContext* c) override {
    const Tensor &x = c->input(0), &scale = c->input(1), &shift = c->input(2);
    OpInputList residual;
    OP_REQUIRES_OK(c, c->input_list("residual", &residual));
    if (!check(c, x, {scale, shift}, {residual.size() ? residual[0] : x})) return;
    Tensor* y;  // in the place of x, where nobody else needs that
    OP_REQUIRES_OK(c, c->forward_input_or_allocate_output({0}, 0, x.shape(), &y));
    if (x.NumElements() == 0) return;
    const Runner run = runner(c);
    apply(normalization(c, x, run), data(x), data(scale), data(shift),
          residual.size() ? data(residual[0]) : nullptr, relu_, data(y));
  }
};

absl::Status batch_norm_shapes(InferenceContext* c) {
  c->set_output(0, c->input(0));
  c->set_output(1, c->input(1));
  c->set_output(2, c->input(1));
  return absl::OkStatus();
}

absl::Status gradient_shapes(InferenceContext* c) {
  c->set_output(0, c->input(2));
  c->set_output(1, c->input(3));
  c->set_output(2, c->input(3));
  if (c->num_outputs() > 3) c->set_output(3, c->input(2));
  return absl::OkStatus();
}

absl::Status same_shape(InferenceContext* c) {
  c->set_output(0, c->input(0));
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("KerasSscBatchNorm")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("residual: residuals * float")
    .Output("y: float")
    .Output("mean: float")
    .Output("variance: float")
    .Attr("residuals: int >= 0")
    .Attr("relu: bool")
    .Attr("epsilon: float")
    .SetShapeFn(batch_norm_shapes);

REGISTER_OP("KerasSscNormalize")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("mean: float")
    .Input("variance: float")
    .Input("residual: residuals * float")
    .Output("y: float")
    .Attr("residuals: int >= 0")
    .Attr("relu: bool")
    .Attr("epsilon: float")
    .SetShapeFn(same_shape);

REGISTER_OP("KerasSscBatchNormGradient")
    .Input("dy: float")
    .Input("y: float")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("mean: float")
    .Input("variance: float")
    .Input("more: terms * float")
    .Output("dx: float")
    .Output("dgamma: float")
    .Output("dbeta: float")
    .Output("dresidual: residuals * float")
    .Attr("terms: int >= 0")
    .Attr("residuals: int >= 0")
    .Attr("relu: bool")
    .Attr("epsilon: float")
    .SetShapeFn(gradient_shapes);

REGISTER_OP("KerasSscScaleShift")
    .Input("x: float")
    .Input("scale: float")
    .Input("shift: float")
    .Input("residual: residuals * float")
    .Output("y: float")
    .Attr("residuals: int >= 0")
    .Attr("relu: bool")
    .SetShapeFn(same_shape);

using tensorflow::DEVICE_CPU;
REGISTER_KERNEL_BUILDER(Name("KerasSscBatchNorm").Device(DEVICE_CPU), BatchNorm);
REGISTER_KERNEL_BUILDER(Name("KerasSscNormalize").Device(DEVICE_CPU), Normalize);
REGISTER_KERNEL_BUILDER(Name("KerasSscBatchNormGradient").Device(DEVICE_CPU), BatchNormGradient);
REGISTER_KERNEL_BUILDER(Name("KerasSscScaleShift").Device(DEVICE_CPU), ScaleShift);

}  // namespace keras_ssc
