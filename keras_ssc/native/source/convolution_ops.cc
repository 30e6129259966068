// TensorFlow operations around convolution.h: the convolution and its two gradients, on CPU.
#include "convolution_op.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace keras_ssc {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;

class Forward : public ConvolutionOp {
 public:
  explicit Forward(OpKernelConstruction* c) : ConvolutionOp(c) {
    OP_REQUIRES_OK(c, c->GetAttr("relu", &relu_));
  }
  void Compute(OpKernelContext* c) override {
    const Tensor& x = c->input(0);
    Problem problem;
    std::vector<const float*> weights;
    if (!problem_of(c, x.shape(), &problem) || !weights_of(c, &weights)) return;
    tensorflow::OpInputList bias;
    OP_REQUIRES_OK(c, c->input_list("bias", &bias));
    OP_REQUIRES(c, bias.size() == 0 || bias[0].NumElements() == pattern_.out_channels,
                InvalidArgumentError("bias doesn't fit the pattern"));
    tensorflow::OpInputList residual;
    OP_REQUIRES_OK(c, c->input_list("residual", &residual));
    OP_REQUIRES(c, residual.size() == 0 || residual[0].shape() == output_shape(problem),
                InvalidArgumentError("residual isn't shaped like the output"));
    Tensor* y = nullptr;
    OP_REQUIRES_OK(c, c->allocate_output(0, output_shape(problem), &y));
    if (y->NumElements() == 0) return;
    const Epilogue epilogue = {bias.size() ? bias[0].flat<float>().data() : nullptr,
                           residual.size() ? residual[0].flat<float>().data() : nullptr, relu_};
    forward(problem, x.flat<float>().data(), weights, epilogue, y->flat<float>().data(),
            slices(c, problem, 4), runner(c));
  }

 private:
  bool relu_;
};

class InputGradient : public ConvolutionOp {
 public:
  using ConvolutionOp::ConvolutionOp;
  void Compute(OpKernelContext* c) override {
    const Tensor& size = c->input(0);
    const Tensor& dy = c->input(1);
    TensorShape shape;
    OP_REQUIRES_OK(c, tensorflow::TensorShapeUtils::MakeShape(size.vec<int>(), &shape));
    Problem problem;
    std::vector<const float*> weights;
    if (!problem_of(c, shape, &problem) || !weights_of(c, &weights)) return;
    OP_REQUIRES(c, dy.shape() == output_shape(problem), InvalidArgumentError("dy doesn't fit x"));
    Tensor* dx = nullptr;
    OP_REQUIRES_OK(c, c->allocate_output(0, shape, &dx));
    if (dx->NumElements() == 0) return;
    input_gradient(problem, dy.flat<float>().data(), weights, dx->flat<float>().data(),
                   slices(c, problem, 4), runner(c));
  }
};

class WeightGradient : public ConvolutionOp {
 public:
  using ConvolutionOp::ConvolutionOp;
  void Compute(OpKernelContext* c) override {
    const Tensor& x = c->input(0);
    const Tensor& dy = c->input(1);
    Problem problem;
    if (!problem_of(c, x.shape(), &problem)) return;
    OP_REQUIRES(c, dy.shape() == output_shape(problem), InvalidArgumentError("dy doesn't fit x"));
    std::vector<float*> gradients;
    for (int m = 0; m < (int)pattern_.filters.size(); ++m) {
      Tensor* gradient = nullptr;
      OP_REQUIRES_OK(c, c->allocate_output(m, matrix_shape(m), &gradient));
      gradients.push_back(gradient->flat<float>().data());
      if (problem.batch == 0) gradient->flat<float>().setZero();
    }
    if (problem.batch == 0) return;
    weight_gradient(problem, x.flat<float>().data(), dy.flat<float>().data(), gradients,
                    slices(c, problem, 2), runner(c));
  }
};

absl::Status output_shape_of(InferenceContext* c) {
  tensorflow::shape_inference::ShapeHandle x;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &x));
  std::vector<int> kernel, strides, dilations, shifts;
  std::string padding;
  TF_RETURN_IF_ERROR(c->GetAttr("kernel_size", &kernel));
  TF_RETURN_IF_ERROR(c->GetAttr("strides", &strides));
  TF_RETURN_IF_ERROR(c->GetAttr("dilations", &dilations));
  TF_RETURN_IF_ERROR(c->GetAttr("shifts", &shifts));
  TF_RETURN_IF_ERROR(c->GetAttr("padding", &padding));
  std::vector<DimensionHandle> sizes = {c->Dim(x, 0)};
  for (int axis = 0; axis < 2; ++axis) {
    const DimensionHandle in = c->Dim(x, axis + 1);
    sizes.push_back(!c->ValueKnown(in)
                        ? c->UnknownDim()
                        : c->MakeDim(output_size((int)c->Value(in), kernel[axis], strides[axis],
                                                 dilations[axis], padding == "SAME")));
  }
  sizes.push_back(c->MakeDim((int64_t)shifts.size()));
  c->set_output(0, c->MakeShape(sizes));
  return absl::OkStatus();
}

absl::Status input_shape_of(InferenceContext* c) {
  tensorflow::shape_inference::ShapeHandle x;
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(0, &x));
  c->set_output(0, x);
  return absl::OkStatus();
}

absl::Status matrix_shapes_of(InferenceContext* c) {
  std::vector<int> kxk, pointwise, taps, filters;
  TF_RETURN_IF_ERROR(c->GetAttr("kxk", &kxk));
  TF_RETURN_IF_ERROR(c->GetAttr("pointwise", &pointwise));
  TF_RETURN_IF_ERROR(c->GetAttr("tap_counts", &taps));
  TF_RETURN_IF_ERROR(c->GetAttr("filter_counts", &filters));
  for (std::size_t m = 0; m < taps.size() && (int)m < c->num_outputs(); ++m)
    c->set_output(m, c->Matrix(taps[m] * kxk.size() + pointwise.size(), filters[m]));
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("KerasSscConv2D")
    .Input("x: float")
    .Input("weights: matrices * float")
    .Input("bias: biases * float")
    .Input("residual: residuals * float")
    .Output("y: float")
    .Attr("matrices: int >= 1")
    .Attr("biases: int >= 0")
    .Attr("residuals: int >= 0")
    .Attr("relu: bool")
    .PATTERN_ATTRIBUTES.SetShapeFn(output_shape_of);

REGISTER_OP("KerasSscConv2DInputGradient")
    .Input("x_shape: int32")
    .Input("dy: float")
    .Input("weights: matrices * float")
    .Output("dx: float")
    .Attr("matrices: int >= 1")
    .PATTERN_ATTRIBUTES.SetShapeFn(input_shape_of);

REGISTER_OP("KerasSscConv2DWeightGradient")
    .Input("x: float")
    .Input("dy: float")
    .Output("gradients: matrices * float")
    .Attr("matrices: int >= 1")
    .PATTERN_ATTRIBUTES.SetShapeFn(matrix_shapes_of);

using tensorflow::DEVICE_CPU;
REGISTER_KERNEL_BUILDER(Name("KerasSscConv2D").Device(DEVICE_CPU), Forward);
REGISTER_KERNEL_BUILDER(Name("KerasSscConv2DInputGradient").Device(DEVICE_CPU), InputGradient);
REGISTER_KERNEL_BUILDER(Name("KerasSscConv2DWeightGradient").Device(DEVICE_CPU), WeightGradient);

}  // namespace keras_ssc
