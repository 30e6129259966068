// XLA's own threads, for the passes of convolution.h and normalize.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "../convolution.h"
#include "../team.h"
#include "xla/ffi/api/ffi.h"

namespace keras_ssc {

// Jobs that some threads take one after the other.
class Jobs {
 public:
  Jobs(int count, const std::function<void(int)>& job) : count_(count), job_(job) {}

  void take() {
    for (int i; (i = next_++) < count_;) {
      job_(i);
      std::lock_guard<std::mutex> lock(mutex_);
      if (++done_ == count_) all_done_.notify_one();
    }
  }

  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return done_ == count_; });
  }

 private:
  const int count_;
  const std::function<void(int)>& job_;  // the caller's, who waits until all are done
  std::atomic<int> next_{0};
  int done_ = 0;
  std::mutex mutex_;
  std::condition_variable all_done_;
};

inline int threads_of(const xla::ffi::ThreadPool& pool) {
  return (int)std::max<int64_t>(1, pool.num_threads());
}

// The calling thread takes part: it does everything where the others are busy, or where there is
// little to do. A helper that starts when nothing is left only lets go of `jobs`.
inline Runner runner(xla::ffi::ThreadPool pool, bool small) {
  return [pool, small](int count, const std::function<void(int)>& job) mutable {
    const int helpers = small ? 0 : std::min(count, threads_of(pool)) - 1;
    if (helpers < 1) {
      for (int i = 0; i < count; ++i) job(i);
      return;
    }
    const auto jobs = std::make_shared<Jobs>(count, job);
    for (int i = 0; i < helpers; ++i) pool.Schedule([jobs] { jobs->take(); });
    jobs->take();
    jobs->wait();
  };
}

inline Starter starter(xla::ffi::ThreadPool pool) {
  return [pool](std::function<void()> job) mutable { pool.Schedule(std::move(job)); };
}

}  // namespace keras_ssc
