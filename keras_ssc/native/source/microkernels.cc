// Compiled with -DINSTRUCTIONS=plain, avx2, avx512 or avx512bf16 and that instruction set's flags,
// which for the last one are -DPAIRS, too, and nothing else where the compiler doesn't know it. No
// standard library here: an inline function of it, compiled for AVX-512, could be linked into code for all
// CPUs. (`assert` is a macro; build.py defines NDEBUG.)
#include "microkernels.h"

#include <cassert>

#include "channel_copies.h"
#include "lanes.h"
#include "multiply_add.h"

#define JOIN(a, b) a##b
#define NAME(instructions) JOIN(microkernels_, instructions)

namespace keras_ssc {
#if !defined(PAIRS) || defined(__AVX512BF16__)
namespace {

// Keep a loaded value in a register: GCC would load it again for every multiply-add.
#ifdef __x86_64__
#define HOLD(value) __asm__("" : "+v"(value))
#else
#define HOLD(value)
#endif

#ifndef PAIRS
// Adds the lanes of a vector to the places that they belong to.
template <int V>
void fold(const Product& a, const float* sum, float* y, int live) {
  if (a.fold < 0)
    for (int l = 0; l < live; ++l) y[a.index[l]] += sum[l];
  else
    add_folded<V>(y, load_part<V>(sum, live), a.fold);
}
#endif

template <typename vec>
inline vec cut(const Product& a, vec value) {
  const vec ceiling = vec{} + a.ceiling;
  value = value < 0 ? vec{} : value;
  return value > ceiling ? ceiling : value;
}

// Fetches `lines` lines for the second cache; returns what comes behind them.
inline const float* fetch(const float* at, int lines) {
  for (; lines; --lines, at += 16) __builtin_prefetch(at, 0, 2);
  return at;
}

template <int V, Load L, int P, int F>
void product(const Product& a) {
  assert(a.steps >= 0 && a.y && a.y_offsets);
  assert(a.steps == 0 || (a.x && a.x_offsets && a.w && a.w_rows));
  assert(!a.scale || a.start);
  assert(L != kPermuted || a.index);
  assert(a.fold <= 0 || a.fold <= V);
  assert(!a.fold || (a.partial && (a.fold > 0 || a.index)));
  assert(!a.partial || a.live);
  typedef typename Lanes<V>::vec vec;
  const Loader<V, L> load(a.index);
  vec sum[P][F];
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f)
      sum[p][f] = a.start && !a.scale ? *(const vec*)(a.start + f * V) : vec{};
  const long pixel = a.x_pixel, w_row = a.w_row;
  const float *source = a.next_source, *destination = a.next_destination;
  const int source_lines = a.source_lines, destination_lines = a.destination_lines;
  for (int k = 0; k < a.steps; ++k) {
    if (source_lines | destination_lines) {
      source = fetch(source, source_lines);
      destination = fetch(destination, destination_lines);
    }
    const float* x = a.x + a.x_offsets[k];
    const float* w = a.w + a.w_rows[k] * w_row;
    vec weights[F];
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) weights[f] = *(const vec*)(w + f * V);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      vec value = load(x + p * pixel);
      HOLD(value);
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) sum[p][f] = multiply_add(sum[p][f], value, weights[f]);
    }
  }
  if (a.scale)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) {
      const vec scale = *(const vec*)(a.scale + f * V), start = *(const vec*)(a.start + f * V);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[p][f] = sum[p][f] * scale + start;
    }
  if (!a.partial && !a.add && !a.residual) {
    if (a.relu)
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) sum[p][f] = cut(a, sum[p][f]);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) *(vec*)(a.y + p * a.y_pixel + a.y_offsets[f]) = sum[p][f];
    return;
  }
  vec sums[P][F];
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) sums[p][f] = sum[p][f];
  __asm__("" : : "r"(sums) : "memory");
#pragma GCC unroll 1
  for (int p = 0; p < P; ++p) {
    float* y = a.y + p * a.y_pixel;
    const float* residual = a.residual ? a.residual + p * a.y_pixel : nullptr;
#pragma GCC unroll 1
    for (int f = 0; f < F; ++f) {
      const int at = a.y_offsets[f], live = a.live[f];
#ifndef PAIRS
      if (a.fold) {
        fold<V>(a, (const float*)&sums[p][f], y + at, live);
        continue;
      }
#endif
      vec value = sums[p][f];
      if (live == V) {
        if (a.add) value += *(const vec*)(y + at);
        if (residual) value += *(const vec*)(residual + at);
        *(vec*)(y + at) = a.relu ? cut(a, value) : value;
        continue;
      }
      if (a.add) value += load_part<V>(y + at, live);
      if (residual) value += load_part<V>(residual + at, live);
      store_part<V>(y + at, a.relu ? cut(a, value) : value, live);
    }
  }
}

#ifndef PAIRS
template <int V, Load L, int T, int F>
void weight_sum(const Sum& a) {
  assert(a.images >= 0 && a.rows >= 0 && a.columns >= 0);
  assert(a.x && a.dy && a.out && a.x_offsets && a.dy_offsets && a.out_rows && a.out_columns);
  assert(L != kPermuted || a.index);
  typedef typename Lanes<V>::vec vec;
  const Loader<V, L> load(a.index);
  vec sum[T][F];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) sum[t][f] = vec{};
  const float *next_x = a.next_x, *next_dy = a.next_dy;
  for (int image = 0; image < a.images; ++image)
    for (int row = 0; row < a.rows; ++row) {
      const float* x = a.x + image * a.x_image + row * a.x_row;
      const float* dy = a.dy + image * a.dy_image + row * a.dy_row;
      for (int column = 0; column < a.columns; ++column) {
        if (a.x_lines | a.dy_lines) {
          next_x = fetch(next_x, a.x_lines);
          next_dy = fetch(next_dy, a.dy_lines);
        }
        vec gradient[F];
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) gradient[f] = *(const vec*)(dy + a.dy_offsets[f]);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          vec value = load(x + a.x_offsets[t]);
          HOLD(value);
#pragma GCC unroll 8
          for (int f = 0; f < F; ++f) sum[t][f] += value * gradient[f];
        }
        x += a.x_column;
        dy += a.dy_column;
      }
    }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) *(vec*)(a.out + a.out_rows[t] + a.out_columns[f]) += sum[t][f];
}
#endif

#if defined(__AVX512F__)
constexpr int kRegisters = 24;  // of 32
#elif defined(__AVX2__)
constexpr int kRegisters = 12;  // of 16
#else
constexpr int kRegisters = 4;  // few loops: hardly any CPU is without AVX2
#endif

template <int V, Load L, int P, int F>
void fill(Microkernels& m) {
  if constexpr (P * F <= kRegisters && is_size(P)) {
    m.product[L][P][F] = product<V, L, P, F>;
#ifndef PAIRS
    m.sum[L][P][F] = weight_sum<V, L, P, F>;
#endif
  }
  if constexpr (F < kMaxVectors)
    fill<V, L, P, F + 1>(m);
  else if constexpr (P < kMaxRows)
    fill<V, L, P + 1, 1>(m);
}

template <int V>
const Microkernels* table() {
  static const Microkernels micro = [] {
    Microkernels m = {};
    m.lanes = V;
    m.registers = kRegisters;
#ifdef PAIRS
    m.pair_channels = pair_channels;
#else
    m.wrap_channels = wrap_channels<V>;
    m.unwrap_channels = unwrap_channels<V>;
    m.in_order = in_order<V>;
#endif
    fill<V, kOne, 1, 1>(m);
    fill<V, kTwo, 1, 1>(m);
    if constexpr (V > 4) fill<V, kFour, 1, 1>(m);
    if constexpr (V > 8) fill<V, kEight, 1, 1>(m);
    fill<V, kRow, 1, 1>(m);
    fill<V, kPermuted, 1, 1>(m);
    return m;
  }();
  return &micro;
}

}  // namespace

const Microkernels* NAME(INSTRUCTIONS)(int lanes) {
  switch (lanes) {
#ifdef __AVX512F__
    case 16:
      return table<16>();
#endif
#if defined(PAIRS) || (defined(__AVX2__) && !defined(__AVX512F__))
    case 8:
      return table<8>();
#endif
#ifndef __AVX2__
    case 4:
      return table<4>();
#endif
    default:
      return nullptr;
  }
}
#else
const Microkernels* NAME(INSTRUCTIONS)(int) { return nullptr; }
#endif

}  // namespace keras_ssc
