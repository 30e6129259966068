// The gradient by weights: every live weight is a sum over pixels. Each slice of the batch sums
// for itself; the slices are then added in their order, so that a run repeats bit for bit.
#include <algorithm>
#include <map>

#include "general_convolution.h"
#include "plan.h"
#include "tile.h"

namespace keras_ssc {
namespace {

constexpr int kAcrossImages = 8;         // maps narrower than this are copied several at a time
constexpr int kImages = 6;
constexpr long kChunkFloats = 48 * 1024;  // of x and dy together: stays in the second cache

// A few positions by a few vectors of filters.
struct WeightTile {
  int tap_row;
  int tap_column;  // where it matters; 0 where the columns beyond the ends are zeros
  int positions, vectors;
  int offsets[kMaxRows], filters[kMaxVectors];  // of x and of dy
  int rows[kMaxRows], columns[kMaxVectors];     // where they lie in the gradient
};

struct Position {
  int row, offset;
};

// Positions whose pixels have one range: those of one tap, or of one row of taps where the zeros
// around x make all columns alike.
std::map<std::array<int, 2>, std::vector<Position>> ranges(const Pattern& p, int matrix, int shift,
                                                           bool across, long tap_floats) {
  std::map<std::array<int, 2>, std::vector<Position>> found;
  const int taps = (int)p.taps[matrix].size();
  int row = 0;
  for (int tap = 0; tap <= taps; ++tap) {
    const auto& place = tap == taps ? p.centre : p.taps[matrix][tap];
    auto& list = found[{place[0], across ? place[1] : 0}];
    for (int r : tap == taps ? p.pointwise : p.kxk)
      list.push_back({row++, (r + shift) % p.in_channels +
                                 (across ? 0 : (int)(place[1] * tap_floats))});
  }
  return found;
}

std::vector<WeightTile> weight_tiles(const Problem& problem, bool across, long tap_floats,
                            const std::vector<int>& starts) {
  const Pattern& p = problem.pattern;
  std::map<std::array<int, 2>, std::vector<Vector>> groups;
  for (const Vector& v : vectors_of(p, problem.lanes)) groups[{v.matrix, v.shift}].push_back(v);
  std::vector<WeightTile> all;
  for (const auto& [key, group] : groups) {
    const auto [matrix, shift] = key;
    const int length = (int)p.filters[matrix].size();
    const int widest = std::min<int>(kMaxVectors, (int)group.size());
    const int most = std::min(kMaxRows, problem.micro->registers / widest);
    for (const auto& [place, list] : ranges(p, matrix, shift, across, tap_floats)) {
      int position = 0;
      for (int positions : even_parts((int)list.size(), most)) {
        int vector = 0;
        for (int vectors : even_parts((int)group.size(), kMaxVectors)) {
          WeightTile tile = {place[0], place[1], positions, vectors, {}, {}, {}, {}};
          for (int t = 0; t < positions; ++t) {
            tile.offsets[t] = list[position + t].offset;
            tile.rows[t] = starts[matrix] + list[position + t].row * length;
          }
          for (int f = 0; f < vectors; ++f) {
            tile.filters[f] = group[vector + f].filter;
            tile.columns[f] = group[vector + f].column;
          }
          all.push_back(tile);
          vector += vectors;
        }
        position += positions;
      }
    }
  }
  return all;
}

// Output pixels [first, last) of an axis whose tap reads inside.
std::array<int, 2> live_range(const Axis& a, int tap, int first, int last) {
  const int at = tap * a.dilation - a.pad;
  if (at < 0) first = std::max(first, (-at + a.stride - 1) / a.stride);
  const int room = a.in - 1 - at;
  last = room < 0 ? first : std::min(last, room / a.stride + 1);
  return {first, std::max(first, last)};
}

class Worker {
 public:
  Worker(const Problem& problem, const std::vector<WeightTile>& tiles, bool across, int images,
         int chunk_rows, const Tile& x_tile, const Tile& dy_tile, float* sums)
      : problem_(problem),
        tiles_(tiles),
        across_(across),
        images_(images),
        chunk_rows_(chunk_rows),
        x_tile_(x_tile),
        dy_tile_(dy_tile),
        x_(x_tile.floats()),
        dy_(across ? dy_tile.floats() : 0),
        sums_(sums) {
    x_tile.clear(x_.data());
  }

  void run(const float* x, const float* dy, int image, int images) {
    const Axis &rows = problem_.rows, &columns = problem_.columns;
    const Pattern& p = problem_.pattern;
    const long x_row = (long)columns.in * p.in_channels;
    const long dy_row = (long)columns.out * p.out_channels;
    x += image * rows.in * x_row;
    dy += image * rows.out * dy_row;
    if (across_)
      dy_tile_.fill(*problem_.micro, dy_.data(), dy, dy_row, rows.out * dy_row, images, rows.out);
    for (int from = 0; from < rows.out; from += chunk_rows_) {
      const int to = std::min(rows.out, from + chunk_rows_);
      const int first = std::max(0, from * rows.stride - rows.pad);
      const int last = std::min(rows.in - 1, (to - 1) * rows.stride - rows.pad +
                                                 (p.kernel[0] - 1) * rows.dilation);
      if (last < first) continue;
      x_tile_.fill(*problem_.micro, x_.data(), x + first * x_row, x_row, rows.in * x_row, images,
                   last - first + 1);
      for (const WeightTile& tile : tiles_) sum(tile, dy, images, from, to, first);
    }
  }

 private:
  void sum(const WeightTile& tile, const float* dy, int images, int from, int to, int first) {
    const Axis &rows = problem_.rows, &columns = problem_.columns;
    const auto [top, bottom] = live_range(rows, tile.tap_row, from, to);
    const auto [left, right] = across_ ? live_range(columns, tile.tap_column, 0, columns.out)
                                       : std::array<int, 2>{0, columns.out};
    if (top == bottom || left == right) return;
    Sum a = {};
    const int row = top * rows.stride - rows.pad + tile.tap_row * rows.dilation - first;
    const int column =
        left * columns.stride - columns.pad + tile.tap_column * columns.dilation;
    a.x = x_.data() + row * x_tile_.row() + (x_tile_.left + column) * x_tile_.pixel();
    a.x_image = x_tile_.image();
    a.x_row = rows.stride * x_tile_.row();
    a.x_column = columns.stride * x_tile_.pixel();
    a.dy_column = across_ ? dy_tile_.pixel() : problem_.pattern.out_channels;
    a.dy_row = a.dy_column * columns.out;
    a.dy_image = a.dy_row * rows.out;
    a.dy = (across_ ? dy_.data() : dy) + top * a.dy_row + left * a.dy_column;
    a.images = images;
    a.rows = bottom - top;
    a.columns = right - left;
    a.x_offsets = tile.offsets;
    a.dy_offsets = tile.filters;
    a.out = sums_;
    a.out_rows = tile.rows;
    a.out_columns = tile.columns;
    problem_.micro->sum[tile.positions][tile.vectors](a);
  }

  const Problem& problem_;
  const std::vector<WeightTile>& tiles_;
  const bool across_;
  const int images_, chunk_rows_;
  const Tile x_tile_, dy_tile_;
  Buffer x_, dy_;
  float* sums_;
};

}  // namespace

void weight_gradient_by_vectors(const Problem& problem, const float* x, const float* dy,
                     const std::vector<float*>& gradients, int slices, const Runner& run) {
  const Pattern& p = problem.pattern;
  const Axis &rows = problem.rows, &columns = problem.columns;
  std::vector<int> starts;
  int total = 0;
  for (std::size_t m = 0; m < p.filters.size(); ++m) {
    starts.push_back(total);
    total += (int)((p.taps[m].size() * p.kxk.size() + p.pointwise.size()) * p.filters[m].size());
  }
  const bool across = columns.out < kAcrossImages;
  const int images = across ? std::min(kImages, problem.batch) : 1;
  const int reach = (p.kernel[0] - 1) * rows.dilation;
  const Tile dy_tile = {images, rows.out, columns.out, p.out_channels, 0, 0, 8};
  Tile x_tile = {images, 0, columns.in, p.in_channels, 0, 0, problem.lanes};
  if (!across) {
    const int last = (columns.out - 1) * columns.stride - columns.pad +
                     (p.kernel[1] - 1) * columns.dilation;
    x_tile.left = columns.pad;
    x_tile.right = std::max(0, last - (columns.in - 1));
  }
  const auto tiles = weight_tiles(problem, across, columns.dilation * x_tile.pixel(), starts);
  int chunk_rows = rows.out;
  for (;; chunk_rows = (chunk_rows + 1) / 2) {
    x_tile.rows = std::min(rows.in, (chunk_rows - 1) * rows.stride + reach + 1);
    const long floats = x_tile.image() + chunk_rows * (long)columns.out * p.out_channels;
    if (across || chunk_rows == 1 || floats <= kChunkFloats) break;
  }

  const int groups = (problem.batch + images - 1) / images;
  slices = std::max(1, std::min(slices, groups));
  const std::size_t padded = (total + 15) / 16 * 16;
  Buffer sums(padded * slices);
  run(slices, [&](int slice) {
    float* own = sums.data() + slice * padded;
    std::fill(own, own + padded, 0.f);
    Worker worker(problem, tiles, across, images, chunk_rows, x_tile, dy_tile, own);
    for (long group = (long)groups * slice / slices;
         group < (long)groups * (slice + 1) / slices; ++group) {
      const int image = (int)group * images;
      worker.run(x, dy, image, std::min(images, problem.batch - image));
    }
  });
  for (std::size_t m = 0; m < p.filters.size(); ++m) {
    const int end = m + 1 < starts.size() ? starts[m + 1] : total;
    for (int i = starts[m]; i < end; ++i) {
      float sum = 0;
      for (int slice = 0; slice < slices; ++slice) sum += sums.data()[slice * padded + i];
      gradients[m][i - starts[m]] = sum;
    }
  }
}

}  // namespace keras_ssc
