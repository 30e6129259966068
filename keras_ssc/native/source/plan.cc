#include "plan.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "pairs.h"

namespace keras_ssc {

// So few that each weight is hardly used more often than it would be copied.
constexpr long kFewPixels = 96;

int Plan::reads() const {
  int most = 0;
  for (const Block& block : blocks) {
    const int span = block.folded ? micro->lanes : accesses[block.access].span;
    for (const Term& term : terms[block.terms]) most = std::max(most, term.place + span);
  }
  return most;
}

void Plan::add_blocks(const std::vector<Output>& out, bool add, bool folded, bool starts,
                      bool scales) {
  const int steps = (int)terms.back().size();
  int first = 0;
  for (int size : even_parts((int)out.size(), kMaxVectors)) {
    Block block = {(int)terms.size() - 1,
                   (int)accesses.size() - 1,
                   size,
                   {},
                   {},
                   add,
                   folded,
                   floats,
                   nullptr,
                   (long)size * micro->lanes,
                   -1,
                   -1};
    for (int f = 0; f < size; ++f) {
      block.out[f] = out[first + f].channel;
      block.live[f] = out[first + f].live;
    }
    floats += (std::size_t)steps * size * micro->lanes;
    if (starts) block.start = floats;
    if (starts) floats += size * micro->lanes;
    if (scales) block.scale = floats;
    if (scales) floats += size * micro->lanes;
    blocks.push_back(block);
    first += size;
  }
}

bool as_they_are(const std::vector<int>& order, int channels) {
  for (int i = 0; i < (int)order.size(); ++i)
    if (order[i] != i) return false;
  return (int)order.size() == channels;
}

// One float for each lane: those of some channels, then zeros.
void spread(const float* of_channel, const int* channels, int live, int lanes, float* to) {
  for (int l = 0; l < lanes; ++l) to[l] = l < live ? of_channel[channels[l]] : 0.f;
}

// A step of a matrix's sums, which takes one row of it, or two where terms go in pairs; the second
// is -1 where there is none.
struct Rows {
  Term term;
  int distance, first, second;
};

std::vector<Rows> steps_of(const Pattern& p, int matrix, int shift, const Pairs& pairs) {
  std::vector<Rows> steps;
  int row = 0;
  const auto add = [&](const std::array<int, 2>& tap, const std::vector<int>& kernels,
                       const std::vector<Pair>& of_two) {
    const auto term = [&](int kernel) {
      return Term{tap[0], tap[1], (kernels[kernel] + shift) % p.in_channels};
    };
    if (pairs.distances.empty())
      for (int i = 0; i < (int)kernels.size(); ++i) steps.push_back({term(i), 0, row + i, -1});
    for (const Pair& pair : of_two)
      steps.push_back({term(pair.first), pair.distance, row + pair.first,
                       pair.second < 0 ? -1 : row + pair.second});
    row += (int)kernels.size();
  };
  for (const auto& tap : p.taps[matrix]) add(tap, p.kxk, pairs.kxk);
  add(p.centre, p.pointwise, pairs.pointwise);
  return steps;
}

// As `put`, of two rows.
float* put_pairs(float* to, const float* first, const float* second, int live, int lanes) {
  for (int l = 0; l < lanes; ++l)
    to[l] = l < live ? pair_of(first[l], second ? second[l] : 0.f) : 0.f;
  return to + lanes;
}

Plan forward_plan(const Problem& problem, const std::vector<const float*>& weights,
                  const Epilogue& epilogue) {
  const Pattern& p = problem.pattern;
  const Pairs pairs = pairs_of(problem);
  const bool paired = !pairs.distances.empty();
  const bool few =
      !paired && (long)problem.batch * problem.rows.out * problem.columns.out <= kFewPixels;
  Plan plan{};
  plan.distances = pairs.distances;
  const auto vectors = [&](int lanes) { return (int)vectors_of(p, lanes).size(); };
  plan.micro =
      cheapest(problem.lanes, vectors, paired ? paired_microkernels_for : microkernels_for);
  const int lanes = plan.micro->lanes;
  std::vector<int> starts;  // of each matrix's filters in the order of the output
  for (const auto& filters : p.filters) {
    starts.push_back((int)plan.destination.size());
    plan.destination.insert(plan.destination.end(), filters.begin(), filters.end());
  }
  struct Key {
    int matrix, shift;
    Access access;
    bool operator<(const Key& o) const {
      return std::tie(matrix, shift, access) < std::tie(o.matrix, o.shift, o.access);
    }
  };
  std::map<Key, std::vector<Vector>> groups;  // they share their x
  std::vector<std::vector<Rows>> steps;       // of each of them
  for (const Vector& v : vectors_of(p, lanes)) groups[{v.matrix, v.shift, v.access}].push_back(v);
  for (const auto& [key, group] : groups) {
    std::vector<Term> terms;
    steps.push_back(steps_of(p, key.matrix, key.shift, pairs));
    for (const Rows& step : steps.back()) terms.push_back(step.term);
    plan.terms.push_back(terms);
    plan.accesses.push_back(key.access);
    std::vector<Plan::Output> out;
    int last = 0;
    for (const Vector& v : group) {
      out.push_back({starts[v.matrix] + v.column, v.live});
      last = std::max(last, v.access.last);
    }
    for (const Term& term : terms) plan.wraps |= term.place + last >= p.in_channels;
    plan.add_blocks(out, false, false, epilogue.bias, epilogue.scale);
  }
  plan.again = std::max(0, plan.reads() - p.in_channels);
  if (paired) plan.again += -(p.in_channels + plan.again) & 7;  // stored by eight
  for (std::size_t i = 0; i < steps.size(); ++i)
    for (std::size_t k = 0; k < steps[i].size(); ++k)
      plan.terms[i][k].place += steps[i][k].distance * (p.in_channels + plan.again);
  plan.packed = Buffer(plan.floats);
  Block* block = plan.blocks.data();
  const std::vector<Rows>* own = steps.data();
  for (const auto& [key, group] : groups) {
    const auto& filters = p.filters[key.matrix];
    int first = 0;
    for (int size : even_parts((int)group.size(), kMaxVectors)) {
      const float* from = weights[key.matrix];
      const long row = (long)filters.size();
      bool adjacent = true;
      for (int f = 0; f < size; ++f)
        adjacent &= group[first + f].live == lanes &&
                    group[first + f].column == group[first].column + f * lanes;
      float* to = plan.packed.data() + block->packed;
      if (few && adjacent) {
        block->in_place = from + group[first].column;
        block->row = row;
      } else {
        for (const Rows& step : *own)
          for (int f = first; f < first + size; ++f) {
            const float* at = from + step.first * row + group[f].column;
            const float* other = step.second < 0 ? nullptr : at + (step.second - step.first) * row;
            to = paired ? put_pairs(to, at, other, group[f].live, lanes)
                        : put(to, at, group[f].live, lanes);
          }
      }
      for (int f = first; f < first + size; ++f) {
        const int* channels = &filters[group[f].column];
        const int at = (f - first) * lanes;
        if (block->start >= 0)
          spread(epilogue.bias, channels, group[f].live, lanes,
                 plan.packed.data() + block->start + at);
        if (block->scale >= 0)
          spread(epilogue.scale, channels, group[f].live, lanes,
                 plan.packed.data() + block->scale + at);
      }
      first += size;
      ++block;
    }
    ++own;
  }
  if (as_they_are(plan.destination, p.out_channels)) plan.destination.clear();
  return plan;
}

}  // namespace keras_ssc
