// The gradient by input row by row. With one KxK kernel of every channel in every set of filters,
// lanes are channels of dx: no vector is folded but those of the 1x1 kernels.
#include "row_weights.h"

namespace keras_ssc {
namespace {

constexpr int kMostLayers = 5;

// Whether 1x1 kernel j, and the q channels that it writes to, may lie in layer j mod `layers`.
bool lie_apart(const Pattern& p, int q, int layers) {
  const int count = (int)p.pointwise.size();
  for (int i = 0; i < count; ++i) {
    const int next =
        i + layers < count ? p.pointwise[i + layers] : p.pointwise[i % layers] + p.in_channels;
    if (next - p.pointwise[i] < q) return false;
  }
  return true;
}

int layers_of(const Pattern& p, int q) {
  int layers = p.pointwise.empty() ? 0 : 1;
  while (layers < (int)p.pointwise.size() && !lie_apart(p, q, layers)) ++layers;
  return layers;
}

Packed gradient_weights(const Pattern& p, const RowLayout& l, int block, int at_once,
                        const std::vector<int>& order, const std::vector<const float*>& weights) {
  const int M = p.in_channels, kxk = (int)p.kxk.size(), run = std::min(l.q, l.V);
  Packed packed(p, l, weights);
  for (int s = 0; s < l.shifts; ++s) {
    const int count = (int)p.pointwise.size();
    int j = 0;
    for (int parts = (count + at_once - 1) / at_once; parts; --parts) {
      const int size = (count - j + parts - 1) / parts;
      for (int n = s * l.V; n < 2 * l.half; n += l.step)
        for (int i = j; i < j + size; ++i)
          packed.add(n >= l.half, pointwise_row(p, n >= l.half, order[i]), n % l.half, l.V);
      j += size;
    }
  }
  for (int s = 0; s < l.shifts; ++s)
    for (int first = s * l.V; first < M; first += block * l.step)
      for (int row = 0; row < 3; ++row) {
        const int rows[] = {kxk_row(p, row, 0, 0), kxk_row(p, row, 1, 0), kxk_row(p, row, 2, 0)};
        for (int parity : {0, 1})
          for (int filter = s * l.V; filter < l.half; filter += l.q)
            for (int column = (row + parity) % 2; column < 3; column += 2)
              for (int f = 0; f < block; ++f)
                for (int m = first + f * l.step, end = m + l.V; m < end; m += run)
                  packed.add(parity, rows[column] + (m / l.q + kxk - 1) % kxk, filter, run);
      }
  return packed;
}

// Whether each channel has its KxK kernel in one filter of every set.
bool every_channel_once(const Pattern& p, const RowLayout& l) {
  if (p.in_channels % l.step || (int)p.kxk.size() * l.q != p.in_channels) return false;
  for (int k = 0; k < (int)p.kxk.size(); ++k)
    if (p.kxk[k] != l.q * (k + 1)) return false;
  return true;
}

}  // namespace

bool input_gradient_by_rows(const Problem& problem, const float* dy,
                            const std::vector<const float*>& weights, float* dx, int slices,
                            const Runner& run) {
  const RowLayout l = row_layout(problem);
  const Pattern& p = problem.pattern;
  if (!l.kernels || !every_channel_once(p, l)) return false;
  const Axis &rows = problem.rows, &columns = problem.columns;
  const int M = p.in_channels, N = p.out_channels, margin = 2 - columns.pad;
  const int block = row_block(M / l.step);
  const int needed = layers_of(p, l.q), layers = needed <= kMostLayers ? needed : 1;
  const int layer_pixel = M + l.V;
  // Neighbours don't overlap: a sum that has just been stored in parts would have to be waited for.
  std::vector<int> order, relative, places;
  const int step = layers_of(p, std::min(l.q, l.V));
  for (int first = 0; first < step; ++first)
    for (int j = first; j < (int)p.pointwise.size(); j += step) {
      order.push_back(j);
      relative.push_back(p.pointwise[j]);
    }
  for (int channel : row_channels(l, relative, M)) {
    const int layer = order[places.size() % order.size()] % layers;
    places.push_back(layer * kMostPixels * layer_pixel + channel);
  }
  const Packed packed =
      gradient_weights(p, l, block, l.kernels->gradient_pointwise[block], order, weights);
  const long x_row = (long)columns.in * M, y_row = (long)columns.out * N;
  const RowParts parts(problem.batch, rows.in, slices);
  slices = (int)std::min<long>(slices, parts.count());
  run(slices, [&](int slice) {
    RowRing ring(l, {}, 3, columns.out, margin, margin, N, 0);
    const std::size_t floats = (std::size_t)std::max(layers, 2) * kMostPixels * layer_pixel;
    Buffer buffer(floats);
    std::fill(buffer.data(), buffer.data() + floats, 0.f);
    parts.share(slice, slices, [&](int image, int from, int to) {
      const long first_x = (long)image * rows.in, first_y = (long)image * rows.out;
      ring.start(dy + first_y * y_row, std::max(0, from + rows.pad - 2));
      for (int i = from; i < to; ++i) {
        const int bottom = i + rows.pad;  // row of dy that meets tap row 0
        ring.advance(std::min(rows.out - 1, bottom));
        const RowSpan next_y(dy, first_y + bottom + 1, 1, (long)problem.batch * rows.out, y_row);
        const RowSpan next_x(dx, first_x + i + 1, 1, (long)problem.batch * rows.in, x_row);
        Ahead ahead = {next_y.from, next_y.to, next_x.from, next_x.to, nullptr};
        RowGradient a = {};
        a.pixel = ring.pixel();
        a.set = l.q;
        a.sets = l.half / l.q;
        a.half = l.half;
        a.shifts = l.shifts;
        a.blocks = M / l.step / block;
        a.vector = l.step;
        a.pointwise = (int)p.pointwise.size();
        a.places = places.data();
        a.layers = layers;
        a.overlap = layers < needed;
        a.weights = packed.data();
        a.channels = M;
        a.buffer = buffer.data();
        a.layer_pixel = layer_pixel;
        for_strips(columns.in, l.kernels->gradient_pixels[block],
                   [&](int size, int first, int strips) {
                     for (int r = 0; r < 3; ++r)
                       a.rows[r] = bottom - r < 0 || bottom - r >= rows.out
                                       ? nullptr
                                       : ring.row(bottom - r) + first * a.pixel;
                     a.dx = dx + (first_x + i) * x_row + (long)first * M;
                     a.strips = strips;
                     l.kernels->gradient[block][size](a, ahead);
                   });
      }
    });
  });
  return true;
}

}  // namespace keras_ssc
