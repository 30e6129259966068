// What a pass along lines of pixels reads and writes, and which taps each line has.
#pragma once

#include <algorithm>

#include "plan.h"
#include "tile.h"

namespace keras_ssc {

constexpr int kAcrossImages = 8;         // maps narrower than this take lines across images
constexpr int kImages = 6;               // of such a line
constexpr long kTileFloats = 48 * 1024;  // of a tile of rows: stays in the second cache

struct Steps {
  std::vector<int> offsets, weights;
};

struct Line {
  int first, step, count, base, kind;  // destination columns, and which of the column classes
};

// Pass: what is read (source), what is written (destination), where the taps lie.
struct Pass {
  const Problem& problem;
  const Plan& plan;
  const bool forward, across;
  const int source_rows, source_columns, source_channels;
  const int rows, columns, channels;
  std::vector<Reach> row_reach;
  std::vector<int> row_kind;
  std::vector<Line> lines;                             // of one destination row
  std::vector<std::vector<std::vector<Steps>>> steps;  // by row class, column class, terms
  Tile tile = {};
  int tile_rows = 0;  // destination rows of a tile

  // `parts`: how many tiles there should be at least.
  Pass(const Problem& p, const Plan& plan, bool forward, int parts)
      : problem(p),
        plan(plan),
        forward(forward),
        across((forward ? p.columns.out : p.columns.in) < kAcrossImages && p.batch > 1),
        source_rows(forward ? p.rows.in : p.rows.out),
        source_columns(forward ? p.columns.in : p.columns.out),
        source_channels(forward ? p.pattern.in_channels : p.pattern.out_channels),
        rows(forward ? p.rows.out : p.rows.in),
        columns(forward ? p.columns.out : p.columns.in),
        channels(forward ? p.pattern.out_channels : p.pattern.in_channels) {
    std::vector<Reach> row_kinds, column_kinds;
    for (int r = 0; r < rows; ++r) {
      row_reach.push_back(reach(p.rows, p.pattern.kernel[0], r, true));
      row_kind.push_back(kind_of(row_kinds, row_reach.back()));
    }
    const int step = across ? columns : forward ? 1 : p.columns.stride;
    for (int c = 0; c < std::min(step, columns); ++c) {
      const Reach at = reach(p.columns, p.pattern.kernel[1], c, across);
      const int count = across ? 0 : (columns - c + step - 1) / step;
      lines.push_back({c, step, count, at.base, kind_of(column_kinds, at)});
    }
    set_tile(column_kinds, parts);
    for (const Reach& row : row_kinds) {
      steps.emplace_back();
      for (const Reach& column : column_kinds) steps.back().push_back(live_steps(row, column));
    }
  }

  Reach reach(const Axis& axis, int kernel, int at, bool inside) const {
    return forward ? forward_reach(axis, kernel, at, inside)
                   : backward_reach(axis, kernel, at, inside);
  }

  static int kind_of(std::vector<Reach>& kinds, const Reach& reach) {
    for (int i = 0; i < (int)kinds.size(); ++i)
      if (kinds[i].relative == reach.relative) return i;
    kinds.push_back(reach);
    return (int)kinds.size() - 1;
  }

  // Source pixels from one pixel of a line to the next.
  int source_step() const { return forward ? problem.columns.stride : 1; }

  // First and last source row that the destination rows [from, to) read; none: last < first.
  std::array<int, 2> source_span(int from, int to) const {
    std::array<int, 2> span = {source_rows, -1};
    for (int r = from; r < to; ++r)
      for (int relative : row_reach[r].relative)
        if (relative != kDead) {
          span[0] = std::min(span[0], row_reach[r].base + relative);
          span[1] = std::max(span[1], row_reach[r].base + relative);
        }
    return span;
  }

  void set_tile(const std::vector<Reach>& column_kinds, int parts) {
    tile.columns = source_columns;
    tile.channels = source_channels;
    if (!plan.source.empty()) tile.order = Order(plan.source, source_channels, *plan.micro);
    tile.distances = plan.distances;
    tile.extra = forward ? plan.again : 8;  // off the power of two
    tile.images = 1;
    for (const Line& line : lines)
      for (int relative : column_kinds[line.kind].relative) {
        if (across || relative == kDead) continue;
        const int first = line.base + relative, last = first + (line.count - 1) * source_step();
        tile.left = std::max(tile.left, -first);
        tile.right = std::max(tile.right, last - (source_columns - 1));
      }
    const int groups = across ? (problem.batch + kImages - 1) / kImages : problem.batch;
    for (tile_rows = rows;; tile_rows = (tile_rows + 1) / 2) {
      tile.rows = 1;
      for (int r = 0; r < rows; r += tile_rows) {
        const auto span = source_span(r, std::min(rows, r + tile_rows));
        tile.rows = std::max(tile.rows, span[1] - span[0] + 1);
      }
      const long tiles = groups * ((rows + tile_rows - 1L) / tile_rows);
      if (tile_rows == 1 || (tile.image() <= kTileFloats && tiles >= parts)) break;
    }
    if (across) {
      const long most = std::max(1L, 4 * kTileFloats / tile.image());
      tile.images = (int)std::min<long>({most, kImages, problem.batch});
    }
  }

  std::vector<Steps> live_steps(const Reach& row, const Reach& column) const {
    std::vector<Steps> all;
    for (const auto& terms : plan.terms) {
      Steps live;
      for (int k = 0; k < (int)terms.size(); ++k) {
        const int r = row.relative[terms[k].tap_row], c = column.relative[terms[k].tap_column];
        if (r == kDead || c == kDead) continue;
        live.offsets.push_back((int)(r * tile.row() + c * tile.pixel()) + terms[k].place);
        live.weights.push_back(k);
      }
      all.push_back(live);
    }
    return all;
  }
};

}  // namespace keras_ssc
