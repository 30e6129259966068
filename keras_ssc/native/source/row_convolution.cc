#include "row_convolution.h"

#include <cstring>

#include "row_layout.h"

namespace keras_ssc {
namespace {

// Row of a matrix: KxK kernel k at tap (row, column). Both parities list their taps row by row.
int kxk_row(const Pattern& p, int row, int column, int k) {
  const auto& taps = p.taps[(row + column) % 2];
  const auto tap = std::find(taps.begin(), taps.end(), std::array<int, 2>{row, column});
  return (int)(tap - taps.begin()) * (int)p.kxk.size() + k;
}

int pointwise_row(const Pattern& p, int parity, int j) {
  return (int)(p.taps[parity].size() * p.kxk.size()) + j;
}

int rows_of(const Pattern& p, int parity) {
  return pointwise_row(p, parity, (int)p.pointwise.size());
}

// A copy of all weights, in the order in which a pass uses them.
class Packed {
 public:
  Packed(const Pattern& p, const RowLayout& l, const std::vector<const float*>& weights)
      : weights_(weights),
        half_(l.half),
        size_((std::size_t)l.half * (rows_of(p, 0) + rows_of(p, 1))),
        buffer_(size_),
        to_(buffer_.data()) {}
  // `count` weights of one row, from that filter on.
  void add(int parity, int row, int filter, int count) {
    std::memcpy(to_, weights_[parity] + (long)row * half_ + filter, count * sizeof(float));
    to_ += count;
  }
  const float* data() const { return buffer_.data(); }
  std::size_t size() const { return size_; }

 private:
  const std::vector<const float*>& weights_;
  const int half_;
  const std::size_t size_;
  Buffer buffer_;
  float* to_;
};

Packed forward_weights(const Pattern& p, const RowLayout& l, int block,
                       const std::vector<const float*>& weights) {
  Packed packed(p, l, weights);
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

}  // namespace

bool forward_by_rows(const Problem& problem, const float* x,
                     const std::vector<const float*>& weights, const Epilogue& epilogue, float* y,
                     int slices, const Runner& run) {
  const RowLayout l = row_layout(problem);
  if (!l.kernels) return false;
  const Pattern& p = problem.pattern;
  const Axis &rows = problem.rows, &columns = problem.columns;
  const int M = p.in_channels, N = p.out_channels;
  const int block = row_block(l.half / l.step), blocks = l.half / l.step / block;
  const Packed packed = forward_weights(p, l, block, weights);
  const std::size_t block_weights = packed.size() / (l.shifts * blocks);
  std::vector<int> relative = p.kxk;
  relative.insert(relative.end(), p.pointwise.begin(), p.pointwise.end());
  const std::vector<int> channels = row_channels(l, relative, M);
  const long x_row = (long)columns.in * M, y_row = (long)columns.out * N;
  const RowParts parts(problem.batch, rows.out, slices);
  slices = (int)std::min<long>(slices, parts.count());
  MomentSums moments(N, slices);
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
  return true;
}

namespace {

constexpr int kMostLayers = 5;

// Whether 1x1 kernel j, and the q channels that it writes to, may lie in layer j mod `layers`.
bool lie_apart(const Pattern& p, int q, int layers) {
  const int count = (int)p.pointwise.size();
  for (int i = 0; i < count; ++i) {
    const int next = i + layers < count ? p.pointwise[i + layers]
                                        : p.pointwise[i % layers] + p.in_channels;
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
                        const std::vector<int>& order,
                        const std::vector<const float*>& weights) {
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

namespace {

constexpr int kSumPixels = 64;  // of dy that are summed before registers are emptied

// The sums of one slice, for tiles of a few rows.
class SumWorker {
 public:
  SumWorker(const Problem& problem, const RowLayout& l, int tile_rows, float* even, float* odd)
      : problem_(problem),
        p_(problem.pattern),
        l_(l),
        kxk_(row_channels(l, p_.kxk, p_.in_channels)),
        pointwise_(row_channels(l, p_.pointwise, p_.in_channels)),
        sums_{even, odd},
        tile_rows_(tile_rows),
        ring_(l, problem.prologue, tile_rows + 2, problem.columns.in, 0, 0, p_.in_channels, l.again) {}

  void run(const float* x, const float* dy, int image, int from, int to) {
    const Axis &rows = problem_.rows, &columns = problem_.columns;
    const long x_row = (long)columns.in * p_.in_channels;
    const long dy_row = (long)columns.out * p_.out_channels;
    const long first_x = (long)image * rows.in, first_y = (long)image * rows.out;
    ring_.start(x + first_x * x_row, std::max(0, from - rows.pad));
    for (int top = from; top < to; top += tile_rows_) {
      const int bottom = std::min(to, top + tile_rows_);
      ring_.advance(std::min(rows.in - 1, bottom + 1 - rows.pad));
      const RowSpan next_x(x, first_x + bottom + 2 - rows.pad, tile_rows_,
                           (long)problem_.batch * rows.in, x_row);
      const RowSpan next_y(dy, first_y + bottom, tile_rows_, (long)problem_.batch * rows.out,
                           dy_row);
      Ahead ahead = {next_x.from, next_x.to, next_y.from, next_y.to, nullptr};
      RowSum a = {};
      a.columns = columns.in;
      a.columns_out = columns.out;
      a.pad = columns.pad;
      a.pixel = ring_.pixel();
      a.dy_pixel = p_.out_channels;
      a.dy_row = dy_row;
      a.length = l_.half;
      for (int row = 0; row < 3; ++row) {
        const int above = std::max(top, rows.pad - row);
        const int below = std::min(bottom, rows.in + rows.pad - row);
        if (above >= below) continue;
        std::vector<const float*> x_rows;
        for (int i = above; i < below; ++i) x_rows.push_back(ring_.row(i + row - rows.pad));
        a.rows = x_rows.data();
        a.count = below - above;
        a.dy = dy + (first_y + above) * dy_row;
        for (int s = 0; s < l_.shifts; ++s)
          for (int n = s * l_.V; n < l_.half; n += l_.step) {
            add_kxk(a, row, s, n, ahead);
            if (row == 1) add_pointwise(a, s, n, ahead);
          }
      }
    }
  }

 private:
  void add_kxk(RowSum& a, int row, int s, int n, Ahead& ahead) {
    const int count = (int)p_.kxk.size(), most = l_.sums->most_kxk;
    a.half[0] = row % 2 * l_.half + n;
    a.half[1] = (row + 1) % 2 * l_.half + n;
    int k = 0;
    for (int parts = (count + most - 1) / most; parts; --parts) {
      const int size = (count - k + parts - 1) / parts;
      a.channels = kxk_.data() + s * count + k;
      for (int column = 0; column < 3; ++column)
        a.sums[column] = sums_[(row + column) % 2] +
                         (long)kxk_row(p_, row, column, k) * l_.half + n;
      l_.sums->kxk[size](a, ahead);
      k += size;
    }
  }

  void add_pointwise(RowSum& a, int s, int n, Ahead& ahead) {
    const int count = (int)p_.pointwise.size(), most = l_.sums->most_pointwise;
    a.half[0] = n;
    a.half[1] = l_.half + n;
    int j = 0;
    for (int parts = (count + most - 1) / most; parts; --parts) {
      const int size = (count - j + parts - 1) / parts;
      a.channels = pointwise_.data() + s * count + j;
      for (int parity : {0, 1})
        a.sums[parity] = sums_[parity] + (long)pointwise_row(p_, parity, j) * l_.half + n;
      l_.sums->pointwise[size](a, ahead);
      j += size;
    }
  }

  const Problem& problem_;
  const Pattern& p_;
  const RowLayout& l_;
  const std::vector<int> kxk_, pointwise_;
  float* const sums_[2];
  const int tile_rows_;
  RowRing ring_;
};

}  // namespace

bool weight_gradient_by_rows(const Problem& problem, const float* x, const float* dy,
                             const std::vector<float*>& gradients, int slices, const Runner& run) {
  const RowLayout l = row_layout(problem);
  if (!l.kernels) return false;
  const Pattern& p = problem.pattern;
  long counts[2];
  for (int parity : {0, 1})
    counts[parity] = (long)rows_of(p, parity) * l.half;
  const int tile_rows =
      std::max(1, std::min(problem.rows.out, kSumPixels / problem.columns.out));
  const RowParts parts(problem.batch, problem.rows.out, slices);
  slices = (int)std::min<long>(slices, parts.count());
  const long total = counts[0] + counts[1];
  Buffer sums((std::size_t)total * slices);
  run(slices, [&](int slice) {
    float* own = sums.data() + slice * total;
    std::fill(own, own + total, 0.f);
    SumWorker worker(problem, l, tile_rows, own, own + counts[0]);
    parts.share(slice, slices,
                [&](int image, int from, int to) { worker.run(x, dy, image, from, to); });
  });
  for (int parity : {0, 1})
    for (long i = 0; i < counts[parity]; ++i) {
      float sum = 0;
      for (int slice = 0; slice < slices; ++slice)
        sum += sums.data()[slice * total + parity * counts[0] + i];
      gradients[parity][i] = sum;
    }
  return true;
}

}  // namespace keras_ssc
