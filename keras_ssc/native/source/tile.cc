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
      if (!distances.empty()) {
        micro.pair_channels(
            {from, to, columns, channels, extra, distances.data(), (int)distances.size()});
      } else if (order.channels.empty()) {
        micro.wrap_channels({from, to, columns, channels, extra});
      } else if (!order.pieces.empty()) {
        const int count = (int)order.channels.size();
        micro.in_order({from, to, channels, pixel(), columns, count, order.pieces.data()});
      } else {
        for (int c = 0; c < columns; ++c, from += channels, to += pixel())
          for (std::size_t place = 0; place < order.channels.size(); ++place)
            to[place] = order.channels[place] < 0 ? 0.f : from[order.channels[place]];
      }
    }
}

Order::Order(const std::vector<int>& channels, int all, const Microkernels& micro)
    : channels(channels) {
  const int lanes = micro.lanes, count = (int)channels.size();
  if (all < lanes) return;  // a window would reach beyond the pixel
  for (int first = 0; first < count; first += lanes) {
    std::vector<int> left(lanes, -1);
    for (int l = 0; l < lanes && first + l < count; ++l) left[l] = channels[first + l];
    const std::size_t head = pieces.size();
    pieces.push_back(0);
    for (int l = 0; l < lanes; ++l) {
      if (left[l] < 0) continue;
      const int least = *std::min_element(left.begin(), left.end(), [](int a, int b) {
        return (unsigned)a < (unsigned)b;  // what is left; -1 is the largest
      });
      const int base = std::min(least, all - lanes);
      pieces.push_back(base);
      for (int& one : left) {
        const bool inside = one >= base && one < base + lanes;
        pieces.push_back(inside ? one - base : -1);
        if (inside) one = -1;
      }
      ++pieces[head];
      l = -1;  // from the first lane on again
    }
  }
}

}  // namespace keras_ssc
