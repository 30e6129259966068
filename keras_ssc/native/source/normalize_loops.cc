// Compiled with -DINSTRUCTIONS=plain, avx2 or avx512 and that instruction set's flags. No standard
// library here, as in microkernels.cc.
#include "normalize_loops.h"

#define JOIN(a, b) a##b
#define ALWAYS __attribute__((always_inline))
#define NAME(instructions) JOIN(normalize_, instructions)

namespace keras_ssc {
namespace {

#ifdef __AVX2__
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr long kShort = 64;  // rows that are summed in float, before double takes over
// Floats of a row: at least, where pixels are put side by side; at most, where they are; whose sums
// fit registers; whose sums fit the first cache.
constexpr int kLeastWidth = 4 * kLanes, kMostRepeated = 512, kStrip = 6 * kLanes, kMostWidth = 2048;
constexpr long kNear = 8 * 1024;  // floats of arrays that fit the first cache

typedef float vec __attribute__((vector_size(4 * kLanes), aligned(4)));

// Functions, not templates: a template argument forgets that `vec` need not be aligned.
vec load(const float* at, vec) { return *(const vec*)at; }
float load(const float* at, float) { return *at; }
void store(float* at, vec value) { *(vec*)at = value; }
void store(float* at, float value) { *at = value; }
vec positive(vec value, vec where) { return where > 0 ? value : vec{}; }
float positive(float value, float where) { return where > 0 ? value : 0.f; }

// What is known about a ReLU, and what it lets through of `slope` at a place and channel.
struct Open {
  template <typename T>
  static T pass(const Gate&, T slope, T, long, int) {
    return slope;
  }
};
struct ByOutput {
  template <typename T>
  static T pass(const Gate& gate, T slope, T, long at, int) {
    return positive(slope, load(gate.y + at, slope));
  }
};
struct ByInput {
  template <typename T>
  static T pass(const Gate& gate, T slope, T x, long, int c) {
    return positive(slope, x * load(gate.scale + c, slope) + load(gate.shift + c, slope));
  }
};

template <typename Body>
void with_gate(const Gate& gate, const Body& body) {
  if (gate.y) return body(ByOutput{});
  if (gate.scale) return body(ByInput{});
  body(Open{});
}

// Pixels side by side as a row, so that few channels, or odd ones, fill vectors too. Rows are gone
// through one by one: the CPU fetches ahead what is read in the order of memory.
struct Rows {
  const int channels;
  int repeats = 1, width;  // pixels and floats of a row

  Rows(long pixels, int channels) : channels(channels), width(channels) {
    while (width % kLanes || width < kLeastWidth) ++repeats, width += channels;
    if (width > kMostRepeated || repeats > pixels) repeats = 1, width = channels;
  }
  // A value for every place of a row.
  const float* values(const float* of_channels, float* buffer) const {
    if (repeats == 1 || !of_channels) return of_channels;
    for (int i = 0; i < width; i += channels)
      for (int c = 0; c < channels; ++c) buffer[i + c] = of_channels[c];
    return buffer;
  }
};

// Adds the terms of some vectors of every row up in registers: term(place, channel, one, two).
template <int vectors, typename Term>
void add_vectors(long rows, long at, int c, int width, float* one, float* two, const Term& term) {
  vec a[vectors] = {}, b[vectors] = {};
  for (; rows; --rows, at += width)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) term(at + v * kLanes, c + v * kLanes, a[v], b[v]);
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) store(one + v * kLanes, a[v]), store(two + v * kLanes, b[v]);
}

template <int most, typename Term>
void add_strip(int vectors, long rows, long at, int c, int width, float* one, float* two,
               const Term& term) {
  if (vectors == most) return add_vectors<most>(rows, at, c, width, one, two, term);
  if constexpr (most > 1) add_strip<most - 1>(vectors, rows, at, c, width, one, two, term);
}

template <typename T, typename Term>
ALWAYS inline void add_one(long at, int c, float* one, float* two, const Term& term, T zero) {
  T a = load(one, zero), b = load(two, zero);
  term(at, c, a, b);
  store(one, a);
  store(two, b);
}

// Adds the terms of `count` places of every row up in memory.
template <typename Term>
void add_rows(long rows, long at, int c, int count, int width, float* one, float* two,
              const Term& term) {
  for (; rows; --rows, at += width) {
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) add_one(at + i, c + i, one + i, two + i, term, vec{});
    for (; i < count; ++i) add_one(at + i, c + i, one + i, two + i, term, 0.f);
  }
}

// Two sums over the pixels for every channel. What is small lies in the first cache already: there
// the order does not matter.
template <typename Term>
void add_sums(const Rows& rows, long pixels, double* sums, const Term& term) {
  const int channels = rows.channels, width = rows.width;
  const bool near = width <= kStrip || pixels * channels <= kNear;
  const long step = kShort * rows.repeats;
  float one[kMostWidth], two[kMostWidth];
  for (long from = 0; from < pixels; from += step)
    for (int first = 0; first < width; first += kMostWidth) {
      const int count = width - first < kMostWidth ? width - first : kMostWidth;
      const long here = pixels - from < step ? pixels - from : step, full = here / rows.repeats;
      const long at = from * channels;
      int done = 0;
      if (near)
        for (int size; done + kLanes <= count; done += size) {
          size = count - done < kStrip ? (count - done) / kLanes * kLanes : kStrip;
          add_strip<kStrip / kLanes>(size / kLanes, full, at + first + done, first + done, width,
                                     one + done, two + done, term);
        }
      for (int i = done; i < count; ++i) one[i] = two[i] = 0;
      if (done < count)
        add_rows(full, at + first + done, first + done, count - done, width, one + done, two + done,
                 term);
      add_rows(here % rows.repeats, at + full * width, 0, channels, channels, one, two, term);
      for (int i = 0; i < count; i += channels) {
        const int part = channels < count ? channels : count;
        for (int c = 0; c < part; ++c) sums[first + c] += one[i + c];
        for (int c = 0; c < part; ++c) sums[channels + first + c] += two[i + c];
      }
    }
}

void moments(const float* x, const float* origin, long pixels, int channels, double* sums) {
  const Rows rows(pixels, channels);
  float buffer[kMostRepeated];
  const float* origins = rows.values(origin, buffer);
  add_sums(rows, pixels, sums, [=](long at, int c, auto& one, auto& two) ALWAYS {
    const auto value = load(x + at, one) - load(origins + c, one);
    one += value;
    two += value * value;
  });
}

void gradient_sums(const float* dy, const float* more, const Gate& gate, const float* x,
                   const float* mean, long pixels, int channels, double* sums, float* dz) {
  const Rows rows(pixels, channels);
  float buffers[3][kMostRepeated];
  const float* means = rows.values(mean, buffers[0]);
  const Gate gates = {gate.y, rows.values(gate.scale, buffers[1]),
                      rows.values(gate.shift, buffers[2])};
  with_gate(gates, [&](auto kind) {
    add_sums(rows, pixels, sums, [=](long at, int c, auto& one, auto& two) ALWAYS {
      const auto value = load(x + at, one);
      auto slope = load(dy + at, one);
      if (more) slope += load(more + at, one);
      slope = kind.pass(gates, slope, value, at, c);
      if (dz) store(dz + at, slope);
      one += slope;
      two += slope * (value - load(means + c, one));
    });
  });
}

// body(place, channel, zero of what is handled at once) for all places in the order of memory.
template <typename Body>
ALWAYS inline void every_row(long rows, long at, int width, const Body& body) {
  for (; rows; --rows, at += width) {
    int c = 0;
    for (; c + kLanes <= width; c += kLanes) body(at + c, c, vec{});
    for (; c < width; ++c) body(at + c, c, 0.f);
  }
}

template <typename Body>
void every(const Rows& rows, long pixels, const Body& body) {
  const long count = pixels / rows.repeats;
  every_row(count, 0, rows.width, body);
  every_row(pixels % rows.repeats, count * rows.width, rows.channels, body);
}

void apply(const float* x, const float* scale, const float* shift, const float* residual, bool relu,
           long pixels, int channels, float* y) {
  const Rows rows(pixels, channels);
  float buffers[2][kMostRepeated];
  scale = rows.values(scale, buffers[0]);
  shift = rows.values(shift, buffers[1]);
  every(rows, pixels, [=](long at, int c, auto zero) ALWAYS {
    auto z = load(x + at, zero) * load(scale + c, zero) + load(shift + c, zero);
    if (residual) z += load(residual + at, zero);
    // What is not greater than zero becomes zero, but a NaN stays one.
    store(y + at, relu ? (z < 0 ? zero : z) : z);
  });
}

void gradient(const float* dy, const Gate& gate, const float* x, const float* a, const float* b,
              const float* c, long pixels, int channels, float* dx) {
  const Rows rows(pixels, channels);
  float buffers[5][kMostRepeated];
  a = rows.values(a, buffers[0]);
  b = rows.values(b, buffers[1]);
  c = rows.values(c, buffers[2]);
  const Gate gates = {gate.y, rows.values(gate.scale, buffers[3]),
                      rows.values(gate.shift, buffers[4])};
  with_gate(gates, [&](auto kind) {
    every(rows, pixels, [=](long at, int channel, auto zero) ALWAYS {
      const auto value = load(x + at, zero);
      const auto slope = kind.pass(gates, load(dy + at, zero), value, at, channel);
      store(dx + at, load(a + channel, zero) * slope + load(b + channel, zero) * value +
                         load(c + channel, zero));
    });
  });
}

constexpr NormalizeLoops loops = {moments, apply, gradient_sums, gradient};

}  // namespace

const NormalizeLoops* NAME(INSTRUCTIONS)() { return &loops; }

}  // namespace keras_ssc
