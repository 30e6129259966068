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
    for (int r = 0; r < copied_rows; ++r)
      micro.wrap_channels({source + i * source_image + r * source_row,
                    buffer + i * image() + r * row() + left * pixel(), columns, channels, extra});
}

}  // namespace keras_ssc
