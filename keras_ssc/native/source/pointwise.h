// Convolutions whose kernels all have one tap, which reads the pixel itself: products of matrices.
// The pixels of all images are one long line, read where they are.
#pragma once

#include "convolution.h"

namespace keras_ssc {

// No pass where it can't serve.
ForwardPass pointwise_forward(const Problem&, const std::vector<const float*>& weights,
                              const Epilogue&, int slices);
// Each does the pass and returns true, or returns false where it can't serve.
bool pointwise_input_gradient(const Problem&, const float* dy,
                              const std::vector<const float*>& weights, float* dx, int slices,
                              const Runner&);
bool pointwise_weight_gradient(const Problem&, const float* x, const float* dy,
                               const std::vector<float*>& gradients, int slices, const Runner&);

}  // namespace keras_ssc
