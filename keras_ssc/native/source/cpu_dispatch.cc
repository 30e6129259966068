// Which compiled inner loops this CPU can run.
#include "convolution.h"
#include "depthwise_loops.h"
#include "image_loops.h"
#include "normalize.h"
#include "row_convolution.h"

namespace keras_ssc {
namespace {

#ifdef __x86_64__
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
bool has_avx512bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif

}  // namespace

const Microkernels* microkernels_for(int lanes) {
#ifdef __x86_64__
  if (has_avx512())
    if (const Microkernels* micro = microkernels_avx512(lanes)) return micro;
  if (has_avx2())
    if (const Microkernels* micro = microkernels_avx2(lanes)) return micro;
#endif
  return microkernels_plain(lanes);
}

const Microkernels* paired_microkernels_for(int lanes) {
#ifdef __x86_64__
  if (has_avx512bf16()) return microkernels_avx512bf16(lanes);
#endif
  return nullptr;
}

const RowKernels* paired_row_kernels_for(int lanes, int repeats) {
#ifdef __x86_64__
  if (has_avx512bf16()) return row_kernels_avx512bf16(lanes, repeats);
#endif
  return nullptr;
}

const RowKernels* row_kernels_for(int lanes, int repeats) {
#ifdef __x86_64__
  if (has_avx512())
    if (const RowKernels* kernels = row_kernels_avx512(lanes, repeats)) return kernels;
  if (has_avx2())
    if (const RowKernels* kernels = row_kernels_avx2(lanes, repeats)) return kernels;
#endif
  return row_kernels_plain(lanes, repeats);
}

const RowSums* row_sums_for(int lanes, int repeats) {
#ifdef __x86_64__
  if (has_avx512())
    if (const RowSums* sums = row_sums_avx512(lanes, repeats)) return sums;
  if (has_avx2())
    if (const RowSums* sums = row_sums_avx2(lanes, repeats)) return sums;
#endif
  return row_sums_plain(lanes, repeats);
}

const DepthwiseLoops* depthwise_loops_for(int lanes) {
#ifdef __x86_64__
  if (has_avx512())
    if (const DepthwiseLoops* loops = depthwise_loops_avx512(lanes)) return loops;
  if (has_avx2())
    if (const DepthwiseLoops* loops = depthwise_loops_avx2(lanes)) return loops;
#endif
  return depthwise_loops_plain(lanes);
}

const ImageLoops& image_loops() {
#ifdef __x86_64__
  if (has_avx512()) return *image_loops_avx512();
  if (has_avx2()) return *image_loops_avx2();
#endif
  return *image_loops_plain();
}

const NormalizeLoops& normalize_loops() {
#ifdef __x86_64__
  if (has_avx512()) return *normalize_avx512();
  if (has_avx2()) return *normalize_avx2();
#endif
  return *normalize_plain();
}

// For native/network.py.
extern "C" int keras_ssc_multiplies_bfloat16() { return paired_microkernels_for(16) != nullptr; }

}  // namespace keras_ssc
