// The inner loops for 3x3 kernels along the rows of an image: what is loaded once serves all
// columns of taps, and even and odd filters alike.
//
// Even filters have the taps (0, 0), (0, 2), (1, 1), (2, 0), (2, 2), odd ones the other four.
// Compiled once for every instruction set (row_kernels.cc, row_sums.cc).
#pragma once

namespace keras_ssc {

// What later rows will touch: fetched a line at a time between the steps of this one, since many
// misses at once would stall it.
struct Ahead {
  const float *source, *source_end, *destination, *destination_end;
  const float* residual;  // beside the destination; or null
};

// `strips` times P pixels of one row of y, for F vectors of even and F of odd filters.
struct RowForward {
  const float* rows[3];  // of x, where the first pixel's taps begin; null outside of the image
  long pixel;            // floats from one pixel of x to the next
  const int* channels;   // where each KxK and then each 1x1 kernel reads
  int kxk, pointwise;    // how many there are
  const float* weights;  // in order of use: tap rows, KxK kernels, tap columns; then even, odd 1x1
  const float *bias, *residual;    // at the first vector; or null
  float* y;                        // of the first pixel, at the first vector
  int vector, half, channels_out;  // floats: vector to vector, even to odd, pixel to pixel
  int strips;
  bool relu;
  float ceiling;  // of what `relu` leaves
};

// `strips` times P pixels of one row of dx, all channels, for blocks of F vectors.
struct RowGradient {
  const float* rows[3];  // of dy by row of taps, where the first pixel's last tap is; or null
  long pixel;            // floats from one pixel of dy to the next
  int set, sets;         // floats from one set of filters to the next; sets of either parity
  int half;              // floats from the even to the odd filters
  int shifts, blocks;    // shifts 0, V, 2V, ...; blocks of F vectors for each shift
  int vector;            // floats from vector to vector, of equal shift
  int pointwise;         // 1x1 kernels
  const int* places;     // for every shift, where in the layers every 1x1 kernel's channels begin
  int layers;            // of channels: the 1x1 kernels of one don't overlap
  bool overlap;          // they do: each is added to what is there
  float* buffer;         // (layers, kMostPixels, layer_pixel), zero where no kernel writes
  int layer_pixel;       // floats: all channels, and V more that are the first ones again
  const float* weights;  // in order of use: 1x1, then KxK
  float* dx;
  int channels;
  int strips;
};

// Sums over pixels of x * dy for a few kernels and V filters.
struct RowSum {
  const float* const* rows;  // of x, one for each row of dy
  const float* dy;
  int count, columns, columns_out, pad;  // rows; pixels of a row of x and of dy; left of x
  long pixel, dy_pixel, dy_row;
  int half[2];          // floats to the filters of the outer taps' and of the middle tap's parity
  const int* channels;  // where each kernel reads
  float* sums[3];       // by tap column; of 1x1 kernels: even, odd
  int length;           // floats from one kernel's sums to the next
};

constexpr int kMostPixels = 8, kMostBlock = 2, kMostKernels = 12;

struct RowKernels {
  int lanes, repeats;  // V; R: sets of filters in a vector
  int forward_pixels[kMostBlock + 1], gradient_pixels[kMostBlock + 1];  // the most, by F
  int gradient_pointwise[kMostBlock + 1];  // 1x1 kernels at a time, by F
  void (*forward[kMostBlock + 1][kMostPixels + 1])(const RowForward&, Ahead&);
  void (*gradient[kMostBlock + 1][kMostPixels + 1])(const RowGradient&, Ahead&);
  // `pixels` of `channels` floats to pixels of `pitch` floats, the first `again` of them repeated.
  void (*copy)(const float* from, float* to, int pixels, int channels, int pitch, int again);
};

struct RowSums {
  int most_kxk, most_pointwise;                          // kernels of one sum
  void (*kxk[kMostKernels + 1])(const RowSum&, Ahead&);  // all columns of a row of taps
  void (*pointwise[kMostKernels + 1])(const RowSum&, Ahead&);
};

// For vectors of `lanes` floats with `repeats` sets; null where this build or CPU has none.
const RowKernels* row_kernels_plain(int lanes, int repeats);
const RowKernels* row_kernels_avx2(int lanes, int repeats);
const RowKernels* row_kernels_avx512(int lanes, int repeats);
// Of x and weights that hold pairs of bfloat16 (microkernels.h): the forward pass alone.
const RowKernels* row_kernels_avx512bf16(int lanes, int repeats);
const RowSums* row_sums_plain(int lanes, int repeats);
const RowSums* row_sums_avx2(int lanes, int repeats);
const RowSums* row_sums_avx512(int lanes, int repeats);

}  // namespace keras_ssc
