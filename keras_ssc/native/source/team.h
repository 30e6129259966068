// Threads that stay together for many short jobs.
#pragma once

#include <functional>
#include <memory>

namespace keras_ssc {

// Runs a function on another thread, now or later.
using Starter = std::function<void(std::function<void()>)>;

// The calling thread and its helpers, which wait for the next job without sleeping: to wake a thread
// takes longer than a step of a small network. A helper that comes late, or never, is not waited
// for: the others do its share.
class Team {
 public:
  Team(int helpers, const Starter& start);
  ~Team();  // sends the helpers away
  Team(const Team&) = delete;

  // Runs job(0) ... job(count - 1). To be called by one thread at a time.
  void run(int count, const std::function<void(int)>& job);

 private:
  struct Board;
  std::shared_ptr<Board> board_;  // also the helpers'; null where there are none
  unsigned number_ = 0;
};

}  // namespace keras_ssc
