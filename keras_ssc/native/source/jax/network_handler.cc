// The XLA custom call around network_runs.h: a network for inference as one call, on CPU.
#include <climits>
#include <cstring>
#include <map>

#include "../network_runs.h"
#include "call.h"

namespace keras_ssc {
namespace {

constexpr long kSmallWeights = 1 << 20;  // are compared before another thread is awake

// A network, and a copy of the weights that it was last called with. XLA's buffers can't be held,
// and another program may write into them, so each call compares the weights with the copy: what
// was packed serves again where they are equal.
class KeptNetwork {
 public:
  explicit KeptNetwork(const std::vector<int>& program) {
    const char* wrong = runs.set(program);
    require(!wrong, wrong);
  }

  // Equal weights that stay where they are.
  Weights keep(const std::vector<const float*>& given, const std::vector<long>& floats,
               const Runner& run) {
    Weights kept = last();
    std::atomic<bool> equal{kept.holder != nullptr};
    run((int)given.size(), [&](int i) {
      if (equal && std::memcmp(kept.at[i], given[i], floats[i] * sizeof(float))) equal = false;
    });
    if (equal) return kept;
    long all = 0;
    for (long count : floats) all += with_rest(count);
    const auto copy = std::make_shared<Buffer>(all);
    kept = {{}, copy};
    float* next = copy->data();
    for (std::size_t i = 0; i < given.size(); ++i) {
      kept.at.push_back(next);
      std::copy_n(given[i], floats[i], next);
      next += with_rest(floats[i]);
    }
    std::lock_guard<std::mutex> lock(mutex_);
    return last_ = kept;
  }

  NetworkRuns runs;

 private:
  static long with_rest(long floats) { return (floats + 15) / 16 * 16; }
  Weights last() {
    std::lock_guard<std::mutex> lock(mutex_);
    return last_;
  }

  std::mutex mutex_;
  Weights last_;
};

// All networks, by the number of the Python object that a network belongs to, which forgets it at
// its end. XLA would keep such a state for each of its programs, but how a library registers one
// differs between JAX's releases; and programs for several sizes of a batch share this one. A call
// from XLA's cache on disk may bear another network's number, hence the program in the key. Calls
// that are under way hold their network: it can be forgotten at any time.
class KeptNetworks {
 public:
  std::shared_ptr<KeptNetwork> find(int64_t number, const std::vector<int>& program) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto& found = all_[number][program];
    if (!found) found = std::make_shared<KeptNetwork>(program);
    return found;
  }
  bool forget(int64_t number) {
    std::map<std::vector<int>, std::shared_ptr<KeptNetwork>> gone;  // freed without the lock
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = all_.find(number);
    if (found == all_.end()) return false;
    gone.swap(found->second);
    all_.erase(found);
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<int64_t, std::map<std::vector<int>, std::shared_ptr<KeptNetwork>>> all_;
};

KeptNetworks& kept_networks() {
  static auto* all = new KeptNetworks;  // never freed: XLA's threads may outlive other statics
  return *all;
}

// The inputs, then the weights.
void run_network(const Call& call) {
  const auto program = call.attribute<ffi::Span<const int32_t>>("program");
  const auto own =
      kept_networks().find(call.attribute<int64_t>("number"), {program.begin(), program.end()});
  const Network& network = own->runs.network();
  require(call.count() == network.inputs + network.weights, "not the arguments of the network");
  std::vector<Size> given, sizes;
  std::vector<const float*> from, weights;
  std::vector<long> floats;
  long images = 0;
  for (int i = 0; i < call.count(); ++i) {
    const auto x = call.argument(i);
    if (i >= network.inputs) {
      weights.push_back(x.typed_data());
      floats.push_back((long)x.element_count());
      continue;
    }
    const auto shape = x.dimensions();
    require(
        shape.size() == 4 && (i == 0 || shape[0] == images) && x.element_count() < INT_MAX * 16L,
        "inputs must be images, as many of each");
    images = shape[0];
    given.push_back({(int)shape[1], (int)shape[2], (int)shape[3]});
    from.push_back(x.typed_data());
  }
  const char* wrong = network.sizes(given, floats, &sizes);
  require(!wrong, wrong);
  require(call.results.size() == network.outputs.size(), "not the results of the network");
  std::vector<float*> to;
  for (std::size_t i = 0; i < network.outputs.size(); ++i) {
    const Size& size = sizes[network.outputs[i]];
    std::vector<long> shape = {images, size.rows, size.columns, size.channels};
    if (network.flat[i]) shape = {images, size.channels};
    require(has_shape(call.result((int)i), shape), "a result doesn't fit the network");
    to.push_back(call.out((int)i));
  }
  if (!images) return;
  long all = 0;
  for (long count : floats) all += count;
  const Weights kept = own->keep(weights, floats, runner(call.threads, all < kSmallWeights));
  own->runs.run(sizes, (int)images, kept, from, to, threads_of(call.threads),
                starter(call.threads));
}

}  // namespace

KERAS_SSC_HANDLER(KerasSscNetwork, run_network);

// Whether it was there.
extern "C" int KerasSscForgetNetwork(int64_t number) { return kept_networks().forget(number); }

}  // namespace keras_ssc
