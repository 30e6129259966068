#include "depthwise.h"

#include <algorithm>
#include <memory>

#include "depthwise_loops.h"
#include "fetch.h"
#include "row_layout.h"
#include "vectors.h"

namespace keras_ssc {
namespace {

constexpr long kFar = 256 * 1024;  // more than the second cache holds, in floats
constexpr long kPart = 64 * 1024;  // floats that a part of an image reads and writes

// Consecutive filters of a matrix that read consecutive channels.
struct Run {
  int matrix, column, from, to, count;
};

std::vector<Run> runs_of(const Pattern& p) {
  std::vector<Run> all;
  for (int m = 0; m < (int)p.filters.size(); ++m)
    for (int column = 0; column < (int)p.filters[m].size(); ++column) {
      const int to = p.filters[m][column], from = (p.kxk[0] + p.shifts[to]) % p.in_channels;
      if (column && to == all.back().to + all.back().count &&
          from == all.back().from + all.back().count)
        ++all.back().count;
      else
        all.push_back({m, column, from, to, 1});
    }
  return all;
}

// How many vectors serve them all. In each run, the last one ends with it, and may do once more
// what the one before it does: no vector has dead lanes. Where one is too short for that, none.
int vectors_for(const std::vector<Run>& runs, int lanes) {
  constexpr int kNone = 1 << 24;
  int count = 0;
  for (const Run& run : runs) {
    if (run.count < lanes) return kNone;
    count += (run.count + lanes - 1) / lanes;
  }
  return count;
}

// The columns of each row of taps; empty where there are loops for some only.
std::vector<TapRow> tap_rows(const std::vector<std::array<int, 2>>& taps,
                             const std::array<int, 2>& kernel) {
  std::vector<std::vector<bool>> has(kernel[0], std::vector<bool>(kernel[1]));
  for (const auto& tap : taps) has[tap[0]][tap[1]] = true;
  std::vector<TapRow> all;
  for (const auto& row : has)
    for (TapRow kind : {kNoTaps, kAllTaps, kEvenTaps, kOddTaps}) {
      bool is = true;
      for (int c = 0; c < kernel[1]; ++c) {
        const bool wanted = kind == kAllTaps || (kind == kEvenTaps && c % 2 == 0) ||
                            (kind == kOddTaps && c % 2 == 1);
        is &= row[c] == wanted;
      }
      if (is) all.push_back(kind);
    }
  if ((int)all.size() != kernel[0]) all.clear();
  return all;
}

// The vectors of one matrix, with their weights in order of use.
struct Filters {
  std::vector<TapRow> taps;
  std::vector<int> from, to;
  Buffer weights{0}, bias{0};
};

struct Depthwise {
  const DepthwiseLoops* loops;
  std::vector<Filters> filters;
};

Filters filters_of(const Pattern& p, const std::vector<Run>& runs, int matrix, const float* weights,
                   const Epilogue& epilogue, int lanes) {
  const auto& taps = p.taps[matrix];
  const long filters = (long)p.filters[matrix].size(), length = p.kernel[0] * p.kernel[1] * lanes;
  Filters all;
  all.taps = tap_rows(taps, p.kernel);
  std::vector<int> columns;
  for (const Run& run : runs)
    for (int first = 0; run.matrix == matrix && first < run.count; first += lanes) {
      const int i = std::min(first, run.count - lanes);
      columns.push_back(run.column + i);
      all.from.push_back(run.from + i);
      all.to.push_back(run.to + i);
    }
  all.weights = Buffer(columns.size() * length);
  all.bias = Buffer(columns.size() * lanes);
  for (std::size_t n = 0; n < columns.size(); ++n) {
    for (std::size_t k = 0; k < taps.size(); ++k)
      for (int l = 0; l < lanes; ++l)
        all.weights.data()[n * length + (taps[k][0] * p.kernel[1] + taps[k][1]) * lanes + l] =
            weights[k * filters + columns[n] + l] *
            (epilogue.scale ? epilogue.scale[all.to[n] + l] : 1);
    for (int l = 0; l < lanes; ++l)
      all.bias.data()[n * lanes + l] = epilogue.bias ? epilogue.bias[all.to[n] + l] : 0;
  }
  return all;
}

void run_strips(const Problem& problem, const Depthwise& depthwise, const Epilogue& epilogue,
                const float* x, const float* residual, float* y, int slices, const Runner& run) {
  const Pattern& p = problem.pattern;
  const Axis &rows = problem.rows, &columns = problem.columns;
  const long row = (long)columns.in * p.in_channels, row_out = (long)columns.out * p.out_channels;
  const long floats = problem.batch * rows.in * row,
             floats_out = problem.batch * rows.out * row_out;
  const bool far = floats + floats_out > kFar;
  const long part_rows = std::max(1L, kPart / (row * rows.stride + row_out));
  const int least = far ? (int)((rows.out + part_rows - 1) / part_rows) : 1;  // parts of an image
  const RowParts parts(problem.batch, rows.out, slices, least);
  slices = (int)std::min<long>(slices, parts.count());
  int vectors = 0;
  for (const Filters& filters : depthwise.filters) vectors += (int)filters.from.size();
  MomentSums moments(p.out_channels, epilogue.mean ? slices : 0);
  run(slices, [&](int slice) {
    DepthwiseStrip a = {};
    a.rows_in = rows.in;
    a.columns_in = columns.in;
    a.pixel = p.in_channels;
    a.row = row;
    a.row_stride = rows.stride;
    a.kernel_rows = p.kernel[0];
    a.pixel_out = p.out_channels;
    a.row_out = row_out;
    a.relu = epilogue.relu;
    a.ceiling = epilogue.ceiling;
    parts.share(slice, slices, [&](int image, int from, int to) {
      a.x = x + (long)image * rows.in * a.row;
      a.top = from * rows.stride - rows.pad;
      a.rows = to - from;
      const int strips = (columns.out + kStripPixels - 1) / kStripPixels;
      const long steps = far ? (long)strips * vectors * a.rows : 0;
      const int read = std::min(rows.in, (to - 1) * rows.stride - rows.pad + p.kernel[0]);
      const long next = ((long)image * rows.in + std::max(0, read)) * row;
      const long next_out = ((long)image * rows.out + to) * row_out;
      Fetch source(x + next, floats_left(next, a.rows * rows.stride * row, floats), steps);
      Fetch destination(y + next_out, floats_left(next_out, a.rows * row_out, floats_out), steps);
      for_strips(columns.out, kStripPixels, [&](int size, int first, int strips) {
        const DepthwiseLoop loop = depthwise.loops->loop(p.kernel[1], columns.stride, size);
        for (; strips; --strips, first += size) {
          const long at = ((long)image * rows.out + from) * a.row_out + first * a.pixel_out;
          a.left = first * columns.stride - columns.pad;
          a.y = y + at;
          a.residual = residual ? residual + at : nullptr;
          for (const Filters& filters : depthwise.filters) {
            a.taps = filters.taps.data();
            a.vectors = (int)filters.from.size();
            a.from = filters.from.data();
            a.to = filters.to.data();
            a.weights = filters.weights.data();
            a.bias = filters.bias.data();
            const long calls = far ? (long)a.vectors * a.rows : 0;
            a.next_source = source.begin(calls, &a.source_lines);
            a.next_destination = destination.begin(calls, &a.destination_lines);
            loop(a);
          }
        }
      });
      if (!epilogue.mean) return;
      const long first = (long)image * rows.out + from;
      moments.add(slice, y + first * row_out, (long)a.rows * columns.out);
    });
  });
  if (epilogue.mean) moments.finish(epilogue.mean, epilogue.variance);
}

}  // namespace

ForwardPass depthwise_forward(const Problem& problem, const std::vector<const float*>& weights,
                              const Epilogue& epilogue, int slices) {
  const Pattern& p = problem.pattern;
  if (p.kxk.size() != 1 || !p.pointwise.empty() || problem.rows.dilation != 1 ||
      problem.columns.dilation != 1)
    return {};
  // Of few channels that many filters read, others load each once for several vectors.
  if (p.in_channels < problem.lanes && p.out_channels > 2 * p.in_channels) return {};
  const std::vector<Run> runs = runs_of(p);
  const auto count = [&](int lanes) { return vectors_for(runs, lanes); };
  const int lanes = cheapest(problem.lanes, count)->lanes;
  const auto all = std::make_shared<Depthwise>();
  all->loops = depthwise_loops_for(lanes);
  if (!all->loops || !all->loops->loop(p.kernel[1], problem.columns.stride, 1)) return {};
  for (const Run& run : runs)
    if (run.count < lanes) return {};
  for (int m = 0; m < (int)weights.size(); ++m) {
    all->filters.push_back(filters_of(p, runs, m, weights[m], epilogue, lanes));
    if (all->filters.back().taps.empty()) return {};
  }
  return [&problem, &epilogue, all, slices](const float* x, const float* residual, float* y,
                                            const Runner& run) {
    run_strips(problem, *all, epilogue, x, residual, y, slices, run);
  };
}

}  // namespace keras_ssc
