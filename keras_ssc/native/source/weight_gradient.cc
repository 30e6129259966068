// The gradient by weights: every live weight is a sum over pixels. Each slice of the batch sums
// for itself; the slices are then added in their order, so that a run repeats bit for bit.
#include <algorithm>
#include <map>

#include "fetch.h"
#include "general_convolution.h"
#include "tile.h"
#include "weight_sums.h"

namespace keras_ssc {
namespace {

constexpr int kAcrossImages = 8;  // maps narrower than this are copied several at a time
constexpr int kImages = 6;
constexpr long kChunkFloats = 48 * 1024;  // of x and dy together: stays in the second cache

// A few positions by a few vectors of filters.
struct WeightTile {
  int tap_row;
  int tap_column;  // where it matters; 0 where the columns beyond the ends are zeros
  Access access;
  int positions, vectors;
  int offsets[kMaxRows], filters[kMaxVectors];  // of x and of dy
  int rows[kMaxRows], columns[kMaxVectors];     // where they lie in the sums
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
      list.push_back(
          {row++, (r + shift) % p.in_channels + (across ? 0 : (int)(place[1] * tap_floats))});
  }
  return found;
}

std::vector<WeightTile> weight_tiles(const Pattern& p, const Layout& layout, bool across,
                                     long tap_floats) {
  std::vector<WeightTile> all;
  for (const auto& group : layout.groups) {
    const Vector& first = layout.vectors[group[0]];
    const int widest = std::min<int>(kMaxVectors, (int)group.size());
    const int most = std::min(kMaxRows, layout.micro->registers / widest);
    for (const auto& [place, list] : ranges(p, first.matrix, first.shift, across, tap_floats)) {
      int position = 0;
      for (int positions : row_parts((int)list.size(), most)) {
        int vector = 0;
        for (int vectors : even_parts((int)group.size(), kMaxVectors)) {
          WeightTile tile = {place[0], place[1], first.access, positions, vectors, {}, {}, {}, {}};
          for (int t = 0; t < positions; ++t) {
            tile.offsets[t] = list[position + t].offset;
            tile.rows[t] =
                layout.starts[first.matrix] + list[position + t].row * layout.pitches[first.matrix];
          }
          for (int f = 0; f < vectors; ++f) {
            tile.filters[f] = layout.places[group[vector + f]];
            tile.columns[f] = layout.columns[group[vector + f]];
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
  Worker(const Problem& problem, const Layout& layout, const std::vector<WeightTile>& tiles,
         bool across, int chunk_rows, const Tile& x_tile, const Tile& dy_tile, float* sums)
      : problem_(problem),
        layout_(layout),
        tiles_(tiles),
        across_(across),
        chunk_rows_(chunk_rows),
        x_tile_(x_tile),
        dy_tile_(dy_tile),
        x_(x_tile.floats()),
        dy_(dy_tile.floats()),
        sums_(sums) {
    x_tile.clear(x_.data());
  }

  void run(const float* x, const float* dy, int image, int images) {
    const Axis &rows = problem_.rows, &columns = problem_.columns;
    const Pattern& p = problem_.pattern;
    const long x_row = (long)columns.in * p.in_channels;
    const long dy_row = (long)columns.out * p.out_channels;
    const long x_floats = problem_.batch * rows.in * x_row;
    const long dy_floats = problem_.batch * rows.out * dy_row;
    const bool far = !across_ && x_floats + dy_floats > kFetchFrom;
    const float *all_x = x, *all_dy = dy;
    x += image * rows.in * x_row;
    dy += image * rows.out * dy_row;
    // A vector at the last pixels of all may reach beyond the array.
    const bool in_place = !across_ && dy_tile_.order.channels.empty() &&
                          (!layout_.beyond || image + images < problem_.batch);
    dy_pixel_ = in_place ? p.out_channels : dy_tile_.pixel();
    if (!in_place) {
      dy_tile_.fill(*layout_.micro, dy_.data(), dy, dy_row, rows.out * dy_row, images, rows.out);
      dy = dy_.data();
    }
    for (int from = 0; from < rows.out; from += chunk_rows_) {
      const int to = std::min(rows.out, from + chunk_rows_);
      const int first = std::max(0, from * rows.stride - rows.pad);
      const int last = std::min(
          rows.in - 1, (to - 1) * rows.stride - rows.pad + (p.kernel[0] - 1) * rows.dilation);
      if (last < first) continue;
      x_tile_.fill(*layout_.micro, x_.data(), x + first * x_row, x_row, rows.in * x_row, images,
                   last - first + 1);
      const long steps = far ? (long)tiles_.size() * (to - from) * columns.out : 0;
      const long next_x = (image * (long)rows.in + last + 1) * x_row;
      const long next_dy = (image * (long)rows.out + (in_place ? to : rows.out + from)) * dy_row;
      Fetch x_ahead(all_x + next_x,
                    floats_left(next_x, (to - from) * rows.stride * x_row, x_floats), steps);
      Fetch dy_ahead(all_dy + next_dy, floats_left(next_dy, (to - from) * dy_row, dy_floats),
                     steps);
      for (const WeightTile& tile : tiles_)
        sum(tile, dy, images, from, to, first, x_ahead, dy_ahead);
    }
  }

 private:
  void sum(const WeightTile& tile, const float* dy, int images, int from, int to, int first,
           Fetch& x_ahead, Fetch& dy_ahead) {
    const Axis &rows = problem_.rows, &columns = problem_.columns;
    const auto [top, bottom] = live_range(rows, tile.tap_row, from, to);
    const auto [left, right] = across_ ? live_range(columns, tile.tap_column, 0, columns.out)
                                       : std::array<int, 2>{0, columns.out};
    if (top == bottom || left == right) return;
    Sum a = {};
    const int row = top * rows.stride - rows.pad + tile.tap_row * rows.dilation - first;
    const int column = left * columns.stride - columns.pad + tile.tap_column * columns.dilation;
    a.x = x_.data() + row * x_tile_.row() + (x_tile_.left + column) * x_tile_.pixel();
    a.x_image = x_tile_.image();
    a.x_row = rows.stride * x_tile_.row();
    a.x_column = columns.stride * x_tile_.pixel();
    a.dy_column = dy_pixel_;
    a.dy_row = a.dy_column * columns.out;
    a.dy_image = a.dy_row * rows.out;
    a.dy = dy + top * a.dy_row + left * a.dy_column;
    a.images = images;
    a.rows = bottom - top;
    a.columns = right - left;
    a.x_offsets = tile.offsets;
    a.index = tile.access.index.data();
    a.dy_offsets = tile.filters;
    a.out = sums_;
    a.out_rows = tile.rows;
    a.out_columns = tile.columns;
    a.next_x = x_ahead.begin((long)a.rows * a.columns, &a.x_lines);
    a.next_dy = dy_ahead.begin((long)a.rows * a.columns, &a.dy_lines);
    layout_.micro->sum[tile.access.load][tile.positions][tile.vectors](a);
  }

  const Problem& problem_;
  const Layout& layout_;
  const std::vector<WeightTile>& tiles_;
  const bool across_;
  const int chunk_rows_;
  const Tile &x_tile_, &dy_tile_;
  Buffer x_, dy_;
  long dy_pixel_;
  float* sums_;
};

}  // namespace

void weight_gradient_by_vectors(const Problem& problem, const float* x, const float* dy,
                                const std::vector<float*>& gradients, int slices,
                                const Runner& run) {
  const Pattern& p = problem.pattern;
  const Axis &rows = problem.rows, &columns = problem.columns;
  const Layout layout(problem);
  const bool across = columns.out < kAcrossImages;
  const int images = across ? std::min(kImages, problem.batch) : 1;
  const int reach = (p.kernel[0] - 1) * rows.dilation;
  Tile x_tile = {images, 0, columns.in, p.in_channels, 0, 0, layout.again, {}};
  if (!across) {
    const int last =
        (columns.out - 1) * columns.stride - columns.pad + (p.kernel[1] - 1) * columns.dilation;
    x_tile.left = columns.pad;
    x_tile.right = std::max(0, last - (columns.in - 1));
  }
  const auto tiles = weight_tiles(p, layout, across, columns.dilation * x_tile.pixel());
  int chunk_rows = rows.out;
  for (;; chunk_rows = (chunk_rows + 1) / 2) {
    x_tile.rows = std::min(rows.in, (chunk_rows - 1) * rows.stride + reach + 1);
    const long floats = x_tile.image() + chunk_rows * (long)columns.out * p.out_channels;
    if (across || chunk_rows == 1 || floats <= kChunkFloats) break;
  }
  const bool copied = across || layout.beyond || !layout.order.empty();
  const Tile dy_tile = {
      copied ? images : 0,
      rows.out,
      columns.out,
      p.out_channels,
      0,
      0,
      8,
      layout.order.empty() ? Order() : Order(layout.order, p.out_channels, *layout.micro)};
  const int groups = (problem.batch + images - 1) / images;
  slices = std::max(1, std::min(slices, groups));
  WeightSums sums(layout, slices);
  run(slices, [&](int slice) {
    Worker worker(problem, layout, tiles, across, chunk_rows, x_tile, dy_tile, sums.of(slice));
    for (long group = (long)groups * slice / slices; group < (long)groups * (slice + 1) / slices;
         ++group) {
      const int image = (int)group * images;
      worker.run(x, dy, image, std::min(images, problem.batch - image));
    }
  });
  sums.add_up(gradients);
}

}  // namespace keras_ssc
