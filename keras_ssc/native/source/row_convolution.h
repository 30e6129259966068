// 3x3 convolutions of stride 1 on maps at least 8 pixels wide, row by row: the three passes.
//
// What serves them all: even filters, then odd ones, in whole vectors; filter n shifted by n mod q,
// where q divides the vector or the vector q. Each returns false, having done nothing, or no pass,
// where it does not serve.
#pragma once

#include "convolution.h"
#include "row_kernels.h"

namespace keras_ssc {

// The best kernels of this CPU for vectors of `lanes` floats that hold `repeats` sets; or null.
const RowKernels* row_kernels_for(int lanes, int repeats);
const RowKernels* paired_row_kernels_for(int lanes, int repeats);
const RowSums* row_sums_for(int lanes, int repeats);

ForwardPass forward_by_rows(const Problem&, const std::vector<const float*>& weights,
                            const Epilogue&, int slices);
bool input_gradient_by_rows(const Problem&, const float* dy,
                            const std::vector<const float*>& weights, float* dx, int slices,
                            const Runner&);
bool weight_gradient_by_rows(const Problem&, const float* x, const float* dy,
                             const std::vector<float*>& gradients, int slices, const Runner&);

}  // namespace keras_ssc
