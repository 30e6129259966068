// The instructions of tensor cores and of asynchronous copies, by name (PTX ISA, from sm_80 on).
// tests/native/gpu/emulated_warp.h has the same names for a CPU.
//   BF16 1: values of bfloat16; 0: float32, multiplied as tf32. Sums are float32 in both.
#pragma once

typedef unsigned int Word;     // four bytes: two values of bfloat16 or one of float32
typedef unsigned int Address;  // in shared memory
constexpr int kValuesOfWord = BF16 ? 2 : 1;
#if BF16
typedef unsigned short Value;
#else
typedef float Value;
#endif

#ifndef KERAS_SSC_EMULATED

__device__ __forceinline__ Address address_of(const void* shared) {
  return (Address)__cvta_generic_to_shared(shared);
}

// Sixteen bytes from global to shared memory; zeros where nothing is there.
__device__ __forceinline__ void copy_16(Address to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits until at most `N` of the groups that were committed are still under way.
template <int N>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four matrices of 8 rows of 16 bytes; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(Word (&to)[4], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}
// The same, each matrix of 8x8 values of two bytes transposed.
__device__ __forceinline__ void load_transposed(Word (&to)[4], Address row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ Word load_word(Address from) {
  Word word;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(from) : "memory");
  return word;
}

// c += a b: a has 16 rows, b has 8 columns; 16 values of bfloat16 or 8 of float32 between them.
__device__ __forceinline__ void multiply_add(float (&c)[4], const Word (&a)[4], Word b0, Word b1) {
#if BF16
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
#endif
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A word as the tensor cores take it: they cut float32 to tf32, so it is rounded before.
__device__ __forceinline__ Word rounded(Word word) {
#if !BF16
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(__uint_as_float(word)));
#endif
  return word;
}

// The word of another lane.
__device__ __forceinline__ Word from_lane(Word word, int lane) {
  return __shfl_sync(~0u, word, lane);
}

// Two sums as one word of bfloat16, the first in its low half.
__device__ __forceinline__ Word as_bfloat16(float first, float second) {
  Word word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
  return word;
}

// Adds to two neighbouring sums in global memory.
__device__ __forceinline__ void add_two(float* to, float first, float second) {
#if __CUDA_ARCH__ >= 900
  asm volatile("red.global.add.v2.f32 [%0], {%1,%2};" ::"l"(to), "f"(first), "f"(second)
               : "memory");
#else
  atomicAdd(to, first);
  atomicAdd(to + 1, second);
#endif
}

#endif  // KERAS_SSC_EMULATED
