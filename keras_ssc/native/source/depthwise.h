// Convolutions whose filters read one channel each, as depthwise convolutions do.
#pragma once

#include "convolution.h"

namespace keras_ssc {

// No pass where it can't serve. It leaves out the prologue.
ForwardPass depthwise_forward(const Problem&, const std::vector<const float*>& weights,
                              const Epilogue&, int slices);

}  // namespace keras_ssc
