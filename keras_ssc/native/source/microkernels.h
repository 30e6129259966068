// The inner loops: outer products, lane by lane, of a few vectors by a few vectors.
//
// Compiled once for every instruction set, each time into a namespace of its own (microkernels.cc),
// and picked at run time by what the CPU has. Nothing here knows about convolutions.
#pragma once

namespace keras_ssc {

constexpr int kMaxRows = 8;     // pixels, or positions, of one outer product
constexpr int kMaxVectors = 4;  // output vectors of one outer product

// There are loops for these numbers of rows only: all of them would take long to compile.
constexpr bool is_size(int rows) { return rows == 1 || rows % 2 == 0; }

// How the lanes of a vector of x are loaded: so many consecutive floats, over and over; or as many
// as there are lanes, as they lie or put into an order.
enum Load { kOne, kTwo, kFour, kEight, kRow, kPermuted, kLoads };

// y[p][f] (+)= start[f] + scale[f] * sum_k x[p * x_pixel + x_offsets[k]] * w[w_rows[k]][f],
// vectors all; plus residual[p][f] where there is one, cut at zero where `relu`, and at `ceiling`.
struct Product {
  const float* x;
  long x_pixel;          // floats from one pixel to the next
  const int* x_offsets;  // one for each step
  const int* w_rows;     // one for each step: which row of `w`
  const int* index;      // which of the loaded floats is in each lane, for kPermuted
  int steps;
  const float* w;      // rows of (vectors, lanes)
  long w_row;          // floats from one of them to the next
  const float* start;  // (vectors, lanes), for every pixel; or null
  const float* scale;  // alike, only together with `start`; or null
  float* y;
  long y_pixel;
  const int* y_offsets;   // one for each vector
  const int* live;        // one for each vector: lanes that are stored
  const float* residual;  // laid out like y, added after the sum; or null
  bool partial;           // whether `live` is less than all lanes anywhere, or lanes are folded
  bool add;               // to what is in y already, vector after vector
  bool relu;
  float ceiling;
  // What is read and written next: so many lines of the caches are fetched at every step, of the
  // source, then of the destination. Spread out like that nothing waits for them.
  const float *next_source, *next_destination;
  int source_lines, destination_lines;
  // Where lanes belong to the same place of y: lane l is added to y[l % fold], or, where negative,
  // to y[index[l]]. 0: one place for each lane.
  int fold;
};

// out[t][f] += sum over images, rows, columns of x[... + x_offsets[t]] * dy[... + dy_offsets[f]].
struct Sum {
  const float* x;
  const float* dy;
  long x_image, x_row, x_column;
  long dy_image, dy_row, dy_column;
  int images, rows, columns;
  const int* x_offsets;
  const int* index;  // as above
  const int* dy_offsets;
  float* out;
  const int* out_rows;     // one for each t
  const int* out_columns;  // one for each f
  // As above, at every pixel, of x and of dy.
  const float *next_x, *next_dy;
  int x_lines, dy_lines;
};

// Pixels of `channels` floats, each with `extra` more in the copy: its first channels once again.
struct ChannelWrap {
  const float* from;
  float* to;
  long pixels;
  int channels, extra;
};

// Pixels of which place c of the copy is one of the channels, or zero, in pieces of as many places
// as there are lanes. Each piece: how many windows of consecutive channels it takes from, and for
// each the first of those and, for every lane, which of them it is, or -1.
struct Reorder {
  const float* from;
  float* to;
  long from_pixel, to_pixel, pixels;
  int count;
  const int* pieces;
};

// Pixels of `channels` floats, as many as lanes or more, to pixels of pairs of bfloat16, in 32 bits
// each: for every distance d the pairs (j, j + d), around the end, of every channel j and of the
// first `extra` once more.
struct ChannelPairs {
  const float* from;
  float* to;
  long pixels;
  int channels, extra;
  const int* distances;
  int count;
};

struct Microkernels {
  int lanes;
  int registers;  // accumulators that fit
  void (*wrap_channels)(
      const ChannelWrap&);  // pixels without the extra channels to pixels with them
  void (*unwrap_channels)(
      const ChannelWrap&);  // and back: the extra channels are added to the first ones
  void (*in_order)(const Reorder&);
  // Not null: x and w hold pairs of bfloat16, and a step adds both products; there are no sums.
  void (*pair_channels)(const ChannelPairs&);
  // By rows and vectors; null where there are more of both than registers, or where not `is_size`.
  void (*product[kLoads][kMaxRows + 1][kMaxVectors + 1])(const Product&);
  void (*sum[kLoads][kMaxRows + 1][kMaxVectors + 1])(const Sum&);
};

// The loops for a vector of `lanes` floats; null where this build or CPU has none.
const Microkernels* microkernels_plain(int lanes);
const Microkernels* microkernels_avx2(int lanes);
const Microkernels* microkernels_avx512(int lanes);
const Microkernels* microkernels_avx512bf16(int lanes);

}  // namespace keras_ssc
