// A network for inference, computed as a whole: a list of steps, each of which makes one array
// (images, rows, columns, channels) of float32 from arrays that are there already.
#pragma once

#include <memory>
#include <mutex>

#include "attributes.h"
#include "buffer.h"
#include "channel_order.h"

namespace keras_ssc {

struct Size {
  int rows, columns, channels;
  long floats() const { return (long)rows * columns * channels; }
  bool operator==(const Size& o) const {
    return rows == o.rows && columns == o.columns && channels == o.channels;
  }
};

enum StepKind { kConvolution, kMaxPool, kAveragePool, kMean, kChannels, kZeros, kSum, kFlat };

struct Step {
  StepKind kind;
  std::vector<int> inputs;  // numbers of arrays
  // What is done to each result: a convolution, a sum.
  bool relu = false;
  float ceiling = INFINITY;
  // A convolution adds its second input, where there is one. Its matrices begin at that weight; a
  // bias may follow.
  Geometry geometry = {};
  int first_weight = 0;
  bool has_bias = false;
  Zeros zeros = {};  // around the input, of pooling, too
  // Pooling.
  std::array<int, 2> window = {}, strides = {};
  bool same = false;
  // Of each channel of the result: which input, which of its channels.
  std::vector<std::array<int, 2>> channels = {};
};

// What native/network.py writes: all integers of a network in one list.
struct Network {
  int inputs = 0;  // arrays 0, 1, ...; each step makes the next one
  std::vector<Step> steps;
  std::vector<int> outputs;
  std::vector<bool> flat;  // of each output: (images, channels), not (images, 1, 1, channels)
  int weights = 0;
  bool bfloat16 = false;  // products of convolutions (pairs.h); all arrays are float32

  // Messages are null where nothing is wrong.
  const char* set(const std::vector<int>& program);
  // Of all arrays; `weights`: how many floats each has.
  const char* sizes(const std::vector<Size>& inputs, const std::vector<long>& weights,
                    std::vector<Size>* all) const;
};

// A network with packed weights, for so many images of these sizes. Refers to the network and to
// its weights: they must live as long.
class PreparedNetwork {
 public:
  // `slices`: parts of each step; 1: the network goes through the cache in pieces.
  PreparedNetwork(const Network&, const std::vector<Size>& sizes, int images,
                  const std::vector<const float*>& weights, int most_slices);
  PreparedNetwork(const PreparedNetwork&) = delete;

  // Where the first image of each input and output is. Several threads may run it at a time.
  void run(const std::vector<const float*>& inputs, const std::vector<float*>& outputs,
           const Runner&) const;

 private:
  struct Array {
    Size size;
    int images, first_step, last_step;
    long offset;        // in the memory of a run
    int input, output;  // or -1
  };
  struct Convolution {
    Problem problem;
    Epilogue epilogue;
    ForwardPass pass;
  };
  struct Part {  // steps that take so many images at a time
    int first, end, images;
  };

  void set_memory();
  Buffer take_memory() const;
  void compute(int step, int images, const std::function<float*(int)>& array,
               const Runner& run) const;

  const Network& network_;
  std::vector<Array> arrays_;
  std::vector<Part> parts_;
  std::vector<std::unique_ptr<Convolution>> convolutions_;  // by step
  std::vector<std::unique_ptr<ChannelOrder>> orders_;       // by step
  int images_;
  std::size_t floats_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<Buffer> idle_;  // memory of runs that are over
};

// Images that one thread takes through the network at a time, if it has so many.
int images_at_a_time(const Network&, const std::vector<Size>& sizes, int images);

}  // namespace keras_ssc
