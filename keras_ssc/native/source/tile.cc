#include "tile.h"

#include <algorithm>

namespace keras_ssc {

void Tile::clear(float* buffer) const {
  for (int line = 0; line < images * rows; ++line) {
    float* at = buffer + line * row();
    std::fill(at, at + left * pixel(), 0.f);
    std::fill(at + (left + columns) * pixel(), at + row(), 0.f);
  }
}

void Tile::fill(const Microkernels& micro, float* buffer, const float* source, long source_row,
                long source_image, int copied_images, int copied_rows) const {
  for (int i = 0; i < copied_images; ++i)
    for (int r = 0; r < copied_rows; ++r) {
      const float* from = source + i * source_image + r * source_row;
      float* to = buffer + i * image() + r * row() + left * pixel();
      if (order.empty())
        micro.wrap_channels({from, to, columns, channels, extra});
      else
        in_order(from, channels, to, pixel(), columns, order);
    }
}

void in_order(const float* from, long from_pixel, float* to, long to_pixel, long pixels,
              const std::vector<int>& order) {
  const int count = (int)order.size();
  for (long i = 0; i < pixels; ++i, from += from_pixel, to += to_pixel)
    for (int c = 0; c < count; ++c) to[c] = order[c] < 0 ? 0.f : from[order[c]];
}

}  // namespace keras_ssc
