// How many images go together, and what is kept for the next call.
#include "network_runs.h"

#include <algorithm>

namespace keras_ssc {
namespace {

constexpr int kShares = 1;        // of a step, for each thread
constexpr std::size_t kKept = 3;  // those of many images, those that are left over, a single one

}  // namespace

std::shared_ptr<const PreparedNetwork> NetworkRuns::prepared(const std::vector<Size>& sizes,
                                                             int images, const Weights& weights,
                                                             int slices) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto old = [&](const Kept& one) { return one.weights.at != weights.at; };
  kept_.erase(std::remove_if(kept_.begin(), kept_.end(), old), kept_.end());
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) {
    return one.images == images && one.slices == slices && one.sizes == sizes;
  });
  if (found != kept_.end()) {
    std::rotate(found, found + 1, kept_.end());
    return kept_.back().network;
  }
  if (kept_.size() == kKept) kept_.erase(kept_.begin());
  kept_.push_back({sizes, images, slices, weights,
                   std::make_shared<PreparedNetwork>(network_, sizes, images, weights.at, slices)});
  return kept_.back().network;
}

void NetworkRuns::run(const std::vector<Size>& sizes, int images, const Weights& weights,
                      const std::vector<const float*>& inputs, const std::vector<float*>& outputs,
                      int threads, const Starter& start) {
  Team team(threads - 1, start);
  const Runner all = [&](int count, const std::function<void(int)>& job) { team.run(count, job); };
  // Fewer images than threads: these share out each step.
  if (images < threads)
    return prepared(sizes, images, weights, kShares * threads)->run(inputs, outputs, all);
  // Two or more shares for each thread: one that is held up leaves its work to the others.
  const int share = std::max(1, images / (threads > 1 ? 2 * threads : 1));
  const int together = images_at_a_time(network_, sizes, share), left = images % together;
  const auto whole = prepared(sizes, together, weights, 1);
  const auto rest = left ? prepared(sizes, left, weights, 1) : nullptr;
  const Runner alone = [](int count, const std::function<void(int)>& job) {
    for (int i = 0; i < count; ++i) job(i);
  };
  all((images + together - 1) / together, [&](int i) {
    const long first = (long)i * together;
    std::vector<const float*> from = inputs;
    for (std::size_t k = 0; k < from.size(); ++k) from[k] += first * sizes[k].floats();
    std::vector<float*> to = outputs;
    for (std::size_t k = 0; k < to.size(); ++k)
      to[k] += first * sizes[network_.outputs[k]].floats();
    (first + together > images ? rest : whole)->run(from, to, alone);
  });
}

}  // namespace keras_ssc
