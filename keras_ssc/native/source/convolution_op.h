// What the three TensorFlow operations have in common: attributes, shapes, threads.
#pragma once

#include <algorithm>
#include <string>

#include "convolution.h"
#include "tensorflow_threads.h"

namespace keras_ssc {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using absl::InvalidArgumentError;

inline int output_size(int in, int kernel, int stride, int dilation, bool same) {
  return same ? (in + stride - 1) / stride : (in - (kernel - 1) * dilation - 1) / stride + 1;
}

inline Axis make_axis(int in, int kernel, int stride, int dilation, bool same) {
  Axis axis = {in, output_size(in, kernel, stride, dilation, same), stride, dilation, 0};
  const int needed = (axis.out - 1) * stride + (kernel - 1) * dilation + 1;
  if (same) axis.pad = std::max(needed - in, 0) / 2;
  return axis;
}

// The attributes that all three operations share.
#define PATTERN_ATTRIBUTES                                                              \
  Attr("kernel_size: list(int)")                                                        \
      .Attr("kxk: list(int)")       /* relative channels of the KxK kernels */          \
      .Attr("pointwise: list(int)") /* and of the 1x1 kernels */                        \
      .Attr("taps: list(int)")      /* (row, column) of all matrices, one by one */     \
      .Attr("tap_counts: list(int)") /* how many are each matrix's */                   \
      .Attr("filters: list(int)")   /* columns of all matrices, one by one */           \
      .Attr("filter_counts: list(int)")                                                 \
      .Attr("shifts: list(int)")                                                        \
      .Attr("strides: list(int)")                                                       \
      .Attr("dilations: list(int)")                                                     \
      .Attr("padding: {'SAME', 'VALID'}")                                               \
      .Attr("lanes: int = 0")  /* the widest vector to use; 0: the CPU's  */ \
      .Attr("slices: int = 0") /* parts of the work; 0: some a thread */

class ConvolutionOp : public tensorflow::OpKernel {
 public:
  explicit ConvolutionOp(OpKernelConstruction* c) : OpKernel(c) {
    std::vector<int> taps, tap_counts, filters, filter_counts;
    std::string padding;
    OP_REQUIRES_OK(c, c->GetAttr("kernel_size", &kernel_));
    OP_REQUIRES_OK(c, c->GetAttr("kxk", &pattern_.kxk));
    OP_REQUIRES_OK(c, c->GetAttr("pointwise", &pattern_.pointwise));
    OP_REQUIRES_OK(c, c->GetAttr("taps", &taps));
    OP_REQUIRES_OK(c, c->GetAttr("tap_counts", &tap_counts));
    OP_REQUIRES_OK(c, c->GetAttr("filters", &filters));
    OP_REQUIRES_OK(c, c->GetAttr("filter_counts", &filter_counts));
    OP_REQUIRES_OK(c, c->GetAttr("shifts", &pattern_.shifts));
    OP_REQUIRES_OK(c, c->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(c, c->GetAttr("dilations", &dilations_));
    OP_REQUIRES_OK(c, c->GetAttr("padding", &padding));
    OP_REQUIRES_OK(c, c->GetAttr("lanes", &widest_));
    OP_REQUIRES_OK(c, c->GetAttr("slices", &slices_));
    OP_REQUIRES(c, kernel_.size() == 2 && strides_.size() == 2 && dilations_.size() == 2 &&
                       tap_counts.size() == filter_counts.size(),
                InvalidArgumentError("attributes that don't fit each other"));
    same_ = padding == "SAME";
    pattern_.out_channels = (int)pattern_.shifts.size();
    pattern_.kernel = {kernel_[0], kernel_[1]};
    pattern_.centre = {(kernel_[0] - 1) / 2, (kernel_[1] - 1) / 2};
    std::size_t tap = 0, filter = 0;
    for (std::size_t m = 0; m < tap_counts.size(); ++m) {
      OP_REQUIRES(c, tap + 2 * tap_counts[m] <= taps.size() &&
                         filter + filter_counts[m] <= filters.size(),
                  InvalidArgumentError("attributes that don't fit each other"));
      pattern_.taps.emplace_back();
      for (int i = 0; i < tap_counts[m]; ++i, tap += 2)
        pattern_.taps.back().push_back({taps[tap], taps[tap + 1]});
      pattern_.filters.emplace_back(filters.begin() + filter,
                                    filters.begin() + filter + filter_counts[m]);
      filter += filter_counts[m];
    }
  }

 protected:
  bool problem_of(OpKernelContext* c, const TensorShape& x, Problem* problem) const {
    if (x.dims() != 4) {
      c->SetStatus(InvalidArgumentError("x must have 4 dimensions"));
      return false;
    }
    problem->pattern = pattern_;
    problem->pattern.in_channels = (int)x.dim_size(3);
    problem->batch = (int)x.dim_size(0);
    problem->rows =
        make_axis((int)x.dim_size(1), kernel_[0], strides_[0], dilations_[0], same_);
    problem->columns =
        make_axis((int)x.dim_size(2), kernel_[1], strides_[1], dilations_[1], same_);
    problem->lanes = usable_lanes(problem->pattern, widest_ ? widest_ : 16);
    problem->micro = microkernels_for(problem->lanes);
    if (problem->rows.out < 1 || problem->columns.out < 1) {
      c->SetStatus(InvalidArgumentError("x is smaller than the kernel"));
      return false;
    }
    return true;
  }

  TensorShape output_shape(const Problem& p) const {
    return TensorShape({p.batch, p.rows.out, p.columns.out, pattern_.out_channels});
  }

  TensorShape matrix_shape(int m) const {
    const auto positions = pattern_.taps[m].size() * pattern_.kxk.size();
    return TensorShape({(int64_t)(positions + pattern_.pointwise.size()),
                        (int64_t)pattern_.filters[m].size()});
  }

  bool weights_of(OpKernelContext* c, std::vector<const float*>* weights) const {
    tensorflow::OpInputList matrices;
    const absl::Status status = c->input_list("weights", &matrices);
    bool fit = status.ok() && matrices.size() == (int)pattern_.filters.size();
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

  Pattern pattern_;
  std::vector<int> kernel_, strides_, dilations_;
  bool same_;
  int widest_, slices_;
};

}  // namespace keras_ssc
