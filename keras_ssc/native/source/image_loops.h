// Loops over images beside convolutions, compiled once for every instruction set.
#pragma once

namespace keras_ssc {

// Pixels whose channels come from one or several arrays, in pieces of as many channels as there are
// lanes. Each piece: where it goes, and how many windows of consecutive channels it takes from; for
// each of those the array, the first of its channels and, for every lane, which of them it is, or
// -1.
struct ChannelCopy {
  const float* const* from;
  const int* from_channels;
  float* to;
  int to_channels;
  long pixels;
  const int* pieces;
  int count;
};

struct ImageLoops {
  int lanes;  // of `channels`
  void (*channels)(const ChannelCopy&);
  void (*larger)(const float* x, long count, float* y);  // y = max(y, x)
  void (*add)(const float* x, long count, float* y);     // y += x
  void (*scale)(float factor, long count, float* y);     // y *= factor
  // y = x (+ more), cut below at zero where `relu` and above at `ceiling`.
  void (*sum)(const float* x, const float* more, bool relu, float ceiling, long count, float* y);
};

const ImageLoops* image_loops_plain();
const ImageLoops* image_loops_avx2();
const ImageLoops* image_loops_avx512();
const ImageLoops& image_loops();  // the best this CPU has

}  // namespace keras_ssc
