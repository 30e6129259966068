// Compiled with -DINSTRUCTIONS=plain, avx2 or avx512 and that instruction set's flags. No standard
// library here, as in microkernels.cc.
#include "image_loops.h"

#include "lanes.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(image_loops_, instructions)

namespace keras_ssc {
namespace {

#if defined(__AVX512F__)
constexpr int V = 16;
#elif defined(__AVX2__)
constexpr int V = 8;
#else
constexpr int V = 4;
#endif

// W windows of one piece, for all pixels; what earlier ones have left there stays, if not `first`.
template <int W>
void take(const ChannelCopy& a, const int* window, long start, long pixels, float* to, bool first) {
  typedef Lanes<V>::vec vec;
  const float* from[W];
  long step[W];
  Lanes<V>::ints index[W];
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w, window += V + 2) {
    step[w] = a.from_channels[window[0]];
    from[w] = a.from[window[0]] + start * step[w] + window[1];
    index[w] = *(const Lanes<V>::ints*)(window + 2);
  }
  for (long i = 0; i < pixels; ++i, to += a.to_channels) {
    vec value = first ? vec{} : *(vec*)to;
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) value = pick<V>(value, from[w] + i * step[w], index[w]);
    *(vec*)to = value;
  }
}

void channels(const ChannelCopy& a) {
  constexpr long kPixels = 32;  // at a time: what they read and write stays in the first cache
  for (long start = 0; start < a.pixels; start += kPixels) {
    const long pixels = a.pixels - start < kPixels ? a.pixels - start : kPixels;
    const int* next = a.pieces;
    for (int piece = 0; piece < a.count; ++piece) {
      float* to = a.to + start * a.to_channels + *next++;
      bool first = true;
      for (int left = *next++, some; left; left -= some, next += some * (V + 2), first = false) {
        some = left < 4 ? left : 4;
        (some == 1   ? take<1>
         : some == 2 ? take<2>
         : some == 3 ? take<3>
                     : take<4>)(a, next, start, pixels, to, first);
      }
    }
  }
}

void larger(const float* x, long count, float* y) {
  for (long i = 0; i < count; ++i) y[i] = y[i] > x[i] ? y[i] : x[i];
}

void add(const float* x, long count, float* y) {
  for (long i = 0; i < count; ++i) y[i] += x[i];
}

void scale(float factor, long count, float* y) {
  for (long i = 0; i < count; ++i) y[i] *= factor;
}

void sum(const float* x, const float* more, bool relu, float ceiling, long count, float* y) {
  for (long i = 0; i < count; ++i) {
    float value = more ? x[i] + more[i] : x[i];
    if (relu) {
      value = value < 0 ? 0 : value;
      value = value > ceiling ? ceiling : value;
    }
    y[i] = value;
  }
}

}  // namespace

const ImageLoops* NAME(INSTRUCTIONS)() {
  static const ImageLoops loops = {V, channels, larger, add, scale, sum};
  return &loops;
}

}  // namespace keras_ssc
