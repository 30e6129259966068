#include "channel_order.h"

#include <algorithm>

#include "image_loops.h"

namespace keras_ssc {

ChannelOrder::ChannelOrder(const std::vector<std::array<int, 2>>& channels,
                           const std::vector<int>& from_channels)
    : channels_(channels), from_channels_(from_channels) {
  const int lanes = image_loops().lanes, all = (int)channels.size();
  // A window must not reach beyond its pixel.
  const int least = *std::min_element(from_channels.begin(), from_channels.end());
  if (std::min(least, all) < lanes) return;
  for (int first = 0; first < all; first += lanes) add_piece(std::min(first, all - lanes), lanes);
}

void ChannelOrder::add_piece(int first, int lanes) {
  pieces_.push_back(first);
  const std::size_t windows = pieces_.size();
  pieces_.push_back(0);
  std::vector<bool> done(lanes);
  for (int l = 0; l < lanes; ++l) {
    if (done[l]) continue;
    const int array = channels_[first + l][0];
    int base = from_channels_[array] - lanes;
    for (int m = l; m < lanes; ++m)
      if (!done[m] && channels_[first + m][0] == array)
        base = std::min(base, channels_[first + m][1]);
    pieces_.push_back(array);
    pieces_.push_back(base);
    for (int m = 0; m < lanes; ++m) {
      const int place = channels_[first + m][1] - base;
      const bool inside =
          !done[m] && channels_[first + m][0] == array && place >= 0 && place < lanes;
      pieces_.push_back(inside ? place : -1);
      if (inside) done[m] = true;
    }
    ++pieces_[windows];
    --l;  // until this lane is done
  }
  ++count_;
}

void ChannelOrder::copy(const std::vector<const float*>& from, long pixels, float* to) const {
  const int all = (int)channels_.size();
  if (count_) {
    image_loops().channels(
        {from.data(), from_channels_.data(), to, all, pixels, pieces_.data(), count_});
    return;
  }
  for (int c = 0; c < all; ++c) {
    const auto [array, channel] = channels_[c];
    for (long i = 0; i < pixels; ++i)
      to[i * all + c] = from[array][i * from_channels_[array] + channel];
  }
}

}  // namespace keras_ssc
