// The inner loops of convolutions whose filters read one channel each: consecutive filters read
// consecutive channels, so lane l of x only ever meets lane l of the weights.
//
// Compiled once for every instruction set (depthwise_loops.cc).
#pragma once

namespace keras_ssc {

// Which columns of taps there are in a row of them.
enum TapRow { kNoTaps, kAllTaps, kEvenTaps, kOddTaps };

// A few pixels side by side, in some rows of one image, for all vectors of filters.
struct DepthwiseStrip {
  const float* x;           // the image
  int rows_in, columns_in;  // of it
  long row, pixel;          // floats from one of them to the next
  int top, left;            // where the taps of the first pixel begin; < 0: outside
  int row_stride, kernel_rows;
  const TapRow* taps;  // by row of taps
  int vectors;
  const int *from, *to;         // first channel of x and of y, for each vector
  const float *weights, *bias;  // (vectors, tap rows, tap columns, lanes); (vectors, lanes)
  float* y;                     // the first pixel
  const float* residual;        // as y; or null
  int rows;                     // of y
  long row_out, pixel_out;
  bool relu;
  float ceiling;
  // What is read and written next: so many lines of the caches are fetched with every row of every
  // vector, of the source, then of the destination.
  const float *next_source, *next_destination;
  int source_lines, destination_lines;
};

constexpr int kStripPixels = 8;  // at most

using DepthwiseLoop = void (*)(const DepthwiseStrip&);

struct DepthwiseLoops {
  int lanes;
  // For so many columns of taps; by columns' stride, and pixels. Null where there is none.
  DepthwiseLoop (*loop)(int kernel_columns, int stride, int pixels);
};

// For vectors of `lanes` floats; null where this build or CPU has none.
const DepthwiseLoops* depthwise_loops_plain(int lanes);
const DepthwiseLoops* depthwise_loops_avx2(int lanes);
const DepthwiseLoops* depthwise_loops_avx512(int lanes);
const DepthwiseLoops* depthwise_loops_for(int lanes);  // the best this CPU has

}  // namespace keras_ssc
