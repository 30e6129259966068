// TensorFlow operations around convolution.h: the convolution and its two gradients, on CPU.
#include "../normalize.h"
#include "convolution_op.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace keras_ssc {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;

// A batch normalisation that a convolution computes along with itself: a list of inputs gamma,
// beta, mean and variance, or of none; what it multiplies and adds.
struct Norm {
  std::vector<float> scale, shift;

  bool read(OpKernelContext* c, const char* name, int channels, float epsilon) {
    tensorflow::OpInputList norm;
    absl::Status status = c->input_list(name, &norm);
    bool fit = status.ok() && (norm.size() == 0 || norm.size() == 4);
    for (const Tensor& vector : norm) fit &= vector.NumElements() == channels;
    if (!fit) c->SetStatus(InvalidArgumentError(std::string(name) + " doesn't fit the channels"));
    if (!fit || !norm.size()) return fit;
    scale.resize(channels);
    shift.resize(channels);
    const auto at = [&](int i) { return norm[i].flat<float>().data(); };
    scale_and_shift(channels, at(0), at(1), at(2), at(3), epsilon, scale.data(), shift.data());
    return true;
  }

  // Of x, with ReLU, while it is read.
  bool of_input(OpKernelContext* c, float epsilon, Problem* problem) {
    if (!read(c, "norm", problem->pattern.in_channels, epsilon)) return false;
    if (!scale.empty()) problem->prologue = {scale.data(), shift.data()};
    return true;
  }

  // Of what is stored; the epilogue's bias becomes a part of it.
  bool of_output(OpKernelContext* c, float epsilon, int channels, Epilogue* epilogue) {
    if (!read(c, "output_norm", channels, epsilon)) return false;
    if (scale.empty()) return true;
    for (int i = 0; epilogue->bias && i < channels; ++i) shift[i] += epilogue->bias[i] * scale[i];
    epilogue->scale = scale.data();
    epilogue->bias = shift.data();
    return true;
  }
};

class Forward : public ConvolutionOp {
 public:
  explicit Forward(OpKernelConstruction* c) : ConvolutionOp(c) {
    OP_REQUIRES_OK(c, c->GetAttr("relu", &relu_));
    OP_REQUIRES_OK(c, c->GetAttr("epsilon", &epsilon_));
    OP_REQUIRES_OK(c, c->GetAttr("output_epsilon", &output_epsilon_));
  }
  void Compute(OpKernelContext* c) override {
    const Tensor& x = c->input(0);
    Problem problem;
    std::vector<const float*> weights;
    if (!problem_of(c, x.shape(), &problem) || !weights_of(c, &weights)) return;
    tensorflow::OpInputList bias;
    OP_REQUIRES_OK(c, c->input_list("bias", &bias));
    OP_REQUIRES(c, bias.size() == 0 || bias[0].NumElements() == problem.pattern.out_channels,
                InvalidArgumentError("bias doesn't fit the pattern"));
    tensorflow::OpInputList residual;
    OP_REQUIRES_OK(c, c->input_list("residual", &residual));
    OP_REQUIRES(c, residual.size() == 0 || residual[0].shape() == output_shape(problem),
                InvalidArgumentError("residual isn't shaped like the output"));
    Norm of_input, of_output;
    if (!of_input.of_input(c, epsilon_, &problem)) return;
    Tensor* y = nullptr;
    OP_REQUIRES_OK(c, c->allocate_output(0, output_shape(problem), &y));
    Epilogue epilogue = {bias.size() ? bias[0].flat<float>().data() : nullptr,
                         residual.size() ? residual[0].flat<float>().data() : nullptr, relu_};
    if (!of_output.of_output(c, output_epsilon_, problem.pattern.out_channels, &epilogue)) return;
    tensorflow::OpOutputList moments;
    OP_REQUIRES_OK(c, c->output_list("moments", &moments));
    if (moments.size()) {
      OP_REQUIRES(c, moments.size() == 2, InvalidArgumentError("moments are two or none"));
      Tensor *mean, *variance;
      const TensorShape vector = {problem.pattern.out_channels};
      OP_REQUIRES_OK(c, moments.allocate(0, vector, &mean));
      OP_REQUIRES_OK(c, moments.allocate(1, vector, &variance));
      epilogue.mean = mean->flat<float>().data();
      epilogue.variance = variance->flat<float>().data();
      OP_REQUIRES(c, y->NumElements() > 0, InvalidArgumentError("an empty batch has no moments"));
    }
    if (y->NumElements() == 0) return;
    forward(problem, x.flat<float>().data(), weights, epilogue, y->flat<float>().data(),
            slices(c, problem, 4), runner(c));
  }

 private:
  bool relu_;
  float epsilon_, output_epsilon_;
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
  explicit WeightGradient(OpKernelConstruction* c) : ConvolutionOp(c) {
    OP_REQUIRES_OK(c, c->GetAttr("epsilon", &epsilon_));
  }
  void Compute(OpKernelContext* c) override {
    const Tensor& x = c->input(0);
    const Tensor& dy = c->input(1);
    Problem problem;
    if (!problem_of(c, x.shape(), &problem)) return;
    OP_REQUIRES(c, dy.shape() == output_shape(problem), InvalidArgumentError("dy doesn't fit x"));
    Norm norm;
    if (!norm.of_input(c, epsilon_, &problem)) return;
    std::vector<float*> gradients;
    for (int m = 0; m < geometry_.matrices(); ++m) {
      Tensor* gradient = nullptr;
      OP_REQUIRES_OK(c, c->allocate_output(m, matrix_shape(m), &gradient));
      gradients.push_back(gradient->flat<float>().data());
      if (problem.batch == 0) gradient->flat<float>().setZero();
    }
    if (problem.batch == 0) return;
    weight_gradient(problem, x.flat<float>().data(), dy.flat<float>().data(), gradients,
                    slices(c, problem, 2), runner(c));
  }

 private:
  float epsilon_;
};

absl::Status output_shape_of(InferenceContext* c) {
  tensorflow::shape_inference::ShapeHandle x;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &x));
  Attributes a;
  bool same;
  TF_RETURN_IF_ERROR(read_attributes(c, &a, &same));
  std::vector<DimensionHandle> sizes = {c->Dim(x, 0)};
  for (int axis = 0; axis < 2; ++axis) {
    const DimensionHandle in = c->Dim(x, axis + 1);
    sizes.push_back(!c->ValueKnown(in)
                        ? c->UnknownDim()
                        : c->MakeDim(output_size((int)c->Value(in), a.kernel_size[axis],
                                                 a.strides[axis], a.dilations[axis], same)));
  }
  sizes.push_back(c->MakeDim((int64_t)a.shifts.size()));
  c->set_output(0, c->MakeShape(sizes));
  for (int i = 1; i < c->num_outputs(); ++i) c->set_output(i, c->MakeShape({sizes.back()}));
  return absl::OkStatus();
}

absl::Status input_shape_of(InferenceContext* c) {
  tensorflow::shape_inference::ShapeHandle x;
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(0, &x));
  c->set_output(0, x);
  return absl::OkStatus();
}

absl::Status matrix_shapes_of(InferenceContext* c) {
  Attributes a;
  bool same;
  TF_RETURN_IF_ERROR(read_attributes(c, &a, &same));
  Geometry geometry;
  if (const char* wrong = geometry.set(a, same, 0)) return InvalidArgumentError(wrong);
  for (int m = 0; m < geometry.matrices() && m < c->num_outputs(); ++m) {
    const auto [positions, filters] = geometry.matrix_shape(m);
    c->set_output(m, c->Matrix(positions, filters));
  }
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("KerasSscConv2D")
    .Input("x: float")
    .Input("weights: matrices * float")
    .Input("bias: biases * float")
    .Input("residual: residuals * float")
    .Input("norm: norms * float")
    .Input("output_norm: output_norms * float")
    .Output("y: float")
    .Output("moments: moment_count * float")
    .Attr("matrices: int >= 1")
    .Attr("biases: int >= 0")
    .Attr("residuals: int >= 0")
    .Attr("norms: int >= 0")
    .Attr("output_norms: int >= 0 = 0")
    .Attr("moment_count: int >= 0 = 0")
    .Attr("epsilon: float = 0.0")
    .Attr("output_epsilon: float = 0.0")
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
    .Input("norm: norms * float")
    .Output("gradients: matrices * float")
    .Attr("matrices: int >= 1")
    .Attr("norms: int >= 0")
    .Attr("epsilon: float = 0.0")
    .PATTERN_ATTRIBUTES.SetShapeFn(matrix_shapes_of);

using tensorflow::DEVICE_CPU;
REGISTER_KERNEL_BUILDER(Name("KerasSscConv2D").Device(DEVICE_CPU), Forward);
REGISTER_KERNEL_BUILDER(Name("KerasSscConv2DInputGradient").Device(DEVICE_CPU), InputGradient);
REGISTER_KERNEL_BUILDER(Name("KerasSscConv2DWeightGradient").Device(DEVICE_CPU), WeightGradient);

}  // namespace keras_ssc
