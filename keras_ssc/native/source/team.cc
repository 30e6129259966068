#include "team.h"

#include <atomic>
#include <cstdint>
#include <thread>

namespace keras_ssc {
namespace {

using Job = std::function<void(int)>;

constexpr std::uint64_t kPart = 0xffffffff;
constexpr int kPatience = 200;  // pauses between two such offers

// Waits for a few cycles; now and then it lets others have the core.
void pause(int times) {
  if (times % kPatience == kPatience - 1) return std::this_thread::yield();
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct Team::Board {
  // The number of the job in the upper half, the first of its parts that nobody has in the lower.
  // Who finds it unchanged when adding one has read `count` and `job` of this very job.
  alignas(64) std::atomic<std::uint64_t> next{kPart};
  std::atomic<int> count{0};
  std::atomic<const Job*> job{nullptr};
  std::atomic<bool> over{false};
  alignas(64) std::atomic<int> done{0};

  // Does a part of the job, if one is left.
  bool take() {
    for (std::uint64_t seen = next.load(std::memory_order_acquire);;) {
      const std::uint64_t part = seen & kPart;
      const Job* own = job.load(std::memory_order_acquire);
      if (part >= (std::uint64_t)count.load(std::memory_order_acquire)) return false;
      if (!next.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) continue;
      (*own)((int)part);
      done.fetch_add(1, std::memory_order_release);
      return true;
    }
  }
};

Team::Team(int helpers, const Starter& start) {
  if (helpers < 1) return;
  board_ = std::make_shared<Board>();
  for (int i = 0; i < helpers; ++i)
    start([board = board_, caller = std::this_thread::get_id()] {
      if (std::this_thread::get_id() == caller) return;  // a pool that is full starts nobody
      int vain = 0;
      while (!board->over.load(std::memory_order_acquire))
        if (board->take())
          vain = 0;
        else
          pause(vain++);
    });
}

Team::~Team() {
  if (board_) board_->over.store(true, std::memory_order_release);
}

void Team::run(int count, const Job& job) {
  if (count <= 1 || !board_) {
    for (int i = 0; i < count; ++i) job(i);
    return;
  }
  Board& board = *board_;
  // Nobody may take a part while the job is exchanged.
  board.next.store((std::uint64_t)number_ << 32 | kPart, std::memory_order_release);
  board.count.store(count, std::memory_order_release);
  board.job.store(&job, std::memory_order_release);
  board.done.store(0, std::memory_order_relaxed);
  board.next.store((std::uint64_t)++number_ << 32, std::memory_order_release);
  while (board.take()) {
  }
  for (int vain = 0; board.done.load(std::memory_order_acquire) < count; ++vain) pause(vain);
}

}  // namespace keras_ssc
