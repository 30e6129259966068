// The variables of a network behind one handle. To hand over a hundred of them takes a call half a
// millisecond, nearly as long as a small network takes for one image.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"

namespace keras_ssc {

class NetworkWeights : public tensorflow::ResourceBase {
 public:
  using Variables = std::vector<tensorflow::core::RefCountPtr<tensorflow::Var>>;
  explicit NetworkWeights(Variables variables) : variables_(std::move(variables)) {}

  std::string DebugString() const override { return "weights of a network"; }

  // What the variables hold now: nobody changes it as long as it is held here.
  std::vector<tensorflow::Tensor> values() const {
    std::vector<tensorflow::Tensor> all;
    all.reserve(variables_.size());
    for (const auto& variable : variables_) {
      tensorflow::tf_shared_lock lock(*variable->mu());
      all.push_back(variable->copy_on_read_mode.load() ? copy(*variable->tensor())
                                                       : *variable->tensor());
    }
    return all;
  }

 private:
  static tensorflow::Tensor copy(const tensorflow::Tensor& from) {
    tensorflow::Tensor to(from.dtype(), from.shape());
    std::memcpy(to.data(), from.data(), from.TotalBytes());
    return to;
  }

  const Variables variables_;
};

}  // namespace keras_ssc
