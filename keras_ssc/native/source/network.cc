// Which images a thread takes through which steps at a time, where arrays lie, and the steps.
#include "network.h"

#include <algorithm>
#include <cstring>

#include "image_loops.h"
#include "pooling.h"

namespace keras_ssc {
namespace {

// Of what a step reads and writes at a time: stays in the second cache.
constexpr long kPiece = 96 * 1024;
constexpr int kMostImages = 32;
constexpr int kLater = 3;  // steps

long floats_of_matrices(const Step& step) {
  long all = 0;
  for (int m = 0; step.kind == kConvolution && m < step.geometry.matrices(); ++m)
    all += step.geometry.matrix_shape(m)[0] * step.geometry.matrix_shape(m)[1];
  return all;
}

// What the steps before `at` leave to those from it on: floats of an image.
long left_to(const Network& network, const std::vector<Size>& sizes, int at) {
  std::vector<bool> read(sizes.size());
  for (int i = at; i < (int)network.steps.size(); ++i)
    for (int input : network.steps[i].inputs) read[input] = true;
  long floats = 0;
  for (int k = network.inputs; k < network.inputs + at; ++k)
    if (read[k]) floats += sizes[k].floats();
  return floats;
}

// Images at a time for each step: as many as fit, or as make it worth reading the weights. Never
// fewer than an earlier step.
std::vector<int> images_by_step(const Network& network, const std::vector<Size>& sizes) {
  std::vector<int> all(network.steps.size());
  int most = kMostImages;
  for (int i = (int)all.size() - 1; i >= 0; --i) {
    const Step& step = network.steps[i];
    long floats = sizes[network.inputs + i].floats();
    for (int input : step.inputs) floats += sizes[input].floats();
    const long fit = std::max(kPiece, floats_of_matrices(step)) / floats;
    while (most > 1 && most > fit) most /= 2;
    all[i] = most;
  }
  // What is left to steps of more images goes through memory: a few steps later it may be less.
  const auto left = [&](int at) { return left_to(network, sizes, at); };
  for (int i = 1; i < (int)all.size(); ++i) {
    if (all[i] == all[i - 1]) continue;
    int best = i;
    for (int later = i + 1; later <= std::min(i + kLater, (int)all.size() - 1); ++later)
      if (left(later) < left(best)) best = later;
    for (; i < best; ++i) all[i] = all[i - 1];
  }
  return all;
}

// The most images, at most so many, that can be had again and again without a rest.
int divisor(int images, int most) {
  int best = std::min(images, most);
  while (images % best) --best;
  return best;
}

void mean(const Size& size, const float* x, float* y) {
  const ImageLoops& loops = image_loops();
  const long pixels = (long)size.rows * size.columns;
  std::copy_n(x, size.channels, y);
  for (long i = 1; i < pixels; ++i) loops.add(x + i * size.channels, size.channels, y);
  loops.scale(1.f / pixels, size.channels, y);
}

void with_zeros(const Zeros& zeros, const Size& size, const float* x, const Size& out, float* y) {
  const long row = (long)size.columns * size.channels, left = (long)zeros.left * size.channels;
  std::fill_n(y, out.floats(), 0.f);
  for (int r = 0; r < size.rows; ++r)
    std::copy_n(x + r * row, row, y + (long)(zeros.above + r) * out.columns * out.channels + left);
}

}  // namespace

int images_at_a_time(const Network& network, const std::vector<Size>& sizes, int images) {
  return std::min(images, images_by_step(network, sizes).back());
}

PreparedNetwork::PreparedNetwork(const Network& network, const std::vector<Size>& sizes, int images,
                                 const std::vector<const float*>& weights, int most_slices)
    : network_(network),
      convolutions_(network.steps.size()),
      orders_(network.steps.size()),
      images_(images) {
  for (const Size& size : sizes) arrays_.push_back({size, images, 0, 0, -1, -1, -1});
  for (int i = 0; i < network.inputs; ++i) arrays_[i].input = i;
  for (int i = 0; i < (int)network.outputs.size(); ++i) arrays_[network.outputs[i]].output = i;
  const std::vector<int> wanted = images_by_step(network, sizes);
  for (int i = 0; i < (int)network.steps.size(); ++i) {
    const int at_a_time = most_slices > 1 ? images : divisor(images, wanted[i]);
    if (parts_.empty() || parts_.back().images != at_a_time) parts_.push_back({i, i, at_a_time});
    parts_.back().end = i + 1;
  }
  set_memory();
  for (const Part& part : parts_)
    for (int i = part.first; i < part.end; ++i) {
      const Step& step = network.steps[i];
      if (step.kind == kChannels) {
        std::vector<int> channels;
        for (int input : step.inputs) channels.push_back(sizes[input].channels);
        orders_[i] = std::make_unique<ChannelOrder>(step.channels, channels);
      }
      if (step.kind != kConvolution) continue;
      convolutions_[i] = std::make_unique<Convolution>();
      Convolution& own = *convolutions_[i];
      const Size& x = sizes[step.inputs[0]];
      step.geometry.problem({part.images, x.rows, x.columns, x.channels}, &own.problem);
      own.problem.bfloat16 = network.bfloat16;
      const auto first = weights.begin() + step.first_weight;
      const std::vector<const float*> matrices(first, first + step.geometry.matrices());
      if (step.has_bias) own.epilogue.bias = first[step.geometry.matrices()];
      own.epilogue.relu = step.relu;
      own.epilogue.ceiling = step.ceiling;
      const int slices = most_slices > 1 ? worth_slices(own.problem, most_slices, true) : 1;
      own.pass = prepare_forward(own.problem, matrices, own.epilogue, slices);
    }
}

// An array stays until its last reader is done; one that another part reads, from the beginning of
// its own part to the end of that one, since the images take turns there.
void PreparedNetwork::set_memory() {
  std::vector<const Part*> part_of(network_.steps.size());
  for (const Part& part : parts_)
    for (int i = part.first; i < part.end; ++i) part_of[i] = &part;
  const int inputs = network_.inputs, count = (int)network_.steps.size();
  for (int i = 0; i < count; ++i) {
    arrays_[inputs + i].first_step = arrays_[inputs + i].last_step = i;
    arrays_[inputs + i].images = part_of[i]->images;
  }
  for (int i = 0; i < count; ++i)
    for (int input : network_.steps[i].inputs) {
      Array& array = arrays_[input];
      if (array.input >= 0) continue;
      const Part *from = part_of[input - inputs], *to = part_of[i];
      array.last_step = std::max(array.last_step, i);
      if (from == to) continue;
      array.images = images_;
      array.first_step = from->first;
      array.last_step = std::max(array.last_step, to->end - 1);
    }
  std::vector<Array*> placed;
  for (Array& array : arrays_) {
    if (array.input >= 0 || array.output >= 0) continue;
    // Whole vectors are read at the last float.
    const auto room = [](const Array& a) { return (a.size.floats() * a.images + 47) / 16 * 16; };
    array.offset = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (const Array* other : placed)
        if (other->first_step <= array.last_step && array.first_step <= other->last_step &&
            other->offset < array.offset + room(array) &&
            array.offset < other->offset + room(*other)) {
          array.offset = other->offset + room(*other);
          moved = true;
        }
    }
    placed.push_back(&array);
    floats_ = std::max<std::size_t>(floats_, array.offset + room(array));
  }
}

void PreparedNetwork::run(const std::vector<const float*>& inputs,
                          const std::vector<float*>& outputs, const Runner& runner) const {
  Buffer memory = take_memory();
  for (const Part& part : parts_)
    for (int first = 0; first < images_; first += part.images) {
      const auto at = [&](int number) {
        const Array& array = arrays_[number];
        const long floats = array.size.floats();
        if (array.input >= 0) return const_cast<float*>(inputs[array.input]) + first * floats;
        if (array.output >= 0) return outputs[array.output] + first * floats;
        return memory.data() + array.offset + (array.images == images_ ? first * floats : 0);
      };
      for (int i = part.first; i < part.end; ++i) compute(i, part.images, at, runner);
    }
  std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(memory));
}

Buffer PreparedNetwork::take_memory() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.empty()) return Buffer(floats_);
  Buffer memory = std::move(idle_.back());
  idle_.pop_back();
  return memory;
}

void PreparedNetwork::compute(int i, int images, const std::function<float*(int)>& array,
                              const Runner& runner) const {
  const Step& step = network_.steps[i];
  const int made = network_.inputs + i;
  const Size &in = arrays_[step.inputs[0]].size, &out = arrays_[made].size;
  const float* x = array(step.inputs[0]);
  const float* more = step.inputs.size() > 1 ? array(step.inputs[1]) : nullptr;
  float* y = array(made);
  switch (step.kind) {
    case kConvolution:
      return convolutions_[i]->pass(x, more, y, runner);
    case kMaxPool:
    case kAveragePool:
      return pool(step, images, in, x, out, y, runner);
    case kMean:
      for (int n = 0; n < images; ++n) mean(in, x + n * in.floats(), y + n * out.floats());
      return;
    case kChannels: {
      std::vector<const float*> from;
      for (int input : step.inputs) from.push_back(array(input));
      return orders_[i]->copy(from, (long)images * out.rows * out.columns, y);
    }
    case kZeros:
      for (int n = 0; n < images; ++n)
        with_zeros(step.zeros, in, x + n * in.floats(), out, y + n * out.floats());
      return;
    case kSum:
      return image_loops().sum(x, more, step.relu, step.ceiling, images * out.floats(), y);
    case kFlat:
      std::copy_n(x, images * out.floats(), y);
  }
}

}  // namespace keras_ssc
