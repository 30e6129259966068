// Compiled with -DINSTRUCTIONS=plain, avx2 or avx512 and that instruction set's flags. No standard
// library here, as in microkernels.cc.
#include "normalize_loops.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(normalize_, instructions)

namespace keras_ssc {
namespace {

#ifdef __AVX2__
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr long kShort = 64;  // pixels that are summed in float, before double takes over

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

// Two sums over the pixels for `count` channels at once, `step` apart: term(p, c, &one, &two).
template <typename T, int Blocks, typename Term>
void add_sums(long pixels, int channel, int channels, double* sums, const Term& term) {
  constexpr int lanes = sizeof(T) / sizeof(float);
  for (long from = 0; from < pixels; from += kShort) {
    const long to = from + kShort < pixels ? from + kShort : pixels;
    T one[Blocks], two[Blocks];
#pragma GCC unroll 8
    for (int b = 0; b < Blocks; ++b) one[b] = two[b] = T{};
    for (long p = from; p < to; ++p)
#pragma GCC unroll 8
      for (int b = 0; b < Blocks; ++b) term(p, channel + b * lanes, one[b], two[b]);
    for (int i = 0; i < Blocks * lanes; ++i) {
      sums[channel + i] += ((const float*)one)[i];
      sums[channels + channel + i] += ((const float*)two)[i];
    }
  }
}

void moments(const float* x, const float* origin, long pixels, int channels, double* sums) {
  const auto term = [&](long p, int c, auto& one, auto& two) {
    const auto value = load(x + p * channels + c, one) - load(origin + c, one);
    one += value;
    two += value * value;
  };
  int c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
    add_sums<vec, 4>(pixels, c, channels, sums, term);
  for (; c + kLanes <= channels; c += kLanes) add_sums<vec, 1>(pixels, c, channels, sums, term);
  for (; c < channels; ++c) add_sums<float, 1>(pixels, c, channels, sums, term);
}

void gradient_sums(const float* dy, const float* more, const Gate& gate, const float* x,
                   const float* mean, long pixels, int channels, double* sums, float* dz) {
  with_gate(gate, [&](auto kind) {
    const auto term = [&](long p, int c, auto& one, auto& two) {
      const long at = p * channels + c;
      const auto value = load(x + at, one);
      auto slope = load(dy + at, one);
      if (more) slope += load(more + at, one);
      slope = kind.pass(gate, slope, value, at, c);
      if (dz) store(dz + at, slope);
      one += slope;
      two += slope * (value - load(mean + c, one));
    };
    int c = 0;
    for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
      add_sums<vec, 4>(pixels, c, channels, sums, term);
    for (; c + kLanes <= channels; c += kLanes) add_sums<vec, 1>(pixels, c, channels, sums, term);
    for (; c < channels; ++c) add_sums<float, 1>(pixels, c, channels, sums, term);
  });
}

template <typename Body>
void every(long pixels, int channels, const Body& body) {
  for (long p = 0; p < pixels; ++p) {
    int c = 0;
    for (; c + kLanes <= channels; c += kLanes) body(p * channels + c, c, vec{});
    for (; c < channels; ++c) body(p * channels + c, c, 0.f);
  }
}

void apply(const float* x, const float* scale, const float* shift, const float* residual, bool relu,
           long pixels, int channels, float* y) {
  every(pixels, channels, [&](long at, int c, auto zero) {
    auto z = load(x + at, zero) * load(scale + c, zero) + load(shift + c, zero);
    if (residual) z += load(residual + at, zero);
    // What is not greater than zero becomes zero, but a NaN stays one.
    store(y + at, relu ? (z < 0 ? zero : z) : z);
  });
}

void gradient(const float* dy, const Gate& gate, const float* x, const float* a, const float* b,
              const float* c, long pixels, int channels, float* dx) {
  with_gate(gate, [&](auto kind) {
    every(pixels, channels, [&](long at, int channel, auto zero) {
      const auto value = load(x + at, zero);
      const auto slope = kind.pass(gate, load(dy + at, zero), value, at, channel);
      store(dx + at, load(a + channel, zero) * slope + load(b + channel, zero) * value +
                         load(c + channel, zero));
    });
  });
}

constexpr NormalizeLoops loops = {moments, apply, gradient_sums, gradient};

}  // namespace

const NormalizeLoops* NAME(INSTRUCTIONS)() { return &loops; }

}  // namespace keras_ssc
