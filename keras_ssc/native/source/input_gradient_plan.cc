// What is multiplied with what in the gradient by input. Where the pattern looks the same from the
// channels, they are the lanes, as filters are in the forward pass. What is left has filters as
// lanes again, and each lane is added to its channel.
#include <algorithm>
#include <cstring>
#include <map>

#include "plan.h"

namespace keras_ssc {
namespace {

int row_of(const Pattern& p, int tap, int k) { return tap * (int)p.kxk.size() + k; }

// The pattern seen from the channels, where they too make vectors. All filters of one shift mod
// `period` read, with one kind of kernel, the channels of a few classes mod `period` and nothing
// else: channel c of the KxK kernels belongs to the filters with shift c, of the 1x1 kernels to
// those with shift c - residue, for each of `residues`.
struct Classes {
  int period = 0;
  bool kxk = false, pointwise = false;  // which kernels are so
  std::vector<int> residues;
  // Columns of each matrix, by class.
  std::vector<std::vector<std::vector<int>>> columns;
  std::vector<int> sets;  // of each matrix: filters in its largest class

  explicit Classes(const Pattern& p) {
    const std::vector<int>& first = p.kxk.empty() ? p.pointwise : p.kxk;
    period = first[0];
    if (p.in_channels % period) return;
    long places = 0;
    for (std::size_t m = 0; m < p.filters.size(); ++m) {
      columns.emplace_back(period);
      for (int i = 0; i < (int)p.filters[m].size(); ++i)
        columns[m][p.shifts[p.filters[m][i]] % period].push_back(i);
      sets.push_back(0);
      for (const auto& one : columns[m]) sets[m] = std::max(sets[m], (int)one.size());
      places += (long)sets[m] * period;
    }
    if (places > 2L * p.out_channels) return;  // mostly zeros
    kxk = !p.kxk.empty();
    std::vector<int> count(period);
    for (int r : p.pointwise) ++count[r % period];
    for (int residue = 0; residue < period; ++residue)
      if (count[residue]) residues.push_back(residue);
    pointwise =
        !p.pointwise.empty() && residues.size() * (p.in_channels / period) == p.pointwise.size();
    if (!pointwise) residues.clear();
  }
};

// Terms of lists, and what their weights are.
struct ClassTerm {
  int matrix, tap, residue, set;  // tap: which of the matrix's; -1: 1x1
};

// The weights of those blocks: for each channel the ones that the filters have which read it.
void pack_classes(Plan& plan, const Pattern& p, const Classes& classes,
                  const std::vector<ClassTerm>& all, int first_block,
                  const std::vector<const float*>& weights) {
  const int lanes = plan.micro->lanes, period = classes.period, M = p.in_channels;
  std::vector<int> kxk_row(M), pointwise_row(M);
  for (int k = 0; k < (int)p.kxk.size(); ++k) kxk_row[p.kxk[k] % M] = k;
  for (int k = 0; k < (int)p.pointwise.size(); ++k) pointwise_row[p.pointwise[k] % M] = k;
  // Of each matrix: the columns of every set, class by class, and their shifts; -1: none.
  std::vector<std::vector<int>> columns, shifts;
  for (std::size_t m = 0; m < p.filters.size(); ++m) {
    columns.emplace_back(classes.sets[m] * period, -1);
    shifts.emplace_back(classes.sets[m] * period);
    for (int one = 0; one < period; ++one)
      for (int set = 0; set < (int)classes.columns[m][one].size(); ++set) {
        const int column = classes.columns[m][one][set];
        columns[m][set * period + one] = column;
        shifts[m][set * period + one] = p.shifts[p.filters[m][column]] % M;
      }
  }
  for (int b = first_block; b < (int)plan.blocks.size(); ++b) {
    const Block& block = plan.blocks[b];
    float* to = plan.packed.data() + block.packed;
    for (const ClassTerm& t : all) {
      const std::vector<int>& row = t.tap < 0 ? pointwise_row : kxk_row;
      const int first_row = row_of(p, t.tap < 0 ? (int)p.taps[t.matrix].size() : t.tap, 0);
      const long pitch = (long)p.filters[t.matrix].size();
      const float* from = weights[t.matrix] + first_row * pitch;
      const int* column = columns[t.matrix].data() + t.set * period;
      const int* shift = shifts[t.matrix].data() + t.set * period;
      for (int f = 0; f < block.vectors; ++f, to += lanes) {
        int one = (block.out[f] - t.residue + period) % period;
        for (int l = 0; l < lanes; ++l, one = one + 1 == period ? 0 : one + 1) {
          if (l >= block.live[f] || column[one] < 0) {
            to[l] = 0;
            continue;
          }
          const int r = block.out[f] + l - shift[one];
          to[l] = from[row[r < 0 ? r + M : r] * pitch + column[one]];
        }
      }
    }
  }
}

// Sums for vectors of channels, without folding.
void add_class_blocks(Plan& plan, const Pattern& p, const Classes& classes,
                      const std::vector<const float*>& weights) {
  const int lanes = plan.micro->lanes, period = classes.period, M = p.in_channels;
  // Each set once more, where loads begin within it.
  const bool turned = !classes.residues.empty() && classes.residues.back() > 0;
  const int pitch = turned ? 2 * period : period;
  std::vector<int> starts;
  for (std::size_t m = 0; m < p.filters.size(); ++m) {
    starts.push_back((int)plan.source.size());
    for (int set = 0; set < classes.sets[m]; ++set)
      for (int place = 0; place < pitch; ++place) {
        const auto& column = classes.columns[m][place % period];
        plan.source.push_back(set < (int)column.size() ? p.filters[m][column[set]] : -1);
      }
  }
  std::vector<ClassTerm> all;
  for (int m = 0; m < (int)p.filters.size(); ++m) {
    for (int tap = 0; classes.kxk && tap < (int)p.taps[m].size(); ++tap)
      for (int set = 0; set < classes.sets[m]; ++set) all.push_back({m, tap, 0, set});
    for (int residue : classes.residues)
      for (int set = 0; set < classes.sets[m]; ++set) all.push_back({m, -1, residue, set});
  }
  std::vector<int> numbers(M);
  for (int c = 0; c < M; ++c) numbers[c] = c % period;
  std::map<std::pair<int, Access>, std::vector<Plan::Output>> groups;  // by class of the first lane
  for (int c = 0, live; c < M; c += live) {
    live = fitting(numbers, c, lanes);
    std::vector<int> index(numbers.begin() + c, numbers.begin() + c + live);
    const int least = *std::min_element(index.begin(), index.end());
    for (int& one : index) one -= least;
    groups[{least, access_of(index, lanes)}].push_back({c, live});
  }
  const int first_block = (int)plan.blocks.size();
  for (const auto& [key, out] : groups) {
    plan.terms.emplace_back();
    for (const ClassTerm& t : all) {
      const auto& tap = t.tap < 0 ? p.centre : p.taps[t.matrix][t.tap];
      const int turn = (key.first - t.residue + period) % period;
      plan.terms.back().push_back({tap[0], tap[1], starts[t.matrix] + t.set * pitch + turn});
    }
    plan.accesses.push_back(key.second);
    plan.add_blocks(out, false, false, false);
  }
  plan.packed = Buffer(plan.floats);
  pack_classes(plan, p, classes, all, first_block, weights);
}

// An order in which neighbours don't overlap: a vector that has just been stored in parts
// would have to be waited for.
std::vector<int> apart(const std::vector<int>& channels, int span) {
  const int count = (int)channels.size();
  int stride = 1;
  while (stride < count && channels[stride] - channels[0] < span) ++stride;
  std::vector<int> order;
  for (int first = 0; first < stride; ++first)
    for (int i = first; i < count; i += stride) order.push_back(i);
  return order;
}

// Sums over vectors of filters, whose lanes are added to the channels that they read.
void add_folded_blocks(Plan& plan, const Pattern& p, bool kxk, bool pointwise,
                       const std::vector<const float*>& weights) {
  const int lanes = plan.micro->lanes;
  const std::vector<Vector> vectors = vectors_of(p, lanes);
  std::vector<int> source;
  for (const Vector& v : vectors)
    for (int l = 0; l < lanes; ++l)
      source.push_back(l < v.live ? p.filters[v.matrix][v.column + l] : -1);
  const int start = source == plan.source ? 0 : (int)plan.source.size();
  if (start == (int)plan.source.size())
    plan.source.insert(plan.source.end(), source.begin(), source.end());
  std::map<std::pair<int, Access>, std::vector<int>> groups;  // they write to the same channels
  for (int i = 0; i < (int)vectors.size(); ++i)
    groups[{vectors[i].shift, vectors[i].access}].push_back(i);
  struct Source {
    int matrix, live, column;
    long row;  // of the first channel
  };
  std::vector<std::pair<std::vector<Source>, std::vector<int>>> filling;  // of each list of terms
  const int first_terms = (int)plan.terms.size(), first_block = (int)plan.blocks.size();
  for (bool is_pointwise : {false, true}) {
    if (!(is_pointwise ? pointwise : kxk)) continue;
    const std::vector<int>& channels = is_pointwise ? p.pointwise : p.kxk;
    for (const auto& [key, group] : groups) {
      const auto& [shift, access] = key;
      filling.emplace_back();
      plan.terms.emplace_back();
      int live = 0;
      for (int i : group) {
        const Vector& v = vectors[i];
        const int taps = (int)p.taps[v.matrix].size();
        live = std::max(live, v.live);
        for (int tap = is_pointwise ? taps : 0; tap < (is_pointwise ? taps + 1 : taps); ++tap) {
          const auto& place = is_pointwise ? p.centre : p.taps[v.matrix][tap];
          plan.terms.back().push_back({place[0], place[1], start + i * lanes});
          filling.back().first.push_back({v.matrix, v.live, v.column, row_of(p, tap, 0)});
        }
      }
      plan.accesses.push_back(access);
      plan.beyond = std::max(plan.beyond, access.span);
      std::vector<Plan::Output> out;
      filling.back().second = apart(channels, access.span);
      for (int i : filling.back().second)
        out.push_back({(channels[i] + shift) % p.in_channels, live});
      plan.add_blocks(out, true, true, false);
    }
  }
  Buffer packed(plan.floats);
  if (first_block)
    std::memcpy(packed.data(), plan.packed.data(), plan.blocks[first_block].packed * sizeof(float));
  plan.packed = std::move(packed);
  for (int b = first_block, first = 0; b < (int)plan.blocks.size(); ++b) {
    const Block& block = plan.blocks[b];
    if (b > first_block && block.terms != plan.blocks[b - 1].terms) first = 0;
    const auto& [sources, order] = filling[block.terms - first_terms];
    float* to = plan.packed.data() + block.packed;
    for (const Source& s : sources)
      for (int f = 0; f < block.vectors; ++f)
        to = put(
            to,
            weights[s.matrix] + (s.row + order[first + f]) * p.filters[s.matrix].size() + s.column,
            s.live, lanes);
    first += block.vectors;
  }
}

}  // namespace

Plan input_gradient_plan(const Problem& problem, const std::vector<const float*>& weights) {
  const Pattern& p = problem.pattern;
  const Classes classes(p);
  const bool kxk = !p.kxk.empty(), pointwise = !p.pointwise.empty();
  const bool class_blocks = classes.kxk || classes.pointwise;
  Plan plan{};
  plan.micro = cheapest(problem.lanes, [&](int lanes) {
    return class_blocks ? (p.in_channels + lanes - 1) / lanes : (int)vectors_of(p, lanes).size();
  });
  if (class_blocks) add_class_blocks(plan, p, classes, weights);
  plan.stored = class_blocks ? p.in_channels : 0;
  plan.folded = kxk != classes.kxk || pointwise != classes.pointwise;
  if (plan.folded)
    add_folded_blocks(plan, p, kxk && !classes.kxk, pointwise && !classes.pointwise, weights);
  if (as_they_are(plan.source, p.out_channels)) plan.source.clear();
  plan.again = std::max(0, plan.reads() - p.out_channels);
  return plan;
}

}  // namespace keras_ssc
