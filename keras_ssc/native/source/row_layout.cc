#include "row_layout.h"

namespace keras_ssc {
namespace {

// Filters n shifted by n mod q: q, or 0.
int set_of(const Pattern& p) {
  const int N = p.out_channels;
  int q = 1;
  while (q < N && p.shifts[q] != 0) ++q;
  for (int n = 0; n < N; ++n)
    if (p.shifts[n] != n % q) return 0;
  return q;
}

// Even filters with the taps of even row + column, then as many odd ones with the others.
bool by_halves(const Pattern& p) {
  const int half = p.out_channels / 2;
  if (p.filters.size() != 2) return false;
  for (int parity : {0, 1}) {
    if ((int)p.filters[parity].size() != half) return false;
    for (int i = 0; i < half; ++i)
      if (p.filters[parity][i] != parity * half + i) return false;
    std::size_t tap = 0;
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 3; ++c)
        if ((r + c) % 2 == parity &&
            (tap >= p.taps[parity].size() || p.taps[parity][tap++] != std::array<int, 2>{r, c}))
          return false;
    if (tap != p.taps[parity].size()) return false;
  }
  return true;
}

bool plain(const Axis& a) {
  return a.stride == 1 && a.dilation == 1 && a.pad <= 1 && a.out == a.in + 2 * a.pad - 2;
}

}  // namespace

RowLayout row_layout(const Problem& problem) {
  const Pattern& p = problem.pattern;
  if (p.kernel != std::array<int, 2>{3, 3} || p.kxk.empty() || !plain(problem.rows) ||
      !plain(problem.columns) || problem.columns.in < 8 || problem.columns.out < 8 ||
      p.in_channels % 8 || !by_halves(p))
    return {};
  const int q = set_of(p), half = p.out_channels / 2;
  for (int V : {16, 8}) {
    if (!q || (V % q && q % V) || V / q > 4) continue;
    const int step = std::max(q, V), repeats = std::max(1, V / q);
    if (half % step || V > problem.lanes) continue;
    const RowKernels* kernels = row_kernels_for(V, repeats);
    if (kernels)
      return {kernels, row_sums_for(V, repeats), V, q, step / V, step,
              half,    V / repeats <= 8 ? 8 : V};
  }
  return {};
}

std::vector<int> row_channels(const RowLayout& layout, const std::vector<int>& relative,
                              int in_channels) {
  std::vector<int> all;
  for (int s = 0; s < layout.shifts; ++s)
    for (int r : relative) all.push_back((r + s * layout.V) % in_channels);
  return all;
}

}  // namespace keras_ssc
