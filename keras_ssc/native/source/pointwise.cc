#include "pointwise.h"

#include <algorithm>
#include <memory>

#include "block_product.h"
#include "fetch.h"
#include "normalize.h"
#include "tile.h"
#include "weight_sums.h"

namespace keras_ssc {
namespace {

// Of source and destination at a time, which all weights go over.
constexpr long kFirstCache = 4 * 1024;    // where the weights stay in the first cache too
constexpr long kSecondCache = 32 * 1024;  // where they don't
constexpr long kFewWeights = 4 * 1024;
// Of x and dy at a time, where each is read again and again: as many as the first cache holds, or,
// where those would be a few pixels only, the second.
constexpr long kSumsFirst = 6 * 1024, kSumsSecond = 96 * 1024;
constexpr long kFewPixels = 32;

bool reads_its_own_pixel(const Problem& problem) {
  const Pattern& p = problem.pattern;
  if (!p.kxk.empty() && (p.kernel[0] != 1 || p.kernel[1] != 1)) return false;
  const Axis* axes[] = {&problem.rows, &problem.columns};
  for (int i = 0; i < 2; ++i)
    if (axes[i]->stride != 1 || axes[i]->in != axes[i]->out ||
        p.centre[i] * axes[i]->dilation != axes[i]->pad)
      return false;
  return true;
}

long pixels_of(const Problem& p) { return (long)p.batch * p.rows.in * p.columns.in; }

// Where the pixels [from, to) of a line can be read: in place, or copied into `tile`.
class Source {
 public:
  // `again`: channels that are read beyond a pixel's last one: the first ones once more, where
  // `wraps`, or whatever is there.
  Source(const float* line, long pixels, int channels, int again, bool wraps, const Order& order,
         const std::vector<int>& distances, long chunk)
      : line_(line),
        pixels_(pixels),
        channels_(channels),
        always_(wraps || !order.channels.empty() || !distances.empty()),
        last_(again > 0),
        tile_{always_ || last_ ? 1 : 0, 1, (int)chunk, channels, 0, 0, again, order, distances},
        copy_(tile_.floats()) {}

  const float* chunk(const Microkernels& micro, long from, long to) {
    copied_ = always_ || (last_ && to == pixels_);
    if (!copied_) return line_ + from * channels_;
    tile_.columns = (int)(to - from);
    tile_.fill(micro, copy_.data(), line_ + from * channels_, 0, 0, 1, 1);
    return copy_.data();
  }
  long pixel() const { return copied_ ? tile_.pixel() : channels_; }

 private:
  const float* line_;
  const long pixels_;
  const int channels_;
  const bool always_, last_;
  Tile tile_;
  Buffer copy_;
  bool copied_ = false;
};

void contract(const Plan& plan, const Problem& problem, int source_channels, int channels,
              const float* source, const Epilogue& epilogue, float* destination, int slices,
              const Runner& run) {
  const long pixels = pixels_of(problem);
  const bool few = (long)plan.floats <= kFewWeights;
  const long fit = (few ? kFirstCache : kSecondCache) / (source_channels + channels) / 24 * 24;
  const long chunk = std::min(std::max(24L, fit), std::max(24L, (pixels + slices - 1) / slices));
  const long chunks = (pixels + chunk - 1) / chunk;
  // Few pixels: the threads share out the blocks too.
  const int parts = (int)std::min<long>(plan.blocks.size(), (slices + chunks - 1) / chunks);
  std::vector<std::vector<int>> offsets, rows;
  for (const auto& terms : plan.terms) {
    offsets.emplace_back();
    rows.emplace_back();
    for (const Term& term : terms) {
      rows.back().push_back((int)offsets.back().size());
      offsets.back().push_back(term.place);
    }
  }
  std::vector<Product> products;
  for (const Block& block : plan.blocks) {
    products.push_back(block_product(plan, block, epilogue));
    products.back().x_offsets = offsets[block.terms].data();
    products.back().w_rows = rows[block.terms].data();
    products.back().steps = (int)offsets[block.terms].size();
    products.back().y_pixel = channels;
  }
  // Steps of all products of a chunk.
  long all_steps = 0;
  for (std::size_t b = 0; b < products.size(); ++b)
    all_steps += (long)products[b].steps * products_along(plan, plan.blocks[b], (int)chunk);
  const bool far = parts == 1 && pixels * (source_channels + channels) > kFetchFrom;
  const long units = chunks * parts;
  slices = (int)std::min<long>(slices, units);
  const int again = plan.source.empty() ? plan.again : 8;
  const Order order =
      plan.source.empty() ? Order() : Order(plan.source, source_channels, *plan.micro);
  MomentSums moments(channels, epilogue.mean && parts == 1 ? slices : 0);
  run(slices, [&](int slice) {
    Source line(source, pixels, source_channels, again, plan.wraps, order, plan.distances, chunk);
    for (long unit = units * slice / slices; unit < units * (slice + 1) / slices; ++unit) {
      const long from = unit / parts * chunk, to = std::min(pixels, from + chunk);
      const int part = (int)(unit % parts), count = (int)plan.blocks.size();
      const float* x = line.chunk(*plan.micro, from, to);
      const long ahead = far ? floats_left(to, chunk, pixels) : 0;
      Fetch next_x(source + to * source_channels, ahead * source_channels, all_steps);
      Fetch next_y(destination + to * channels, ahead * channels, all_steps);
      for (int b = count * part / parts; b < count * (part + 1) / parts; ++b) {
        Product a = products[b];
        const long steps = (long)a.steps * products_along(plan, plan.blocks[b], (int)(to - from));
        a.next_source = next_x.begin(steps, &a.source_lines);
        a.next_destination = next_y.begin(steps, &a.destination_lines);
        a.x = x;
        a.x_pixel = line.pixel();
        a.y = destination + from * channels;
        a.residual = epilogue.residual ? epilogue.residual + from * channels : nullptr;
        multiply(plan, plan.blocks[b], a, (int)(to - from));
      }
      if (epilogue.mean && parts == 1) moments.add(slice, destination + from * channels, to - from);
    }
  });
  if (!epilogue.mean) return;
  const Normalization all = {pixels, channels, (int)std::min<long>(slices, pixels), run};
  if (parts == 1)
    moments.finish(epilogue.mean, epilogue.variance);
  else
    keras_ssc::moments(all, destination, epilogue.mean, epilogue.variance);
}

}  // namespace

ForwardPass pointwise_forward(const Problem& problem, const std::vector<const float*>& weights,
                              const Epilogue& epilogue, int slices) {
  if (!reads_its_own_pixel(problem)) return {};
  const auto plan = std::make_shared<const Plan>(forward_plan(problem, weights, epilogue));
  if (!plan->destination.empty()) return {};
  return [&problem, &epilogue, plan, slices](const float* x, const float* residual, float* y,
                                             const Runner& run) {
    const Pattern& p = problem.pattern;
    Epilogue with_residual = epilogue;
    with_residual.residual = residual;
    contract(*plan, problem, p.in_channels, p.out_channels, x, with_residual, y, slices, run);
  };
}

bool pointwise_input_gradient(const Problem& problem, const float* dy,
                              const std::vector<const float*>& weights, float* dx, int slices,
                              const Runner& run) {
  if (!reads_its_own_pixel(problem)) return false;
  const Plan plan = input_gradient_plan(problem, weights);
  if (plan.folded) return false;
  const Pattern& p = problem.pattern;
  contract(plan, problem, p.out_channels, p.in_channels, dy, {}, dx, slices, run);
  return true;
}

namespace {

// A few vectors of dy of all pixels side by side; lanes that are dead may hold anything.
void fill_panel(const Layout& layout, const int* group, int vectors, const float* dy, int pixels,
                bool to_the_end, float* panel) {
  const int lanes = layout.micro->lanes, channels = layout.pattern.out_channels;
  for (int i = 0; i < pixels; ++i, dy += channels)
    for (int f = 0; f < vectors; ++f) {
      const float* from = dy + layout.places[group[f]];
      const bool whole = !to_the_end || from + lanes <= dy + (long)(pixels - i) * channels;
      panel = put(panel, from, whole ? lanes : layout.vectors[group[f]].live, lanes);
    }
}

// A few positions by a few vectors of filters, of which a panel of dy may be made first.
struct SumTile {
  const int* group;
  bool first;  // of those vectors
  Load load;
  const int* index;
  int positions, vectors;
  int x_offsets[kMaxRows], rows[kMaxRows];
  int places[kMaxVectors], columns[kMaxVectors];
};

std::vector<SumTile> sum_tiles(const Layout& layout) {
  const Pattern& p = layout.pattern;
  std::vector<SumTile> all;
  for (const auto& group : layout.groups) {
    const Vector& head = layout.vectors[group[0]];
    std::vector<int> offsets;
    for (std::size_t tap = 0; tap < p.taps[head.matrix].size(); ++tap)
      for (int r : p.kxk) offsets.push_back((r + head.shift) % p.in_channels);
    for (int r : p.pointwise) offsets.push_back((r + head.shift) % p.in_channels);
    int first = 0;
    for (int vectors : even_parts((int)group.size(), kMaxVectors)) {
      const int most = std::min(kMaxRows, layout.micro->registers / vectors);
      int row = 0;
      for (int positions : row_parts((int)offsets.size(), most)) {
        SumTile tile = {&group[first],
                        row == 0,
                        head.access.load,
                        head.access.index.data(),
                        positions,
                        vectors,
                        {},
                        {},
                        {},
                        {}};
        for (int t = 0; t < positions; ++t) {
          tile.x_offsets[t] = offsets[row + t];
          tile.rows[t] = layout.starts[head.matrix] + (row + t) * layout.pitches[head.matrix];
        }
        for (int f = 0; f < vectors; ++f) {
          tile.places[f] = layout.places[group[first + f]];
          tile.columns[f] = layout.columns[group[first + f]];
        }
        all.push_back(tile);
        row += positions;
      }
      first += vectors;
    }
  }
  return all;
}

// All sums of some pixels. With a panel, a few vectors of dy are laid side by side first: where
// they are read from the second cache, or where some reach beyond the pixels and those are the
// last, `to_the_end`.
void sum_chunk(const Layout& layout, const std::vector<SumTile>& tiles, const float* x,
               long x_pixel, const float* dy, int pixels, bool to_the_end, float* panel,
               Fetch next_x, Fetch next_dy, float* sums) {
  const int lanes = layout.micro->lanes;
  int panel_offsets[kMaxVectors];
  for (int f = 0; f < kMaxVectors; ++f) panel_offsets[f] = f * lanes;
  for (const SumTile& tile : tiles) {
    if (panel && tile.first)
      fill_panel(layout, tile.group, tile.vectors, dy, pixels, to_the_end, panel);
    Sum a = {};
    a.x = x;
    a.x_column = x_pixel;
    a.dy = panel ? panel : dy;
    a.dy_column = panel ? tile.vectors * lanes : layout.pattern.out_channels;
    a.images = a.rows = 1;
    a.columns = pixels;
    a.x_offsets = tile.x_offsets;
    a.index = tile.index;
    a.dy_offsets = panel ? panel_offsets : tile.places;
    a.out = sums;
    a.out_rows = tile.rows;
    a.out_columns = tile.columns;
    a.next_x = next_x.begin(pixels, &a.x_lines);
    a.next_dy = next_dy.begin(pixels, &a.dy_lines);
    layout.micro->sum[tile.load][tile.positions][tile.vectors](a);
  }
}

}  // namespace

bool pointwise_weight_gradient(const Problem& problem, const float* x, const float* dy,
                               const std::vector<float*>& gradients, int slices,
                               const Runner& run) {
  const Layout layout(problem);
  if (!reads_its_own_pixel(problem) || !layout.order.empty()) return false;
  const Pattern& p = problem.pattern;
  const long pixels = pixels_of(problem);
  const long channels = p.in_channels + p.out_channels;
  const bool few = kSumsFirst / channels >= kFewPixels;
  const long chunk =
      std::max(kFewPixels, std::min(512L, (few ? kSumsFirst : kSumsSecond) / channels));
  const long chunks = (pixels + chunk - 1) / chunk;
  slices = (int)std::min<long>(slices, chunks);
  const std::vector<SumTile> tiles = sum_tiles(layout);
  const bool far = pixels * channels > kFetchFrom;
  WeightSums sums(layout, slices);
  run(slices, [&](int slice) {
    float* own = sums.of(slice);
    Source line(x, pixels, p.in_channels, layout.again, layout.wraps, {}, {}, chunk);
    Buffer panel(chunk * kMaxVectors * layout.micro->lanes);
    for (long i = chunks * slice / slices; i < chunks * (slice + 1) / slices; ++i) {
      const long from = i * chunk, to = std::min(pixels, from + chunk);
      const float* pixel = line.chunk(*layout.micro, from, to);
      const long ahead = far ? floats_left(to, chunk, pixels) : 0;
      const long steps = (long)tiles.size() * chunk;
      const bool panels = !few || (to == pixels && layout.beyond);
      sum_chunk(layout, tiles, pixel, line.pixel(), dy + from * p.out_channels, (int)(to - from),
                to == pixels, panels ? panel.data() : nullptr,
                {x + to * p.in_channels, ahead * p.in_channels, steps},
                {dy + to * p.out_channels, ahead * p.out_channels, steps}, own);
    }
  });
  sums.add_up(gradients);
  return true;
}

}  // namespace keras_ssc
