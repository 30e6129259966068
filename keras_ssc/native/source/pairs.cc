#include "pairs.h"

#include <algorithm>

namespace keras_ssc {
namespace {

constexpr int kLanes = 16;
// What it takes to copy a vector of pairs, in multiply-adds of a vector, more than floats.
constexpr double kCopy = 4;
constexpr int kMostDistance = 256;  // that is tried

// Kernels r and r + distance, around the end, as long as there are any. Every kernel is in one
// pair; none are returned where one has no neighbour.
std::vector<Pair> paired(const std::vector<int>& kernels, int channels, int distance) {
  const int count = (int)kernels.size();
  std::vector<int> at(channels, -1), next(count);
  std::vector<bool> follows(count), done(count);
  for (int i = 0; i < count; ++i) at[kernels[i] % channels] = i;
  for (int i = 0; i < count; ++i) {
    next[i] = at[(kernels[i] + distance) % channels];
    if (next[i] >= 0) follows[next[i]] = true;
  }
  std::vector<Pair> pairs;
  for (bool rings : {false, true})  // lines first, from their first kernel on
    for (int i = 0; i < count; ++i) {
      if (done[i] || (!rings && follows[i])) continue;
      std::vector<int> line;
      for (int k = i; k >= 0 && !done[k]; k = next[k]) {
        done[k] = true;
        line.push_back(k);
      }
      if (line.size() == 1 && next[i] < 0) return {};
      int first = line.size() % 2;
      if (first) pairs.push_back({line[0], -1, 0});
      for (; first < (int)line.size(); first += 2)
        pairs.push_back({line[first], line[first + 1], 0});
    }
  return pairs;
}

// The distance that makes the fewest steps of kernels with so many taps, and those.
struct Choice {
  int distance = 0;
  long steps = 0;
  std::vector<Pair> kxk, pointwise;
};

Choice choose(const std::vector<int>& kxk, long taps, const std::vector<int>& pointwise,
              int channels) {
  Choice best;
  for (int distance = 0; distance < std::min(channels, kMostDistance); ++distance) {
    Choice one = {distance, 0, paired(kxk, channels, distance),
                  paired(pointwise, channels, distance)};
    if (one.kxk.empty() != kxk.empty() || one.pointwise.empty() != pointwise.empty()) continue;
    one.steps = taps * one.kxk.size() + one.pointwise.size();
    if (distance == 0 || one.steps < best.steps) best = one;
  }
  return best;
}

}  // namespace

Pairs pairs_of(const Problem& problem) {
  const Pattern& p = problem.pattern;
  if (!problem.bfloat16 || problem.lanes < kLanes || !paired_microkernels_for(kLanes) ||
      p.in_channels < kLanes)
    return {};
  double taps = 0, vectors = 0;  // taps of a vector
  for (std::size_t m = 0; m < p.filters.size(); ++m) {
    const double own = (double)((p.filters[m].size() + kLanes - 1) / kLanes);
    taps += own * p.taps[m].size();
    vectors += own;
  }
  const double pixels = (double)problem.rows.out * problem.columns.out /
                        ((double)problem.rows.in * problem.columns.in);
  const double terms = taps * p.kxk.size() + vectors * p.pointwise.size();
  const auto saved = [&](std::size_t kxk, std::size_t pointwise, int copies) {
    return (terms - taps * kxk - vectors * pointwise) * pixels -
           copies * kCopy * (p.in_channels + kLanes) / kLanes;
  };
  const long most_taps = std::max(1L, (long)(taps / vectors + 0.5));
  Choice one = choose(p.kxk, most_taps, p.pointwise, p.in_channels);
  const Choice kxk = choose(p.kxk, 1, {}, p.in_channels);
  const Choice pointwise = choose({}, 1, p.pointwise, p.in_channels);
  const double by_one = saved(one.kxk.size(), one.pointwise.size(), 1);
  const double by_two = saved(kxk.kxk.size(), pointwise.pointwise.size(), 2);
  if (std::max(by_one, by_two) <= 0) return {};
  if (by_one >= by_two) return {{one.distance}, one.kxk, one.pointwise};
  Pairs pairs = {{kxk.distance, pointwise.distance}, kxk.kxk, pointwise.pointwise};
  for (Pair& pair : pairs.pointwise) pair.distance = 1;
  return pairs;
}

}  // namespace keras_ssc
