#include "vectors.h"

#include <algorithm>

namespace keras_ssc {

// Multiply-adds that take longer than a thread's start, and than a word to one that waits for it.
constexpr double kWorthSlice = 500'000, kWorthWord = 200'000;

std::vector<int> even_parts(int count, int most) {
  const int parts = (count + most - 1) / most;
  std::vector<int> sizes(parts);
  for (int i = 0; i < parts; ++i) sizes[i] = count / parts + (i < count % parts);
  return sizes;
}

std::vector<int> row_parts(int count, int most) {
  std::vector<int> sizes;
  for (; count; count -= sizes.back()) sizes.push_back(next_rows(count, most));
  return sizes;
}

int worth_slices(const Problem& problem, int most, bool ready) {
  const Pattern& p = problem.pattern;
  double products = (double)problem.batch * problem.rows.out * problem.columns.out;
  long weights = 0;
  for (std::size_t m = 0; m < p.filters.size(); ++m)
    weights += (p.taps[m].size() * p.kxk.size() + p.pointwise.size()) * p.filters[m].size();
  products *= weights;
  return (int)std::min<double>(most, 1 + products / (ready ? kWorthWord : kWorthSlice));
}

int usable_lanes(const Pattern&, int widest) {
  for (int lanes : {16, 8})
    if (lanes <= widest && microkernels_for(lanes)) return lanes;
  return 4;
}

const Microkernels* cheapest(int widest, const std::function<int(int lanes)>& count,
                             const Microkernels* (*of)(int lanes)) {
  const Microkernels* best = nullptr;
  long least = 0;
  for (int lanes : {16, 8, 4}) {
    if (lanes > widest || !of(lanes) || (best && lanes == 4)) continue;
    const long cost =
        count(lanes) * (lanes == 16 ? 10L : 8L);  // half the lanes cost nearly as much
    if (best && cost >= least) continue;
    best = of(lanes);
    least = cost;
  }
  return best;
}

Access access_of(const std::vector<int>& index, int lanes) {
  const auto repeats = [&](int count) {
    for (int l = 0; l < (int)index.size(); ++l)
      if (index[l] != l % count) return false;
    return true;
  };
  const int last = *std::max_element(index.begin(), index.end());
  for (Load load : {kOne, kTwo, kFour, kEight})
    if (1 << load < lanes && repeats(1 << load)) return {load, {}, 1 << load, last};
  if (repeats(lanes)) return {kRow, {}, lanes, last};
  Access access = {kPermuted, index, lanes, last};
  access.index.resize(lanes);
  return access;
}

int fitting(const std::vector<int>& numbers, int first, int lanes) {
  const int all = (int)numbers.size(), number = numbers[first];
  // A run of one number, which a single load serves, is not mixed with what comes behind it.
  int begin = first, end = first;
  while (begin && numbers[begin - 1] == number) --begin;
  while (end < all && numbers[end] == number) ++end;
  if (2 * (end - begin) >= lanes) return std::min(lanes, end - first);
  int least = number, most = number, count = 1;
  for (; count < lanes && first + count < all; ++count) {
    least = std::min(least, numbers[first + count]);
    most = std::max(most, numbers[first + count]);
    if (most - least >= lanes) break;
  }
  if (first + count == all) return count;
  for (int fewer = count; 4 * fewer >= 3 * count; --fewer)
    if (numbers[first + fewer] == number && numbers[first + fewer - 1] != number) return fewer;
  return count;
}

std::vector<Vector> vectors_of(const Pattern& p, int lanes) {
  std::vector<Vector> all;
  for (int m = 0; m < (int)p.filters.size(); ++m) {
    std::vector<int> shifts;
    for (int n : p.filters[m]) shifts.push_back(p.shifts[n]);
    for (int column = 0, live; column < (int)shifts.size(); column += live) {
      live = fitting(shifts, column, lanes);
      std::vector<int> index(shifts.begin() + column, shifts.begin() + column + live);
      const int least = *std::min_element(index.begin(), index.end());
      for (int& one : index) one -= least;
      all.push_back({m, column, live, least % p.in_channels, access_of(index, lanes)});
    }
  }
  return all;
}

}  // namespace keras_ssc
