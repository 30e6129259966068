// The passes of filters that read one channel each.
#include <cstdio>
#include <cstdlib>

#include "depthwise.h"
#include "every_size.h"

using namespace keras_ssc;

// Filters of one channel each: of every kernel and stride that a pass of their own serves.
int depthwise_sizes() {
  const int kernels[][2] = {{3, 3}, {5, 5}, {7, 7}, {2, 3}, {1, 5}};
  const int strides[][2] = {{1, 1}, {2, 2}, {3, 1}, {1, 2}};
  const int maps[][3] = {{1, 1, 3}, {3, 7, 2}, {9, 8, 1}, {4, 17, 1}};
  int runs = 0, turn = 0;
  for (int channels : {4, 8, 9, 16, 17, 24, 31, 40})
    for (const auto& kernel : kernels)
      for (const auto& stride : strides)
        for (const auto& map : maps) {
          const bool halves = turn % 2;
          const int zeros = turn++ / 2 % 4;  // before the image: as many, or what "same" comes to
          Axis axes[2];
          for (int i = 0; i < 2; ++i) {
            axes[i] = axis_of(map[i], kernel[i], stride[i], 1, true);
            const int room = map[i] + 2 * zeros - kernel[i];
            if (zeros < 3 && room >= 0)
              axes[i] = {map[i], room / stride[i] + 1, stride[i], 1, zeros};
          }
          for (int widest : {4, 8, 16}) {
            setting = "depthwise";
            for (int one : {channels, kernel[0], kernel[1], stride[0], stride[1], map[0], map[1],
                            (int)halves, zeros, widest})
              setting += " " + std::to_string(one);
            const Pattern pattern = pattern_of({channels, channels << halves, kernel[0], kernel[1],
                                                channels, 0, false, false, !halves});
            convolution(pattern, map[2], axes[0], axes[1], widest, 1 << runs++ % 3);
            const Problem problem = {pattern, map[2], axes[0], axes[1], widest, nullptr};
            const std::vector<float> zero(kernel[0] * kernel[1] * channels);
            const int least = widest == 4 || !microkernels_for(8) ? 4 : 8;
            const std::vector<const float*> matrices(pattern.filters.size(), zero.data());
            if (!!depthwise_forward(problem, matrices, {}, 1) == channels >= least) continue;
            std::printf("a pass or none: %s\n", setting.c_str());
            std::exit(1);
          }
        }
  return runs;
}
