// Runs a CUDA kernel of keras_ssc/native/gpu/source on the CPU, thread by thread: the same source,
// with the instructions of warp.h written out after the PTX ISA. For tests: slow, and strict about
// what a GPU may not show: half of the copies land at once, half at the last moment; some warps are
// far ahead of others; shared memory starts as NaN.
//   -DSOURCE="\"convolve.cu\"" -DKERNEL=convolve and what the kernel itself needs
#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#define KERAS_SSC_EMULATED
#define __device__
#define __global__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(threads, blocks)
#define __align__(bytes) __attribute__((aligned(bytes)))

struct uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int min(int a, int b) { return a < b ? a : b; }

template <typename To, typename From>
To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline float __uint_as_float(unsigned word) { return bits<float>(word); }

struct Index {
  unsigned x, y, z;
} threadIdx, blockIdx, gridDim;
constexpr size_t kMaxShared = 232448;
alignas(128) unsigned char shared[kMaxShared];
size_t shared_bytes;

#include "warp.h"

namespace {

void require(bool fine, const char* message) {
  if (!fine) throw std::runtime_error(message);
}

struct Copy {
  Address to;
  const void* from;
  bool there;

  void land() const {
    if (there)
      memcpy(shared + to, from, 16);
    else
      memset(shared + to, 0, 16);
  }
};

// One thread of the block, as a context of its own.
struct Thread {
  ucontext_t context;
  std::vector<char> stack;
  bool done;
  int collectives;
  std::deque<std::vector<Copy>> groups;  // the last one is not committed yet
};

// Threads that wait for each other.
struct Barrier {
  int waiting = 0, generation = 0;
};

// What lanes show each other, in two places by turns.
struct Shown {
  Address address;
  Word a[4], b[2];
};
struct Warp {
  Barrier barrier;
  Shown lanes[2][32];
};

std::vector<Thread> threads;
std::vector<Warp> warps;
Barrier all;
ucontext_t scheduler;
std::vector<std::pair<const char*, const char*>> arrays;  // what may be copied from
std::string failure;
std::function<void()> body;

Thread& self() { return threads[threadIdx.x]; }

void yield() {
  const unsigned own = threadIdx.x;
  swapcontext(&threads[own].context, &scheduler);
}

void wait_at(Barrier& barrier, int count) {
  const int generation = barrier.generation;
  if (++barrier.waiting == count) {
    barrier.waiting = 0;
    ++barrier.generation;
  }
  while (barrier.generation == generation) yield();
}

// Shows the lane's own to the warp, and returns what all lanes show.
const Shown* together(const Shown& own) {
  Warp& warp = warps[threadIdx.x / 32];
  Shown* place = warp.lanes[self().collectives++ % 2];
  place[threadIdx.x % 32] = own;
  wait_at(warp.barrier, 32);
  return place;
}

const unsigned char* at(Address address, size_t bytes) {
  require(address % bytes == 0, "an address in shared memory is not aligned");
  require(address + bytes <= shared_bytes, "an address lies outside of shared memory");
  return shared + address;
}

float value_of(Word word, int half) {
#if BF16
  return bits<float>(half ? word & 0xffff0000u : word << 16);
#else
  return bits<float>(word & 0xffffe000u);  // a tensor core takes no more than 10 bits
#endif
}

}  // namespace

inline void __syncthreads() { wait_at(all, (int)threads.size()); }
inline void add_two(float* to, float first, float second) { to[0] += first, to[1] += second; }

inline Address address_of(const void* place) {
  return (Address)((const unsigned char*)place - shared);
}
inline void copy_16(Address to, const void* from, bool there) {
  at(to, 16);
  const char* first = (const char*)from;
  bool known = false;
  for (auto [begin, end] : arrays) known |= begin <= first && first + 16 <= end;
  require(known && (uintptr_t)first % 16 == 0, "a copy reads outside of the arrays");
  const Copy copy = {to, from, there};
  if (threadIdx.x % 2)
    copy.land();
  else
    self().groups.back().push_back(copy);
}
inline void commit_copies() { self().groups.emplace_back(); }
template <int N>
void wait_for_copies() {
  auto& groups = self().groups;
  while (groups.size() > N + 1) {
    for (const Copy& copy : groups.front()) copy.land();
    groups.pop_front();
  }
}
inline Word load_word(Address from) {
  Word word;
  memcpy(&word, at(from, 4), 4);
  return word;
}

// ldmatrix: lane l receives of matrix i the word l % 4 of row l / 4, whose address lane 8 i + l / 4
// gave; transposed: of the column l / 4 the values of rows 2 (l % 4) and 2 (l % 4) + 1.
inline void load_matrices(Word (&to)[4], Address row) {
  const int lane = threadIdx.x % 32;
  at(row, 16);
  const Shown* all_ = together({row, {}, {}});
  for (int i = 0; i < 4; ++i) to[i] = load_word(all_[8 * i + lane / 4].address + lane % 4 * 4);
}
inline void load_transposed(Word (&to)[4], Address row) {
  const int lane = threadIdx.x % 32;
  at(row, 16);
  const Shown* all_ = together({row, {}, {}});
  for (int i = 0; i < 4; ++i) {
    uint16_t pair[2];
    for (int k = 0; k < 2; ++k)
      memcpy(&pair[k], at(all_[8 * i + lane % 4 * 2 + k].address + lane / 4 * 2, 2), 2);
    to[i] = pair[0] | (Word)pair[1] << 16;
  }
}

// mma.sync m16n8k16 (bf16) and m16n8k8 (tf32), from the figures of their fragments. With
// group = l / 4 and member = l % 4, lane l holds of
//   a  word i: row group + 8 (i % 2), columns from (member + 4 (i / 2)) values a word on
//   b  word i: rows from (member + 4 i) values a word on, column group
//   c  value i: row group + 8 (i / 2), column 2 member + i % 2
inline void multiply_add(float (&c)[4], const Word (&a)[4], Word b0, Word b1) {
  Shown own = {0, {a[0], a[1], a[2], a[3]}, {b0, b1}};
  const Shown* lanes = together(own);
  const int group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = group + i / 2 * 8, column = 2 * member + i % 2;
    double sum = 0;
    for (int k = 0; k < 8 * kValuesOfWord; ++k) {
      const int word = k / kValuesOfWord, half = k % kValuesOfWord;
      const Shown& of_a = lanes[row % 8 * 4 + word % 4];
      const Shown& of_b = lanes[column * 4 + word % 4];
      sum +=
          (double)value_of(of_a.a[row / 8 + word / 4 * 2], half) * value_of(of_b.b[word / 4], half);
    }
    c[i] = (float)(c[i] + sum);
  }
}

inline Word from_lane(Word word, int lane) { return together({0, {word}, {}})[lane].a[0]; }

inline Word rounded(Word word) {
#if !BF16  // to nearest, ties away from zero; what is not a number stays so
  if ((word & 0x7f800000u) != 0x7f800000u) word += 0x1000u;
#endif
  return word;
}
inline Word as_bfloat16(float first, float second) {
  auto half = [](float value) {
    const Word word = bits<Word>(value);
    if ((word & 0x7fffffffu) > 0x7f800000u) return word >> 16 | 64u;
    return (word + 0x7fffu + (word >> 16 & 1u)) >> 16;
  };
  return half(first) | half(second) << 16;
}

#include SOURCE

namespace {

void start() {
  try {
    body();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  self().done = true;
  yield();
}

void run_block(int count) {
  memset(shared, 0xff, sizeof shared);
  all = {};
  warps.assign(count / 32, {});
  threads.resize(count);
  for (int i = 0; i < count; ++i) {
    Thread& thread = threads[i];
    thread.stack.resize(128 * 1024);
    thread.done = false;
    thread.collectives = 0;
    thread.groups.assign(1, {});
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    makecontext(&thread.context, start, 0);
  }
  int running = count;
  for (int turn = 0; running && failure.empty(); ++turn)
    for (int i = 0; i < count && failure.empty(); ++i) {
      if (threads[i].done || turn % (1 + i / 32)) continue;  // the first warp is the fastest
      threadIdx.x = i;
      swapcontext(&scheduler, &threads[i].context);
      running -= threads[i].done;
    }
}

template <typename... Arguments, size_t... I>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
  kernel(*(std::decay_t<Arguments>*)arguments[I]...);
}
template <typename... Arguments>
void call(void (*kernel)(Arguments...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<Arguments...>());
}

}  // namespace

// As cuLaunchKernel; `sizes`: bytes of the arrays that the first arguments point to, ends with -1.
extern "C" const char* launch(const int* grid, int threads_of_block, int bytes, void** arguments,
                              const long* sizes) {
  failure.clear();
  arrays.clear();
  for (int i = 0; sizes[i] >= 0; ++i) {
    const char* array = *(const char**)arguments[i];
    arrays.emplace_back(array, array + sizes[i]);
  }
  shared_bytes = bytes;
  if (shared_bytes > kMaxShared) failure = "too much shared memory";
  gridDim = {(unsigned)grid[0], (unsigned)grid[1], (unsigned)grid[2]};
  body = [&] { call(KERNEL, arguments); };
  for (int z = 0; z < grid[2]; ++z)
    for (int y = 0; y < grid[1]; ++y)
      for (int x = 0; x < grid[0] && failure.empty(); ++x) {
        blockIdx = {(unsigned)x, (unsigned)y, (unsigned)z};
        run_block(threads_of_block);
      }
  return failure.c_str();
}
