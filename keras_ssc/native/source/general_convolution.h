// The three passes for every pattern and geometry; row_convolution.h has faster ones for some.
#pragma once

#include "convolution.h"

namespace keras_ssc {

ForwardPass forward_by_vectors(const Problem&, const std::vector<const float*>& weights,
                               const Epilogue&, int slices);
void input_gradient_by_vectors(const Problem&, const float* dy,
                               const std::vector<const float*>& weights, float* dx, int slices,
                               const Runner&);
void weight_gradient_by_vectors(const Problem&, const float* x, const float* dy,
                                const std::vector<float*>& gradients, int slices, const Runner&);

}  // namespace keras_ssc
