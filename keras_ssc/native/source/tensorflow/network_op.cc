// The TensorFlow operation around network_runs.h: a network for inference as one operation, on CPU.
#include "../network_runs.h"
#include "convolution_op.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace keras_ssc {
namespace {

using tensorflow::shape_inference::InferenceContext;

class NetworkOp : public tensorflow::OpKernel {
 public:
  explicit NetworkOp(OpKernelConstruction* c) : OpKernel(c) {
    std::vector<int> program;
    OP_REQUIRES_OK(c, c->GetAttr("program", &program));
    const char* wrong = runs_.set(program);
    OP_REQUIRES(c, !wrong, InvalidArgumentError(wrong));
  }

  void Compute(OpKernelContext* c) override {
    tensorflow::OpInputList inputs, weights;
    OP_REQUIRES_OK(c, c->input_list("inputs", &inputs));
    OP_REQUIRES_OK(c, c->input_list("weights", &weights));
    std::vector<Size> given, sizes;
    std::vector<const float*> from, weight_data;
    std::vector<long> weight_sizes;
    const long images = inputs.size() && inputs[0].dims() ? inputs[0].dim_size(0) : 0;
    for (const Tensor& x : inputs) {
      OP_REQUIRES(c, x.dims() == 4 && x.dim_size(0) == images && x.NumElements() < INT_MAX * 16L,
                  InvalidArgumentError("inputs must be images, as many of each"));
      given.push_back({(int)x.dim_size(1), (int)x.dim_size(2), (int)x.dim_size(3)});
      from.push_back(x.flat<float>().data());
    }
    for (const Tensor& weight : weights) {
      weight_data.push_back(weight.flat<float>().data());
      weight_sizes.push_back(weight.NumElements());
    }
    const Network& network = runs_.network();
    const char* wrong = network.sizes(given, weight_sizes, &sizes);
    OP_REQUIRES(c, !wrong, InvalidArgumentError(wrong));
    std::vector<float*> to;
    for (std::size_t i = 0; i < network.outputs.size(); ++i) {
      const Size& size = sizes[network.outputs[i]];
      const TensorShape shape = network.flat[i]
                                    ? TensorShape({images, size.channels})
                                    : TensorShape({images, size.rows, size.columns, size.channels});
      Tensor* y = nullptr;
      OP_REQUIRES_OK(c, c->allocate_output((int)i, shape, &y));
      to.push_back(y->flat<float>().data());
    }
    if (!images) return;
    // TensorFlow changes no variable in place whose tensor somebody else holds, too.
    const auto holder = std::make_shared<std::vector<Tensor>>(weights.begin(), weights.end());
    runs_.run(sizes, (int)images, {weight_data, holder}, from, to, threads_of(c), starter(c));
  }

 private:
  NetworkRuns runs_;
};

REGISTER_OP("KerasSscNetwork")
    .Input("inputs: input_count * float")
    .Input("weights: weight_count * float")
    .Output("outputs: output_count * float")
    .Attr("input_count: int >= 1")
    .Attr("weight_count: int >= 0")
    .Attr("output_count: int >= 1")
    .Attr("program: list(int)")
    .SetShapeFn([](InferenceContext* c) {  // Python knows the shapes
      for (int i = 0; i < c->num_outputs(); ++i) c->set_output(i, c->UnknownShape());
      return absl::OkStatus();
    });

REGISTER_KERNEL_BUILDER(Name("KerasSscNetwork").Device(tensorflow::DEVICE_CPU), NetworkOp);

}  // namespace
}  // namespace keras_ssc
