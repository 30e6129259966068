// Loops over images beside convolutions, compiled once for every instruction set.
#pragma once

namespace keras_ssc {

struct ImageLoops {
  void (*larger)(const float* x, long count, float* y);  // y = max(y, x)
  void (*add)(const float* x, long count, float* y);     // y += x
  void (*scale)(float factor, long count, float* y);     // y *= factor
  // y = x (+ more), cut below at zero where `relu` and above at `ceiling`.
  void (*sum)(const float* x, const float* more, bool relu, float ceiling, long count, float* y);
};

const ImageLoops* image_loops_plain();
const ImageLoops* image_loops_avx2();
const ImageLoops* image_loops_avx512();
const ImageLoops& image_loops();  // the best this CPU has

}  // namespace keras_ssc
