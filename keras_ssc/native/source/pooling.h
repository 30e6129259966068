// The largest or the mean number of each channel in windows of an image.
#pragma once

#include "network.h"

namespace keras_ssc {

// Zeros around the image count like its pixels; what "same" puts around both does not.
void pool(const Step&, int images, const Size&, const float* x, const Size& out, float* y,
          const Runner&);

}  // namespace keras_ssc
