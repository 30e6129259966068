// A network for whatever comes: any number of images, of any size that fits.
#pragma once

#include "network.h"
#include "team.h"

namespace keras_ssc {

// Where the weights are, and what sees to it that the same numbers stay there as long as it exists:
// then what was packed can be used again.
struct Weights {
  std::vector<const float*> at;
  std::shared_ptr<const void> holder;
};

// Keeps the last few prepared networks. Several threads may use it at a time.
class NetworkRuns {
 public:
  const char* set(const std::vector<int>& program) { return network_.set(program); }
  const Network& network() const { return network_; }

  void run(const std::vector<Size>& sizes, int images, const Weights& weights,
           const std::vector<const float*>& inputs, const std::vector<float*>& outputs, int threads,
           const Starter&);

 private:
  struct Kept {
    std::vector<Size> sizes;
    int images, slices;
    Weights weights;
    std::shared_ptr<const PreparedNetwork> network;
  };
  std::shared_ptr<const PreparedNetwork> prepared(const std::vector<Size>& sizes, int images,
                                                  const Weights& weights, int slices);

  Network network_;
  std::mutex mutex_;
  std::vector<Kept> kept_;  // the newest last
};

}  // namespace keras_ssc
