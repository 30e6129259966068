// The forward pass row by row: the newest rows of x in a ring, all filters of a row of y from it.
#include <memory>

#include "row_weights.h"

namespace keras_ssc {
namespace {

Packed forward_weights(const Pattern& p, const RowLayout& l, int block,
                       const std::vector<const float*>& weights, const float* scale) {
  Packed packed(p, l, weights, scale);
  const auto vectors = [&](int parity, int row, int first) {
    for (int f = 0; f < block; ++f) packed.add(parity, row, first + f * l.step, l.V);
  };
  for (int s = 0; s < l.shifts; ++s)
    for (int first = s * l.V; first < l.half; first += block * l.step) {
      for (int row = 0; row < 3; ++row) {
        const int rows[] = {kxk_row(p, row, 0, 0), kxk_row(p, row, 1, 0), kxk_row(p, row, 2, 0)};
        for (int k = 0; k < (int)p.kxk.size(); ++k)
          for (int column = 0; column < 3; ++column)
            vectors((row + column) % 2, rows[column] + k, first);
      }
      for (int j = 0; j < (int)p.pointwise.size(); ++j)
        for (int parity : {0, 1}) vectors(parity, pointwise_row(p, parity, j), first);
    }
  return packed;
}

void by_rows(const Problem& problem, const RowLayout& l, const Packed& packed, const float* x,
             const Epilogue& epilogue, float* y, int slices, const Runner& run) {
  const Pattern& p = problem.pattern;
  const Axis &rows = problem.rows, &columns = problem.columns;
  const int M = p.in_channels, N = p.out_channels;
  const int block = row_block(l.half / l.step), blocks = l.half / l.step / block;
  const std::size_t block_weights = packed.size() / (l.shifts * blocks);
  std::vector<int> relative = p.kxk;
  relative.insert(relative.end(), p.pointwise.begin(), p.pointwise.end());
  const std::vector<int> channels = row_channels(l, relative, M);
  const long x_row = (long)columns.in * M, y_row = (long)columns.out * N;
  const RowParts parts(problem.batch, rows.out, slices);
  slices = (int)std::min<long>(slices, parts.count());
  MomentSums moments(N, epilogue.mean ? slices : 0);
  run(slices, [&](int slice) {
    RowRing ring(l, problem.prologue, 3, columns.in, columns.pad, columns.pad, M, l.again);
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
        a.kxk = (int)p.kxk.size();
        a.pointwise = (int)p.pointwise.size();
        a.vector = l.step;
        a.half = l.half;
        a.channels_out = N;
        a.relu = epilogue.relu;
        a.ceiling = epilogue.ceiling;
        a.weights = packed.data();
        for (int s = 0; s < l.shifts; ++s)
          for (int b = 0; b < blocks; ++b, a.weights += block_weights) {
            const int filter = s * l.V + b * block * l.step;
            a.channels = channels.data() + s * relative.size();
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
  const RowLayout l = row_layout(problem);
  if (!l.kernels) return {};
  const int block = row_block(l.half / l.step);
  const auto packed = std::make_shared<const Packed>(
      forward_weights(problem.pattern, l, block, weights, epilogue.scale));
  return [&problem, &epilogue, l, packed, slices](const float* x, const float* residual, float* y,
                                                  const Runner& run) {
    Epilogue with_residual = epilogue;
    with_residual.residual = residual;
    by_rows(problem, l, *packed, x, with_residual, y, slices, run);
  };
}

}  // namespace keras_ssc
