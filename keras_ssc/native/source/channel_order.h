// Channels of one or several arrays, put side by side in any order.
#pragma once

#include <array>
#include <vector>

namespace keras_ssc {

class ChannelOrder {
 public:
  // `channels`: of each channel of the result, which array and which of its channels;
  // `from_channels`: how many each array has.
  ChannelOrder(const std::vector<std::array<int, 2>>& channels,
               const std::vector<int>& from_channels);

  void copy(const std::vector<const float*>& from, long pixels, float* to) const;

 private:
  void add_piece(int first, int lanes);

  const std::vector<std::array<int, 2>> channels_;
  const std::vector<int> from_channels_;
  std::vector<int> pieces_;  // as in ChannelCopy; empty: channel by channel
  int count_ = 0;
};

}  // namespace keras_ssc
