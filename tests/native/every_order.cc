// Channels of several arrays in any order.
#include "channel_order.h"

#include <algorithm>

#include "every_size.h"

using namespace keras_ssc;

int channel_orders() {
  int runs = 0;
  for (int arrays : {1, 2, 3, 9})
    for (int channels : {3, 8, 16, 29, 58})
      for (int count : {1, 15, 16, 17, 58, 116})
        for (int stride : {0, 1, 7}) {  // 0: one array after the other
          setting = "order";
          for (int one : {arrays, channels, count, stride}) setting += " " + std::to_string(one);
          std::vector<std::array<int, 2>> order;
          for (int c = 0; c < count; ++c)
            order.push_back(stride
                                ? std::array<int, 2>{c % arrays, (c / arrays * stride) % channels}
                                : std::array<int, 2>{c / channels % arrays, c % channels});
          const long pixels = 1 + runs++ % 40;
          std::vector<std::vector<float>> all;
          std::vector<const float*> from;
          for (int k = 0; k < arrays; ++k) all.push_back(numbers(pixels * channels));
          for (const auto& one : all) from.push_back(one.data());
          std::vector<float> to(pixels * count);
          std::vector<double> expected;
          for (long i = 0; i < pixels; ++i)
            for (const auto& [array, channel] : order)
              expected.push_back(all[array][i * channels + channel]);
          ChannelOrder(order, std::vector<int>(arrays, channels)).copy(from, pixels, to.data());
          compare("order", to, expected);
        }
  return runs;
}
