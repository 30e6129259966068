#include "normalize.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace keras_ssc {
namespace {

// body(first pixel, pixels, slice) for every slice.
template <typename Body>
void over_pixels(const Normalization& n, const Body& body) {
  assert(n.pixels >= 0 && n.channels >= 1 && n.slices >= 1);
  n.run(n.slices, [&](int slice) {
    const long from = n.pixels * slice / n.slices, to = n.pixels * (slice + 1) / n.slices;
    if (from < to) body(from, to - from, slice);
  });
}

// Two sums of every channel, the slices added in their order.
template <typename Body>
std::vector<double> total(const Normalization& n, const Body& body) {
  const std::size_t width = 2 * n.channels;
  std::vector<double> sums(width * n.slices);
  over_pixels(
      n, [&](long from, long count, int slice) { body(from, count, sums.data() + slice * width); });
  for (int slice = 1; slice < n.slices; ++slice)
    for (std::size_t i = 0; i < width; ++i) sums[i] += sums[slice * width + i];
  sums.resize(width);
  return sums;
}

}  // namespace

MomentSums::MomentSums(int channels, int slices) : channels_(channels), slices_(slices) {}

void MomentSums::add(int slice, const float* x, long pixels) {
  Slice& own = slices_[slice];
  if (!own.pixels) {
    own.origin.assign(x, x + channels_);
    own.sums.assign(2 * channels_, 0.0);
  }
  own.pixels += pixels;
  normalize_loops().moments(x, own.origin.data(), pixels, channels_, own.sums.data());
}

void MomentSums::finish(float* mean, float* variance) const {
  long pixels = 0;
  for (const Slice& slice : slices_) pixels += slice.pixels;
  for (int c = 0; c < channels_; ++c) {
    double sum = 0, squares = 0;
    for (const Slice& s : slices_)
      if (s.pixels) sum += s.pixels * (double)s.origin[c] + s.sums[c];
    const double centre = sum / pixels;
    for (const Slice& s : slices_)
      if (s.pixels) {
        const double distance = s.origin[c] - centre;
        squares += s.sums[channels_ + c] + distance * (2 * s.sums[c] + s.pixels * distance);
      }
    mean[c] = (float)centre;
    variance[c] = (float)std::max(0.0, squares / pixels);
  }
}

void moments(const Normalization& n, const float* x, float* mean, float* variance) {
  MomentSums sums(n.channels, n.slices);
  over_pixels(
      n, [&](long from, long count, int slice) { sums.add(slice, x + from * n.channels, count); });
  sums.finish(mean, variance);
}

void scale_and_shift(int channels, const float* gamma, const float* beta, const float* mean,
                     const float* variance, float epsilon, float* scale, float* shift) {
  for (int i = 0; i < channels; ++i) {
    scale[i] = gamma[i] / std::sqrt(variance[i] + epsilon);
    shift[i] = beta[i] - mean[i] * scale[i];
  }
}

void apply(const Normalization& n, const float* x, const float* scale, const float* shift,
           const float* residual, bool relu, float* y) {
  const NormalizeLoops& loops = normalize_loops();
  over_pixels(n, [&](long from, long count, int) {
    const long at = from * n.channels;
    loops.apply(x + at, scale, shift, residual ? residual + at : nullptr, relu, count, n.channels,
                y + at);
  });
}

void gradient(const Normalization& n, const float* dy, const float* more, const Gate& gate,
              const float* x, const float* gamma, const float* mean, const float* inverse,
              float* dx, float* dgamma, float* dbeta, float* dresidual) {
  assert(!more || dresidual);
  const NormalizeLoops& loops = normalize_loops();
  const auto sums = total(n, [&](long from, long count, double* own) {
    const long at = from * n.channels;
    loops.gradient_sums(dy + at, more ? more + at : nullptr, gate.from(at), x + at, mean, count,
                        n.channels, own, dresidual ? dresidual + at : nullptr);
  });
  std::vector<float> a(n.channels), b(n.channels), c(n.channels);
  for (int i = 0; i < n.channels; ++i) {
    const double slope = (double)gamma[i] * inverse[i];
    const double along = sums[n.channels + i] * inverse[i];  // sum of dz * normalised x
    dbeta[i] = (float)sums[i];
    dgamma[i] = (float)along;
    a[i] = (float)slope;
    b[i] = (float)(-slope * inverse[i] * along / n.pixels);
    c[i] = (float)(-slope * sums[i] / n.pixels - (double)b[i] * mean[i]);
  }
  over_pixels(n, [&](long from, long count, int) {
    const long at = from * n.channels;
    // The gradient by the residual is the sum of all, behind the gate.
    const float* slope = dresidual ? dresidual : dy;
    loops.gradient(slope + at, dresidual ? Gate{} : gate.from(at), x + at, a.data(), b.data(),
                   c.data(), count, n.channels, dx + at);
  });
}

}  // namespace keras_ssc
