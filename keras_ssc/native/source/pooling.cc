#include "pooling.h"

#include <algorithm>

#include "image_loops.h"

namespace keras_ssc {
namespace {

constexpr long kWorthPart = 16 * 1024;  // floats read, about as long as it takes to share them out

// What one window covers along an axis: pixels from .. to - 1, and so many with the zeros.
struct Reach {
  int from, to, all;
};

Reach reach(const Axis& axis, int window, int before, int after, int at) {
  const int first = at * axis.stride - axis.pad, last = first + window;
  return {std::max(0, first), std::min(axis.in, last),
          std::min(axis.in + after, last) - std::max(-before, first)};
}

}  // namespace

void pool(const Step& step, int images, const Size& size, const float* x, const Size& out, float* y,
          const Runner& run) {
  const ImageLoops& loops = image_loops();
  const Zeros& z = step.zeros;
  const auto [height, width] = step.window;
  const Axis rows = make_axis(size.rows, height, step.strides[0], 1, step.same, z.above, z.below);
  const Axis columns =
      make_axis(size.columns, width, step.strides[1], 1, step.same, z.left, z.right);
  const int channels = size.channels;
  const auto row_of = [&](int image, int row) {
    const Reach down = reach(rows, height, z.above, z.below, row);
    float* to = y + ((long)image * out.rows + row) * out.columns * channels;
    for (int column = 0; column < out.columns; ++column, to += channels) {
      const Reach along = reach(columns, width, z.left, z.right, column);
      const int all = down.all * along.all;
      int met = 0;
      for (int r = down.from; r < down.to; ++r)
        for (int c = along.from; c < along.to; ++c) {
          const float* from = x + (((long)image * size.rows + r) * size.columns + c) * channels;
          if (!met++)
            std::copy_n(from, channels, to);
          else
            (step.kind == kMaxPool ? loops.larger : loops.add)(from, channels, to);
        }
      if (!met) std::fill_n(to, channels, 0.f);
      if (step.kind == kAveragePool) loops.scale(1.f / all, channels, to);
      if (step.kind == kMaxPool && met && met < all)
        for (int c = 0; c < channels; ++c) to[c] = to[c] < 0 ? 0 : to[c];  // NaN stays
    }
  };
  const long all = (long)images * out.rows;
  const int parts = (int)std::min(all, 1 + images * size.floats() / kWorthPart);
  run(parts, [&](int part) {
    for (long i = all * part / parts; i < all * (part + 1) / parts; ++i)
      row_of((int)(i / out.rows), (int)(i % out.rows));
  });
}

}  // namespace keras_ssc
