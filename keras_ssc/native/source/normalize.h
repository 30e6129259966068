// Batch normalisation with an optional sum and ReLU behind it, in as few passes as can be.
//
// Arrays are (pixels, channels), float32; ranges of pixels are shared out to threads.
#pragma once

#include "convolution.h"
#include "normalize_loops.h"

namespace keras_ssc {

const NormalizeLoops& normalize_loops();  // the best this CPU has

struct Normalization {
  long pixels;
  int channels, slices;
  const Runner& run;
};

// Mean and variance of an array that becomes known piece by piece. Every slice sums for itself,
// around the first pixel that it meets, so that a large mean does not swallow the variance.
class MomentSums {
 public:
  MomentSums(int channels, int slices);
  void add(int slice, const float* x, long pixels);
  void finish(float* mean, float* variance) const;

 private:
  struct Slice {
    long pixels = 0;
    std::vector<float> origin;
    std::vector<double> sums;  // of x - origin, then of its square
  };
  const int channels_;
  std::vector<Slice> slices_;
};

// Mean and variance (of the population, as Keras takes it) of every channel.
void moments(const Normalization&, const float* x, float* mean, float* variance);
// What the normalisation multiplies and adds, for every channel.
void scale_and_shift(int channels, const float* gamma, const float* beta, const float* mean,
                     const float* variance, float epsilon, float* scale, float* shift);
void apply(const Normalization&, const float* x, const float* scale, const float* shift,
           const float* residual, bool relu, float* y);
// Gradients of y = relu((x - mean) * inverse * gamma + beta + residual), with the batch's moments.
// The gradient by y is dy, plus `more` where that is not null; dresidual is needed with `more`.
void gradient(const Normalization&, const float* dy, const float* more, const Gate& gate,
              const float* x, const float* gamma, const float* mean, const float* inverse,
              float* dx, float* dgamma, float* dbeta, float* dresidual);

}  // namespace keras_ssc
