// Compiled with -DINSTRUCTIONS=plain, avx2 or avx512 and that instruction set's flags. No standard
// library here, as in microkernels.cc.
#include "image_loops.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(image_loops_, instructions)

namespace keras_ssc {
namespace {

void larger(const float* x, long count, float* y) {
  for (long i = 0; i < count; ++i) y[i] = y[i] > x[i] ? y[i] : x[i];
}

void add(const float* x, long count, float* y) {
  for (long i = 0; i < count; ++i) y[i] += x[i];
}

void scale(float factor, long count, float* y) {
  for (long i = 0; i < count; ++i) y[i] *= factor;
}

void sum(const float* x, const float* more, bool relu, float ceiling, long count, float* y) {
  for (long i = 0; i < count; ++i) {
    float value = more ? x[i] + more[i] : x[i];
    if (relu) {
      value = value < 0 ? 0 : value;
      value = value > ceiling ? ceiling : value;
    }
    y[i] = value;
  }
}

}  // namespace

const ImageLoops* NAME(INSTRUCTIONS)() {
  static const ImageLoops loops = {larger, add, scale, sum};
  return &loops;
}

}  // namespace keras_ssc
