// The forward pass and the gradient by input: every destination pixel is a sum over live taps.
//
// Both walk along lines of pixels that share their taps: the pixels of a row, with zeros copied
// beyond its ends; on small maps the same pixel of several images, where dead taps are left out.
#include <algorithm>
#include <memory>

#include "block_product.h"
#include "fetch.h"
#include "general_convolution.h"
#include "line_pass.h"

namespace keras_ssc {
namespace {

constexpr long kLeastChunk = 6 * 1024;  // packed weights that stay in the first cache

// One thread's share of a pass.
class Worker {
 public:
  Worker(const Pass& pass, const float* source, const Epilogue& epilogue, float* destination)
      : pass_(pass),
        source_(source),
        epilogue_(epilogue),
        destination_(destination),
        input_(pass.tile.floats()),
        chunk_rows_(pass.plan.floats <= kLeastChunk ? 1 : pass.tile_rows),
        buffered_(pass.plan.folded || !pass.plan.destination.empty()),
        pixel_(pass.channels + pass.plan.beyond),
        output_(buffered_ ? pass.tile.images * chunk_rows_ * pass.columns * pixel_ : 0),
        source_floats_((long)pass.problem.batch * pass.source_rows * pass.source_columns *
                       pass.source_channels),
        floats_((long)pass.problem.batch * pass.rows * pass.columns * pass.channels),
        far_(!pass.across && source_floats_ + floats_ > kFetchFrom) {
    pass.tile.clear(input_.data());
  }

  // Destination rows [from, to) of some images.
  void run(int image, int images, int from, int to) {
    const Pass& p = pass_;
    const auto span = p.source_span(from, to);
    const long row = (long)p.source_columns * p.source_channels;
    first_row_ = span[0];
    if (span[1] >= span[0])
      p.tile.fill(*p.plan.micro, input_.data(),
                  source_ + (image * (long)p.source_rows + span[0]) * row, row, p.source_rows * row,
                  images, span[1] - span[0] + 1);
    for (int r = from; r < to; r += chunk_rows_) {
      const int end = std::min(to, r + chunk_rows_);
      const long first = ((long)image * p.rows + r) * p.columns * p.channels;
      const long pixels = (long)(end - r) * p.columns, image_pixels = (long)p.rows * p.columns;
      const float* residual = epilogue_.residual ? epilogue_.residual + first : nullptr;
      const long steps = far_ ? steps_of(r, end) : 0;
      // Of the tile that comes next, as much as this is of this one.
      const long to_read = (image * (long)p.source_rows + span[1] + 1) * row +
                           (long)(span[1] - span[0] + 1) * (r - from) / (to - from) * row;
      const long part = ((long)(span[1] - span[0] + 1) * (end - r) + to - from - 1) / (to - from);
      const long to_write = buffered_ ? first : first + pixels * p.channels;
      Fetch source(source_ + to_read, floats_left(to_read, part * row, source_floats_), steps);
      Fetch destination(destination_ + to_write,
                        floats_left(to_write, pixels * p.channels, floats_), steps);
      if (!buffered_) {
        chunk(r, end, images, destination_ + first, image_pixels, residual, source, destination);
        continue;
      }
      fill_output(images * pixels);
      chunk(r, end, images, output_.data(), pixels, nullptr, source, destination);
      for (int i = 0; i < images; ++i)
        copy_out(output_.data() + i * pixels * pixel_, pixels,
                 destination_ + first + i * image_pixels * p.channels,
                 residual ? residual + i * image_pixels * p.channels : nullptr);
    }
  }

 private:
  // All blocks of rows [from, to); `y` is where their first pixel of the first image goes.
  void chunk(int from, int to, int images, float* y, long pixels_per_image, const float* residual,
             Fetch& source, Fetch& destination) {
    const Pass& p = pass_;
    for (const Block& block : p.plan.blocks) {
      Product a = block_product(p.plan, block, epilogue_);
      a.relu = epilogue_.relu && !buffered_;
      a.x_pixel = p.across ? p.tile.image() : p.source_step() * p.tile.pixel();
      for (int r = from; r < to; ++r)
        for (const Line& line : p.lines) {
          const Steps& steps = p.steps[p.row_kind[r]][line.kind][block.terms];
          a.x_offsets = steps.offsets.data();
          a.w_rows = steps.weights.data();
          a.steps = (int)steps.offsets.size();
          if (block.add && !a.steps) continue;  // strides: no tap meets these pixels
          a.x = input_.data() + (p.row_reach[r].base - first_row_) * p.tile.row() +
                (line.base + p.tile.left) * p.tile.pixel();
          const long at = ((r - from) * (long)p.columns + line.first) * pixel_;
          a.y_pixel = (p.across ? pixels_per_image : line.step) * pixel_;
          a.y = y + at;
          a.residual = residual ? residual + at : nullptr;
          const long along = far_ ? a.steps * products_along(p.plan, block, line.count) : 0;
          a.next_source = source.begin(along, &a.source_lines);
          a.next_destination = destination.begin(along, &a.destination_lines);
          multiply(p.plan, block, a, p.across ? images : line.count);
        }
    }
  }

  // Of all products of rows [from, to).
  long steps_of(int from, int to) const {
    const Pass& p = pass_;
    long steps = 0;
    for (const Block& block : p.plan.blocks)
      for (int r = from; r < to; ++r)
        for (const Line& line : p.lines)
          steps += (long)p.steps[p.row_kind[r]][line.kind][block.terms].offsets.size() *
                   products_along(p.plan, block, line.count);
    return steps;
  }

  // Zero what no block stores to before others add to it.
  void fill_output(long pixels) {
    if (!pass_.plan.folded) return;
    const int from = pass_.plan.stored;
    for (long i = 0; i < pixels; ++i)
      std::fill(output_.data() + i * pixel_ + from, output_.data() + (i + 1) * pixel_, 0.f);
  }

  void copy_out(const float* from, long pixels, float* to, const float* residual) {
    const Pass& p = pass_;
    if (p.plan.folded)
      return p.plan.micro->unwrap_channels({from, to, pixels, p.channels, p.plan.beyond});
    const std::vector<int>& order = p.plan.destination;
    for (long i = 0; i < pixels; ++i, from += p.channels, to += p.channels) {
      for (int c = 0; c < p.channels; ++c) {
        float value = from[c];
        if (residual) value += residual[i * p.channels + order[c]];
        if (epilogue_.relu) {
          value = value < 0 ? 0 : value;
          value = value > epilogue_.ceiling ? epilogue_.ceiling : value;
        }
        to[order[c]] = value;
      }
    }
  }

  const Pass& pass_;
  const float* source_;
  const Epilogue epilogue_;
  float* destination_;
  Buffer input_;
  const int chunk_rows_;
  const bool buffered_;
  const long pixel_;
  Buffer output_;
  const long source_floats_, floats_;
  const bool far_;  // whether what comes next is worth fetching
  int first_row_ = 0;
};

int parts_of(int slices) { return (slices + 3) / 4; }

void contract(const Pass& pass, const float* source, const Epilogue& epilogue, float* destination,
              int slices, const Runner& run) {
  const Problem& problem = pass.problem;
  const int images = pass.tile.images;
  const int groups = (problem.batch + images - 1) / images;
  const int tiles = (pass.rows + pass.tile_rows - 1) / pass.tile_rows;
  const long units = (long)groups * tiles;
  slices = (int)std::min<long>(slices, units);
  run(slices, [&](int slice) {
    Worker worker(pass, source, epilogue, destination);
    for (long unit = units * slice / slices; unit < units * (slice + 1) / slices; ++unit) {
      const int image = (int)(unit / tiles) * images, from = (int)(unit % tiles) * pass.tile_rows;
      worker.run(image, std::min(images, problem.batch - image), from,
                 std::min(pass.rows, from + pass.tile_rows));
    }
  });
}

}  // namespace

ForwardPass forward_by_vectors(const Problem& problem, const std::vector<const float*>& weights,
                               const Epilogue& epilogue, int slices) {
  const auto plan = std::make_shared<const Plan>(forward_plan(problem, weights, epilogue));
  const auto pass = std::make_shared<const Pass>(problem, *plan, true, parts_of(slices));
  return [&epilogue, plan, pass, slices](const float* x, const float* residual, float* y,
                                         const Runner& run) {
    Epilogue with_residual = epilogue;
    with_residual.residual = residual;
    contract(*pass, x, with_residual, y, slices, run);
  };
}

void input_gradient_by_vectors(const Problem& problem, const float* dy,
                               const std::vector<const float*>& weights, float* dx, int slices,
                               const Runner& run) {
  const Plan plan = input_gradient_plan(problem, weights);
  contract(Pass(problem, plan, false, parts_of(slices)), dy, {}, dx, slices, run);
}

}  // namespace keras_ssc
