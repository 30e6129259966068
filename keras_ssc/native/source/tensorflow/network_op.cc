// The TensorFlow operation around network_runs.h: a network for inference as one operation, on CPU.
#include "../network_runs.h"
#include "convolution_op.h"
#include "network_weights.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace keras_ssc {
namespace {

using tensorflow::DT_FLOAT;
using tensorflow::ResourceHandle;
using tensorflow::shape_inference::InferenceContext;

// Makes the one handle of network_weights.h.
class NetworkWeightsOp : public tensorflow::OpKernel {
 public:
  explicit NetworkWeightsOp(OpKernelConstruction* c) : OpKernel(c) {}

  void Compute(OpKernelContext* c) override {
    NetworkWeights::Variables variables(c->num_inputs());
    for (int i = 0; i < c->num_inputs(); ++i)
      OP_REQUIRES_OK(c, LookupResource(c, tensorflow::HandleFromInput(c, i), &variables[i]));
    Tensor* handle = nullptr;
    OP_REQUIRES_OK(c, c->allocate_output(0, TensorShape(), &handle));
    handle->scalar<ResourceHandle>()() = ResourceHandle::MakeRefCountingHandle(
        new NetworkWeights(std::move(variables)), c->device()->name());
  }
};

class NetworkOp : public tensorflow::OpKernel {
 public:
  explicit NetworkOp(OpKernelConstruction* c) : OpKernel(c) {
    std::vector<int> program;
    OP_REQUIRES_OK(c, c->GetAttr("program", &program));
    const char* wrong = runs_.set(program);
    OP_REQUIRES(c, !wrong, InvalidArgumentError(wrong));
  }

  void Compute(OpKernelContext* c) override {
    tensorflow::OpInputList inputs, given_weights;
    OP_REQUIRES_OK(c, c->input_list("inputs", &inputs));
    OP_REQUIRES_OK(c, c->input_list("weights", &given_weights));
    std::vector<Tensor> weights(given_weights.begin(), given_weights.end());
    if (c->num_inputs() > inputs.size() + given_weights.size()) {  // behind one handle
      tensorflow::core::RefCountPtr<NetworkWeights> held;
      OP_REQUIRES_OK(c,
                     LookupResource(c, tensorflow::HandleFromInput(c, c->num_inputs() - 1), &held));
      weights = held->values();
    }
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
      OP_REQUIRES(c, weight.dtype() == DT_FLOAT, InvalidArgumentError("weights must be float32"));
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
    const auto holder = std::make_shared<std::vector<Tensor>>(std::move(weights));
    runs_.run(sizes, (int)images, {weight_data, holder}, from, to, threads_of(c), starter(c));
  }

 private:
  NetworkRuns runs_;
};

REGISTER_OP("KerasSscNetwork")
    .Input("inputs: input_count * float")
    .Input("weights: weight_count * float")
    .Input("held: held_count * resource")
    .Output("outputs: output_count * float")
    .Attr("input_count: int >= 1")
    .Attr("weight_count: int >= 0")
    .Attr("held_count: int >= 0")
    .Attr("output_count: int >= 1")
    .Attr("program: list(int)")
    .SetShapeFn([](InferenceContext* c) {  // Python knows the shapes
      for (int i = 0; i < c->num_outputs(); ++i) c->set_output(i, c->UnknownShape());
      return absl::OkStatus();
    });

REGISTER_OP("KerasSscNetworkWeights")
    .Input("variables: count * resource")
    .Output("weights: resource")
    .Attr("count: int >= 1")
    .SetIsStateful()
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->Scalar());
      return absl::OkStatus();
    });

REGISTER_KERNEL_BUILDER(Name("KerasSscNetworkWeights").Device(tensorflow::DEVICE_CPU),
                        NetworkWeightsOp);
REGISTER_KERNEL_BUILDER(Name("KerasSscNetwork").Device(tensorflow::DEVICE_CPU), NetworkOp);

}  // namespace
}  // namespace keras_ssc
