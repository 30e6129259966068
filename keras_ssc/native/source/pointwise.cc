#include "pointwise.h"

#include <algorithm>

#include "block_product.h"
#include "tile.h"
#include "weight_sums.h"

namespace keras_ssc {
namespace {

constexpr long kChunkFloats = 32 * 1024;  // of the source: stays in the second cache
constexpr long kSumFloats = 96 * 1024;    // of x and dy, where each is read again and again

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
  Source(const float* line, long pixels, int channels, int again, bool wraps,
         const Order& order, long chunk)
      : line_(line),
        pixels_(pixels),
        channels_(channels),
        always_(wraps || !order.channels.empty()),
        last_(again > 0),
        tile_{always_ || last_ ? 1 : 0, 1, (int)chunk, channels, 0, 0, again, order},
        copy_(tile_.floats()) {}

  const float* chunk(const Microkernels& micro, long from, long to) {
    copied_ = always_ || (last_ && to == pixels_);
    if (!copied_) return line_ + from * channels_;
    Tile tile = tile_;
    tile.columns = (int)(to - from);
    tile.fill(micro, copy_.data(), line_ + from * channels_, 0, 0, 1, 1);
    return copy_.data();
  }
  long pixel() const { return copied_ ? tile_.pixel() : channels_; }

 private:
  const float* line_;
  const long pixels_;
  const int channels_;
  const bool always_, last_;
  const Tile tile_;
  Buffer copy_;
  bool copied_ = false;
};

void contract(const Plan& plan, const Problem& problem, int source_channels, int channels,
              const float* source, const Epilogue& epilogue, float* destination, int slices,
              const Runner& run) {
  const long pixels = pixels_of(problem);
  const long fit = std::max(24L, kChunkFloats / source_channels / 24 * 24);
  const long chunk = std::min(fit, std::max(24L, (pixels + slices - 1) / slices));
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
  const long units = chunks * parts;
  slices = (int)std::min<long>(slices, units);
  const int again = plan.source.empty() ? std::max(0, plan.reads() - source_channels) : 8;
  const Order order = plan.source.empty() ? Order() : Order(plan.source, source_channels, *plan.micro);
  run(slices, [&](int slice) {
    Source line(source, pixels, source_channels, again, plan.wraps, order, chunk);
    for (long unit = units * slice / slices; unit < units * (slice + 1) / slices; ++unit) {
      const long from = unit / parts * chunk, to = std::min(pixels, from + chunk);
      const int part = (int)(unit % parts), count = (int)plan.blocks.size();
      const float* x = line.chunk(*plan.micro, from, to);
      for (int b = count * part / parts; b < count * (part + 1) / parts; ++b) {
        const Block& block = plan.blocks[b];
        Product a = block_product(plan, block, epilogue);
        a.x = x;
        a.x_pixel = line.pixel();
        a.x_offsets = offsets[block.terms].data();
        a.w_rows = rows[block.terms].data();
        a.steps = (int)offsets[block.terms].size();
        a.y = destination + from * channels;
        a.y_pixel = channels;
        a.residual = epilogue.residual ? epilogue.residual + from * channels : nullptr;
        multiply(plan, block, a, (int)(to - from));
      }
    }
  });
}

}  // namespace

bool pointwise_forward(const Problem& problem, const float* x,
                       const std::vector<const float*>& weights, const Epilogue& epilogue, float* y,
                       int slices, const Runner& run) {
  if (!reads_its_own_pixel(problem)) return false;
  const Plan plan = forward_plan(problem, weights, epilogue.bias);
  if (!plan.destination.empty()) return false;
  const Pattern& p = problem.pattern;
  contract(plan, problem, p.in_channels, p.out_channels, x, epilogue, y, slices, run);
  return true;
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

// All sums of some pixels. Where dy is read often, it is laid into panels, a few vectors wide;
// likewise where vectors reach beyond the pixels and those are the last, `to_the_end`.
void sum_chunk(const Layout& layout, const float* x, long x_pixel, const float* dy, int pixels,
               bool to_the_end, float* panel, float* sums) {
  const Pattern& p = layout.pattern;
  const int lanes = layout.micro->lanes;
  for (const auto& group : layout.groups) {
    const Vector& head = layout.vectors[group[0]];
    std::vector<int> offsets;
    for (std::size_t tap = 0; tap < p.taps[head.matrix].size(); ++tap)
      for (int r : p.kxk) offsets.push_back((r + head.shift) % p.in_channels);
    for (int r : p.pointwise) offsets.push_back((r + head.shift) % p.in_channels);
    int first = 0;
    for (int vectors : even_parts((int)group.size(), kMaxVectors)) {
      int dy_offsets[kMaxVectors], columns[kMaxVectors], rows[kMaxRows];
      const int most = std::min(kMaxRows, layout.micro->registers / vectors);
      const bool panels = (int)offsets.size() > 3 * most || (to_the_end && layout.beyond);
      for (int f = 0; f < vectors; ++f) {
        dy_offsets[f] = panels ? f * lanes : layout.places[group[first + f]];
        columns[f] = layout.columns[group[first + f]];
      }
      if (panels) fill_panel(layout, &group[first], vectors, dy, pixels, to_the_end, panel);
      first += vectors;
      Sum a = {};
      a.x = x;
      a.x_column = x_pixel;
      a.dy = panels ? panel : dy;
      a.dy_column = panels ? vectors * lanes : p.out_channels;
      a.images = a.rows = 1;
      a.columns = pixels;
      a.index = head.access.index.data();
      a.dy_offsets = dy_offsets;
      a.out = sums;
      a.out_rows = rows;
      a.out_columns = columns;
      int row = 0;
      for (int positions : even_parts((int)offsets.size(), most)) {
        for (int t = 0; t < positions; ++t)
          rows[t] = layout.starts[head.matrix] + (row + t) * layout.pitches[head.matrix];
        a.x_offsets = offsets.data() + row;
        layout.micro->sum[head.access.load][positions][vectors](a);
        row += positions;
      }
    }
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
  const long chunk = std::max(32L, std::min(512L, kSumFloats / (p.in_channels + p.out_channels)));
  const long chunks = (pixels + chunk - 1) / chunk;
  slices = (int)std::min<long>(slices, chunks);
  WeightSums sums(layout, slices);
  run(slices, [&](int slice) {
    float* own = sums.of(slice);
    Source line(x, pixels, p.in_channels, layout.again, layout.wraps, {}, chunk);
    Buffer panel(chunk * kMaxVectors * layout.micro->lanes);
    for (long i = chunks * slice / slices; i < chunks * (slice + 1) / slices; ++i) {
      const long from = i * chunk, to = std::min(pixels, from + chunk);
      const float* pixel = line.chunk(*layout.micro, from, to);
      sum_chunk(layout, pixel, line.pixel(), dy + from * p.out_channels, (int)(to - from),
                to == pixels, panel.data(), own);
    }
  });
  sums.add_up(gradients);
  return true;
}

}  // namespace keras_ssc
