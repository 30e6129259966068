// What the three TensorFlow operations have in common: attributes, shapes, threads.
#pragma once

#include <algorithm>
#include <string>

#include "../attributes.h"
#include "threads.h"

namespace keras_ssc {

using absl::InvalidArgumentError;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// The attributes that all three operations share; attributes.h says what they mean.
#define PATTERN_ATTRIBUTES                                                  \
  Attr("kernel_size: list(int)")                                            \
      .Attr("kxk: list(int)")                                               \
      .Attr("pointwise: list(int)")                                         \
      .Attr("taps: list(int)")                                              \
      .Attr("tap_counts: list(int)")                                        \
      .Attr("filters: list(int)")                                           \
      .Attr("filter_counts: list(int)")                                     \
      .Attr("shifts: list(int)")                                            \
      .Attr("strides: list(int)")                                           \
      .Attr("dilations: list(int)")                                         \
      .Attr("padding: {'SAME', 'VALID'}")                                   \
      .Attr("lanes: int = 0")  /* the widest vector to use; 0: the CPU's */ \
      .Attr("slices: int = 0") /* parts of the work; 0: some a thread */

// Reads attributes from what has GetAttr: a kernel's construction, or the inference of shapes.
template <typename Context>
absl::Status read_attributes(Context* c, Attributes* attributes, bool* same) {
  absl::Status status;
  attributes->each(
      [&](const char* name, std::vector<int>& list) { status.Update(c->GetAttr(name, &list)); });
  std::string padding;
  status.Update(c->GetAttr("padding", &padding));
  *same = padding == "SAME";
  return status;
}

template <typename Numbers>
TensorShape shape_of(const Numbers& sizes) {
  TensorShape shape;
  for (long size : sizes) shape.AddDim(size);
  return shape;
}

class ConvolutionOp : public tensorflow::OpKernel {
 public:
  explicit ConvolutionOp(OpKernelConstruction* c) : OpKernel(c) {
    Attributes attributes;
    bool same;
    int widest;
    OP_REQUIRES_OK(c, read_attributes(c, &attributes, &same));
    OP_REQUIRES_OK(c, c->GetAttr("lanes", &widest));
    OP_REQUIRES_OK(c, c->GetAttr("slices", &slices_));
    const char* wrong = geometry_.set(attributes, same, widest);
    OP_REQUIRES(c, !wrong, InvalidArgumentError(wrong));
  }

 protected:
  bool problem_of(OpKernelContext* c, const TensorShape& x, Problem* problem) const {
    const char* wrong = "x must have 4 dimensions";
    if (x.dims() == 4)
      wrong =
          geometry_.problem({x.dim_size(0), x.dim_size(1), x.dim_size(2), x.dim_size(3)}, problem);
    if (wrong) c->SetStatus(InvalidArgumentError(wrong));
    return !wrong;
  }

  TensorShape output_shape(const Problem& p) const { return shape_of(geometry_.output_shape(p)); }
  TensorShape matrix_shape(int m) const { return shape_of(geometry_.matrix_shape(m)); }

  bool weights_of(OpKernelContext* c, std::vector<const float*>* weights) const {
    tensorflow::OpInputList matrices;
    const absl::Status status = c->input_list("weights", &matrices);
    bool fit = status.ok() && matrices.size() == geometry_.matrices();
    for (int m = 0; fit && m < matrices.size(); ++m) {
      fit = matrices[m].shape() == matrix_shape(m);
      weights->push_back(matrices[m].flat<float>().data());
    }
    if (!fit) c->SetStatus(InvalidArgumentError("weights don't fit the pattern"));
    return fit;
  }

  // More parts than threads: one that is held up leaves its work to the others.
  int slices(OpKernelContext* c, const Problem& problem, int for_each_thread) const {
    return slices_ ? slices_ : worth_slices(problem, threads_of(c) * for_each_thread);
  }

  Geometry geometry_;
  int slices_;
};

}  // namespace keras_ssc
