// What is done to a range of pixels, compiled once for every instruction set. Arrays are (pixels,
// channels), float32.
#pragma once

namespace keras_ssc {

// Where a ReLU let values through: where y > 0. Without a residual sum, y = x * scale + shift can
// be computed again, which costs less than reading it.
struct Gate {
  const float *y, *scale, *shift;  // y, or scale and shift, or neither: no ReLU

  Gate from(long at) const { return {y ? y + at : nullptr, scale, shift}; }
};

struct NormalizeLoops {
  // sums[0][c] += x - origin, sums[1][c] += (x - origin)^2: in double, over short float sums.
  void (*moments)(const float* x, const float* origin, long pixels, int channels, double* sums);
  // y = x * scale + shift (+ residual), cut at zero where `relu`.
  void (*apply)(const float* x, const float* scale, const float* shift, const float* residual,
                bool relu, long pixels, int channels, float* y);
  // dz = dy (+ more) where the gate is open: sums[0][c] += dz, sums[1][c] += dz * (x - mean), and
  // dz itself where `dz` is not null.
  void (*gradient_sums)(const float* dy, const float* more, const Gate& gate, const float* x,
                        const float* mean, long pixels, int channels, double* sums, float* dz);
  // dx = a * dz + b * x + c.
  void (*gradient)(const float* dy, const Gate& gate, const float* x, const float* a,
                   const float* b, const float* c, long pixels, int channels, float* dx);
};

const NormalizeLoops* normalize_plain();
const NormalizeLoops* normalize_avx2();
const NormalizeLoops* normalize_avx512();

}  // namespace keras_ssc
