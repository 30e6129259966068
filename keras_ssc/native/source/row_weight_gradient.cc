// The gradient by weights row by row. Each slice sums for itself; the slices are then added in
// their order, so that a run repeats bit for bit.
#include "row_weights.h"

namespace keras_ssc {
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
        ring_(l, problem.prologue, tile_rows + 2, problem.columns.in, 0, 0, p_.in_channels,
              l.again) {}

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
        a.sums[column] =
            sums_[(row + column) % 2] + (long)kxk_row(p_, row, column, k) * l_.half + n;
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
  // 16 registers hold few sums of one vector: the general kernels, with several, were faster.
  if (!l.kernels || (l.V == 8 && l.half > l.step)) return false;
  const Pattern& p = problem.pattern;
  long counts[2];
  for (int parity : {0, 1}) counts[parity] = (long)rows_of(p, parity) * l.half;
  const int tile_rows = std::max(1, std::min(problem.rows.out, kSumPixels / problem.columns.out));
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
