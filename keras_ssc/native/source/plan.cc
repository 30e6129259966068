#include "plan.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace keras_ssc {

std::vector<int> even_parts(int count, int most) {
  const int parts = (count + most - 1) / most;
  std::vector<int> sizes(parts);
  for (int i = 0; i < parts; ++i) sizes[i] = count / parts + (i < count % parts);
  return sizes;
}

int usable_lanes(const Pattern& pattern, int widest) {
  for (int lanes : {16, 8, 4}) {
    if (lanes > widest || !microkernels_for(lanes)) continue;
    bool serves = true;
    for (const auto& filters : pattern.filters) {
      serves &= filters.size() % lanes == 0;
      for (std::size_t i = 1; i < filters.size() && serves; ++i) {
        if (i % lanes == 0) continue;
        const int n = filters[i], before = filters[i - 1];
        serves = n == before + 1 && pattern.shifts[n] == pattern.shifts[before] + 1;
      }
    }
    if (serves) return lanes;
  }
  return 1;
}

std::vector<Vector> vectors_of(const Pattern& pattern, int lanes) {
  std::vector<Vector> all;
  for (int m = 0; m < (int)pattern.filters.size(); ++m) {
    const auto& filters = pattern.filters[m];
    for (int column = 0; column < (int)filters.size(); column += lanes) {
      const int n = filters[column];
      all.push_back({m, column, n, pattern.shifts[n] % pattern.in_channels});
    }
  }
  return all;
}

namespace {

int row_of(const Pattern& p, int tap, int k) { return tap * (int)p.kxk.size() + k; }

int offset(const Pattern& p, const Vector& v, int row) {
  return row * (int)p.filters[v.matrix].size() + v.column;
}

// Appends blocks of output vectors `out` that share the newest list of terms;
// source(k, f) is where the weights of term k for output vector f lie.
template <typename Source>
void add_blocks(Plan& plan, const std::vector<int>& out, int lanes, bool add,
                const Source& source) {
  const int terms = (int)plan.terms.size() - 1, steps = (int)plan.terms.back().size();
  int first = 0;
  for (int size : even_parts((int)out.size(), kMaxVectors)) {
    Block block = {terms, size, {}, add, plan.sources.size() * lanes};
    for (int f = 0; f < size; ++f) block.out[f] = out[first + f];
    for (int k = 0; k < steps; ++k)
      for (int f = 0; f < size; ++f) plan.sources.push_back(source(k, first + f));
    plan.blocks.push_back(block);
    first += size;
  }
  plan.packed_floats = plan.sources.size() * lanes;
}

}  // namespace

Plan forward_plan(const Pattern& p, int lanes) {
  std::map<std::array<int, 2>, std::vector<Vector>> groups;  // (matrix, shift) share their x
  for (const Vector& v : vectors_of(p, lanes)) groups[{v.matrix, v.shift}].push_back(v);
  Plan plan = {};
  for (const auto& [key, group] : groups) {
    const auto [matrix, shift] = key;
    std::vector<Term> terms;
    for (const auto& tap : p.taps[matrix])
      for (int r : p.kxk) terms.push_back({tap[0], tap[1], (r + shift) % p.in_channels});
    for (int r : p.pointwise)
      terms.push_back({p.centre[0], p.centre[1], (r + shift) % p.in_channels});
    plan.terms.push_back(terms);
    std::vector<int> out;
    for (const Vector& v : group) out.push_back(v.filter);
    const auto& vectors = group;
    add_blocks(plan, out, lanes, false, [&](int k, int f) {
      return std::array<int, 2>{vectors[f].matrix, offset(p, vectors[f], k)};
    });
  }
  return plan;
}

namespace {

using Groups = std::map<int, std::vector<Vector>>;  // one shift: they write to the same channels

// Whether the KxK kernels write to every channel, each in one vector only.
bool kernels_tile_channels(const Pattern& p, const Groups& groups, int lanes) {
  std::vector<int> writers(p.in_channels + lanes);
  for (const auto& [shift, group] : groups)
    for (int r : p.kxk)
      for (int lane = 0; lane < lanes; ++lane) ++writers[(r + shift) % p.in_channels + lane];
  for (int c = 0; c < p.in_channels + lanes; ++c)
    if (writers[c] != (c < p.in_channels)) return false;
  return true;
}

// An order in which neighbours don't overlap: a vector that has just been stored in parts
// would have to be waited for.
std::vector<int> apart(const std::vector<int>& channels, int lanes) {
  const int count = (int)channels.size();
  int stride = 1;
  while (stride < count && channels[stride] - channels[0] < lanes) ++stride;
  std::vector<int> order;
  for (int first = 0; first < stride; ++first)
    for (int i = first; i < count; i += stride) order.push_back(i);
  return order;
}

}  // namespace

Plan input_gradient_plan(const Pattern& p, int lanes) {
  Groups groups;
  for (const Vector& v : vectors_of(p, lanes)) groups[v.shift].push_back(v);
  Plan plan = {};
  if (kernels_tile_channels(p, groups, lanes)) plan.stored = p.in_channels;
  for (bool pointwise : {false, true}) {
    const std::vector<int>& channels = pointwise ? p.pointwise : p.kxk;
    if (channels.empty()) continue;
    for (const auto& [shift, group] : groups) {
      std::vector<Term> terms;
      std::vector<std::array<int, 3>> from;  // (matrix, offset at the first channel, row length)
      for (const Vector& v : group) {
        const int taps = (int)p.taps[v.matrix].size();
        const int length = (int)p.filters[v.matrix].size();
        for (int tap = pointwise ? taps : 0; tap < (pointwise ? taps + 1 : taps); ++tap) {
          const auto& place = pointwise ? p.centre : p.taps[v.matrix][tap];
          terms.push_back({place[0], place[1], v.filter});
          from.push_back({v.matrix, offset(p, v, row_of(p, tap, 0)), length});
        }
      }
      plan.terms.push_back(terms);
      const std::vector<int> order = apart(channels, lanes);
      std::vector<int> out;
      for (int i : order) out.push_back((channels[i] + shift) % p.in_channels);
      add_blocks(plan, out, lanes, pointwise || !plan.stored, [&](int k, int f) {
        return std::array<int, 2>{from[k][0], from[k][1] + order[f] * from[k][2]};
      });
    }
  }
  return plan;
}

void pack(const Plan& plan, int lanes, const std::vector<const float*>& weights, float* packed) {
  for (const auto& [matrix, at] : plan.sources) {
    std::memcpy(packed, weights[matrix] + at, lanes * sizeof(float));
    packed += lanes;
  }
}

}  // namespace keras_ssc
