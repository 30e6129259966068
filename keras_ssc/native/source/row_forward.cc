// The forward pass row by row: the newest rows of x in a ring, all filters of a row of y from it.
#include <memory>

#include "row_weights.h"

namespace keras_ssc {
namespace {

// Every kernel by itself.
std::vector<Pair> alone(std::size_t kernels) {
  std::vector<Pair> all;
  for (int i = 0; i < (int)kernels; ++i) all.push_back({i, -1, 0});
  return all;
}

// Where the steps of each shift read: `Pairs` of kernels, or one at a time.
std::vector<int> places_of(const Pattern& p, const RowLayout& l, const Pairs& steps) {
  std::vector<int> first, distance;
  for (const auto& [kernels, list] :
       {std::pair(&steps.kxk, &p.kxk), std::pair(&steps.pointwise, &p.pointwise)})
    for (const Pair& pair : *kernels) {
      first.push_back((*list)[pair.first]);
      distance.push_back(pair.distance * (p.in_channels + l.again));
    }
  std::vector<int> places = row_channels(l, first, p.in_channels);
  for (std::size_t i = 0; i < places.size(); ++i) places[i] += distance[i % distance.size()];
  return places;
}

Packed forward_weights(const Pattern& p, const RowLayout& l, int block, const Pairs& steps,
                       const std::vector<const float*>& weights, const float* scale) {
  const std::size_t taps = p.taps[0].size() + p.taps[1].size();
  Packed packed(l, weights, scale, taps * steps.kxk.size() + 2 * steps.pointwise.size());
  const auto vectors = [&](int parity, int row, const Pair& pair, int first) {
    for (int f = 0; f < block; ++f) {
      const int filter = first + f * l.step;
      if (steps.distances.empty())
        packed.add(parity, row + pair.first, filter, l.V);
      else
        packed.add_pairs(parity, row + pair.first, pair.second < 0 ? -1 : row + pair.second, filter,
                         l.V);
    }
  };
  for (int s = 0; s < l.shifts; ++s)
    for (int first = s * l.V; first < l.half; first += block * l.step) {
      for (int row = 0; row < 3; ++row) {
        const int rows[] = {kxk_row(p, row, 0, 0), kxk_row(p, row, 1, 0), kxk_row(p, row, 2, 0)};
        for (const Pair& pair : steps.kxk)
          for (int column = 0; column < 3; ++column)
            vectors((row + column) % 2, rows[column], pair, first);
      }
      for (const Pair& pair : steps.pointwise)
        for (int parity : {0, 1}) vectors(parity, pointwise_row(p, parity, 0), pair, first);
    }
  return packed;
}

void by_rows(const Problem& problem, const RowLayout& l, const Pairs& steps, const Packed& packed,
             const float* x, const Epilogue& epilogue, float* y, int slices, const Runner& run) {
  const Pattern& p = problem.pattern;
  const Axis &rows = problem.rows, &columns = problem.columns;
  const int M = p.in_channels, N = p.out_channels;
  const int block = row_block(l.half / l.step), blocks = l.half / l.step / block;
  const std::size_t block_weights = packed.size() / (l.shifts * blocks);
  const std::vector<int> places = places_of(p, l, steps);
  const long x_row = (long)columns.in * M, y_row = (long)columns.out * N;
  const RowParts parts(problem.batch, rows.out, slices);
  slices = (int)std::min<long>(slices, parts.count());
  MomentSums moments(N, epilogue.mean ? slices : 0);
  run(slices, [&](int slice) {
    RowRing ring(l, problem.prologue, 3, columns.in, columns.pad, columns.pad, M, l.again,
                 steps.distances);
    parts.share(slice, slices, [&](int image, int from, int to) {
      const long first_x = (long)image * rows.in, first_y = (long)image * rows.out;
      ring.start(x + first_x * x_row, std::max(0, from - rows.pad));
      for (int i = from; i < to; ++i) {
        const int top = i - rows.pad;
        ring.advance(std::min(rows.in - 1, top + 2));
        const RowSpan next_x(x, first_x + top + 3, 1, (long)problem.batch * rows.in, x_row);
        const RowSpan next_y(y, first_y + i + 1, 1, (long)problem.batch * rows.out, y_row);
        Ahead ahead = {next_x.from, next_x.to, next_y.from, next_y.to,
                       epilogue.residual ? epilogue.residual + (next_y.from - y) : nullptr};
        RowForward a = {};
        a.pixel = ring.pixel();
        a.kxk = (int)steps.kxk.size();
        a.pointwise = (int)steps.pointwise.size();
        a.vector = l.step;
        a.half = l.half;
        a.channels_out = N;
        a.relu = epilogue.relu;
        a.ceiling = epilogue.ceiling;
        a.weights = packed.data();
        for (int s = 0; s < l.shifts; ++s)
          for (int b = 0; b < blocks; ++b, a.weights += block_weights) {
            const int filter = s * l.V + b * block * l.step;
            a.channels = places.data() + s * places.size() / l.shifts;
            a.bias = epilogue.bias ? epilogue.bias + filter : nullptr;
            for_strips(columns.out, l.kernels->forward_pixels[block],
                       [&](int size, int first, int strips) {
                         for (int r = 0; r < 3; ++r)
                           a.rows[r] = top + r < 0 || top + r >= rows.in
                                           ? nullptr
                                           : ring.row(top + r) + first * a.pixel;
                         const long at = (first_y + i) * y_row + (long)first * N + filter;
                         a.y = y + at;
                         a.residual = epilogue.residual ? epilogue.residual + at : nullptr;
                         a.strips = strips;
                         l.kernels->forward[block][size](a, ahead);
                       });
          }
        if (epilogue.mean) moments.add(slice, y + (first_y + i) * y_row, columns.out);
      }
    });
  });
  if (epilogue.mean) moments.finish(epilogue.mean, epilogue.variance);
}

}  // namespace

ForwardPass forward_by_rows(const Problem& problem, const std::vector<const float*>& weights,
                            const Epilogue& epilogue, int slices) {
  RowLayout l = row_layout(problem);
  if (!l.kernels) return {};
  const Pattern& p = problem.pattern;
  Pairs steps;
  if (const RowKernels* kernels = paired_row_kernels_for(l.V, l.kernels->repeats)) {
    steps = pairs_of(problem);
    if (!steps.distances.empty()) l.kernels = kernels;
  }
  if (steps.distances.empty()) steps = {{}, alone(p.kxk.size()), alone(p.pointwise.size())};
  const int block = row_block(l.half / l.step);
  const auto packed =
      std::make_shared<const Packed>(forward_weights(p, l, block, steps, weights, epilogue.scale));
  return [&problem, &epilogue, l, steps, packed, slices](const float* x, const float* residual,
                                                         float* y, const Runner& run) {
    Epilogue with_residual = epilogue;
    with_residual.residual = residual;
    by_rows(problem, l, steps, *packed, x, with_residual, y, slices, run);
  };
}

}  // namespace keras_ssc
