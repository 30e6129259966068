#include "tile.h"

#include <algorithm>
#include <cstring>

namespace keras_ssc {

void Tile::clear(float* buffer) const {
  for (int line = 0; line < images * rows; ++line) {
    float* at = buffer + line * row();
    std::fill(at, at + left * pixel(), 0.f);
    std::fill(at + (left + columns) * pixel(), at + row(), 0.f);
  }
}

void Tile::fill(float* buffer, const float* source, long source_row, long source_image,
                int copied_images, int copied_rows) const {
  for (int i = 0; i < copied_images; ++i)
    for (int r = 0; r < copied_rows; ++r) {
      const float* from = source + i * source_image + r * source_row;
      float* to = buffer + i * image() + r * row() + left * pixel();
      for (int c = 0; c < columns; ++c, from += channels, to += pixel()) {
        std::memcpy(to, from, channels * sizeof(float));
        for (int k = 0; k < extra; k += channels)
          std::memcpy(to + channels + k, from, std::min(extra - k, channels) * sizeof(float));
      }
    }
}

}  // namespace keras_ssc
