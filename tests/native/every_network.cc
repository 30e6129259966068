// Runs networks from a file in arrays of exactly the right length, on one thread and on several, and
// compares with outputs from the file. Built with sanitizers, it finds every step outside.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "network_runs.h"

using namespace keras_ssc;

static std::ifstream file;

template <typename T>
static std::vector<T> read() {
  long count = 0;
  file.read((char*)&count, sizeof count);
  std::vector<T> all(count);
  file.read((char*)all.data(), count * sizeof(T));
  all.shrink_to_fit();
  return all;
}

static void fail(const char* why) {
  std::printf("%s\n", why);
  std::exit(1);
}

static std::vector<std::thread> helpers;

static void on_thread(std::function<void()> job) { helpers.emplace_back(job); }

int main(int, char** arguments) {
  file.open(arguments[1], std::ios::binary);
  int networks = 0;
  for (; file.peek() != EOF; ++networks) {
    NetworkRuns runs;
    if (runs.set(read<int>())) fail("not a program");
    std::vector<std::vector<float>> weights;
    Weights at;
    std::vector<long> floats;
    for (int i = 0; i < runs.network().weights; ++i) {
      weights.push_back(read<float>());
      at.at.push_back(weights.back().data());
      floats.push_back((long)weights.back().size());
    }
    for (long left = read<int>()[0]; left; --left) {
      const std::vector<int> sizes = read<int>();  // images, then rows, columns and channels of all
      std::vector<Size> given, all;
      std::vector<std::vector<float>> inputs, outputs, expected;
      std::vector<const float*> from;
      std::vector<float*> to;
      for (int i = 0; i < runs.network().inputs; ++i) {
        given.push_back({sizes[1 + 3 * i], sizes[2 + 3 * i], sizes[3 + 3 * i]});
        inputs.push_back(read<float>());
        from.push_back(inputs.back().data());
      }
      if (const char* wrong = runs.network().sizes(given, floats, &all)) fail(wrong);
      for (int output : runs.network().outputs) {
        expected.push_back(read<float>());
        outputs.emplace_back(sizes[0] * all[output].floats());
        to.push_back(outputs.back().data());
      }
      for (int threads : {1, 3}) {
        for (auto& output : outputs) std::fill(output.begin(), output.end(), NAN);
        runs.run(all, sizes[0], at, from, to, threads, on_thread);
        for (std::thread& helper : helpers) helper.join();
        helpers.clear();
        for (std::size_t i = 0; i < outputs.size(); ++i) {
          if (outputs[i].size() != expected[i].size()) fail("another size");
          for (std::size_t k = 0; k < outputs[i].size(); ++k)
            if (!(std::fabs(outputs[i][k] - expected[i][k]) <
                  1e-4 * (1 + std::fabs(expected[i][k]))))
              fail("another number");
        }
      }
    }
  }
  std::printf("%d networks\n", networks);
}
