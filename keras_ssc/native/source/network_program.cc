// A network as Python writes it, and the sizes of its arrays.
#include <algorithm>
#include <climits>

#include "network.h"

namespace keras_ssc {
namespace {

constexpr const char* kMisfit = "a program that doesn't make a network";

struct Misfit {};

// Integers one after the other; what is beyond the end or outside its range throws.
class Reader {
 public:
  explicit Reader(const std::vector<int>& all) : all_(all) {}
  int next(int least, int most = INT_MAX) {
    if (at_ == all_.size() || all_[at_] < least || all_[at_] > most) throw Misfit();
    return all_[at_++];
  }
  std::vector<int> list() {
    std::vector<int> values(next(0, (int)(all_.size() - at_)));
    for (int& value : values) value = next(INT_MIN);
    return values;
  }
  bool at_end() const { return at_ == all_.size(); }

 private:
  const std::vector<int>& all_;
  std::size_t at_ = 0;
};

void read_window(Reader& read, Step* step) {
  for (int* size : {&step->window[0], &step->window[1], &step->strides[0], &step->strides[1]})
    *size = read.next(1);
  step->same = read.next(0, 1);
}

void read_zeros(Reader& read, Zeros* zeros) {
  for (int* side : {&zeros->above, &zeros->below, &zeros->left, &zeros->right})
    *side = read.next(0, 1 << 16);
}

void read_convolution(Reader& read, Step* step, int* weights) {
  const bool same = read.next(0, 1);
  step->has_bias = read.next(0, 1);
  Attributes attributes;
  attributes.each([&](const char*, std::vector<int>& list) { list = read.list(); });
  if (step->inputs.size() > 2 || step->geometry.set(attributes, same, 0, step->zeros))
    throw Misfit();
  step->first_weight = *weights;
  *weights += step->geometry.matrices() + step->has_bias;
}

Step read_step(Reader& read, int arrays, int* weights) {
  Step step = {(StepKind)read.next(kConvolution, kFlat), {}};
  // Two may be the same one.
  for (int i = 0, count = read.next(1, std::max(2, arrays)); i < count; ++i)
    step.inputs.push_back(read.next(0, arrays - 1));
  step.relu = read.next(0, 1);
  if (const int ceiling = read.next(0)) step.ceiling = (float)ceiling;  // 0: none
  const bool pools = step.kind == kMaxPool || step.kind == kAveragePool;
  if (step.kind == kConvolution || step.kind == kZeros || pools) read_zeros(read, &step.zeros);
  if (step.kind == kConvolution) read_convolution(read, &step, weights);
  if (pools) read_window(read, &step);
  if (step.kind == kChannels)
    for (int i = 0, count = read.next(1); i < count; ++i)
      step.channels.push_back({read.next(0, (int)step.inputs.size() - 1), read.next(0)});
  if (step.kind == kSum && step.inputs.size() > 2) throw Misfit();
  return step;
}

Size size_after_pool(const Step& step, const Size& x) {
  const auto size = [&](int axis, int in) {
    return output_size(in, step.window[axis], step.strides[axis], 1, step.same);
  };
  const Zeros& z = step.zeros;
  return {size(0, z.above + x.rows + z.below), size(1, z.left + x.columns + z.right), x.channels};
}

// Throws where the inputs don't fit.
Size size_after(const Step& step, const std::vector<Size>& arrays,
                const std::vector<long>& weights) {
  const Size& x = arrays[step.inputs[0]];
  const auto need = [](bool fine) {
    if (!fine) throw Misfit();
  };
  Size y = x;
  switch (step.kind) {
    case kConvolution: {
      Problem problem;
      need(!step.geometry.problem({1, x.rows, x.columns, x.channels}, &problem));
      const auto shape = step.geometry.output_shape(problem);
      y = {(int)shape[1], (int)shape[2], (int)shape[3]};
      for (int m = 0; m < step.geometry.matrices(); ++m) {
        const auto matrix = step.geometry.matrix_shape(m);
        need(weights[step.first_weight + m] == matrix[0] * matrix[1]);
      }
      if (step.has_bias) need(weights[step.first_weight + step.geometry.matrices()] == y.channels);
      if (step.inputs.size() == 2) need(arrays[step.inputs[1]] == y);
      break;
    }
    case kMaxPool:
    case kAveragePool:
      y = size_after_pool(step, x);
      break;
    case kMean:
      y = {1, 1, x.channels};
      break;
    case kChannels:
      y.channels = (int)step.channels.size();
      for (int input : step.inputs)
        need(arrays[input].rows == x.rows && arrays[input].columns == x.columns);
      for (const auto& [input, channel] : step.channels)
        need(channel < arrays[step.inputs[input]].channels);
      break;
    case kZeros:
      y.rows += step.zeros.above + step.zeros.below;
      y.columns += step.zeros.left + step.zeros.right;
      break;
    case kSum:
      for (int input : step.inputs) need(arrays[input] == x);
      break;
    case kFlat:
      y = {1, 1, (int)x.floats()};
  }
  need(std::min({y.rows, y.columns, y.channels}) >= 1);
  return y;
}

}  // namespace

const char* Network::set(const std::vector<int>& program) {
  Reader read(program);
  try {
    bfloat16 = read.next(0, 1);
    inputs = read.next(1);
    for (int left = read.next(1); left; --left)
      steps.push_back(read_step(read, inputs + (int)steps.size(), &weights));
    for (int left = read.next(1); left; --left) {
      outputs.push_back(read.next(inputs, inputs + (int)steps.size() - 1));
      flat.push_back(read.next(0, 1));
    }
  } catch (const Misfit&) {
    return kMisfit;
  }
  return read.at_end() ? nullptr : kMisfit;
}

const char* Network::sizes(const std::vector<Size>& given, const std::vector<long>& floats,
                           std::vector<Size>* all) const {
  if ((int)given.size() != inputs || (int)floats.size() != weights)
    return "as many inputs and weights as the network has";
  *all = given;
  try {
    for (const Step& step : steps) all->push_back(size_after(step, *all, floats));
  } catch (const Misfit&) {
    return "inputs or weights don't fit the network";
  }
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (flat[i] && (*all)[outputs[i]].floats() != (*all)[outputs[i]].channels)
      return "inputs don't fit the network";
  return nullptr;
}

}  // namespace keras_ssc
