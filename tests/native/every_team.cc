// Many short jobs on teams of every kind: each part is done once, before `run` returns.
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "team.h"

using namespace keras_ssc;

static std::vector<std::thread> threads;

static void at_once(std::function<void()> job) { threads.emplace_back(job); }

static void late(std::function<void()> job) {
  threads.emplace_back([job] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    job();
  });
}

static void here(std::function<void()> job) { job(); }  // a pool that is full

static void never(std::function<void()>) {}

int main() {
  long jobs = 0;
  for (const Starter& start : {Starter(at_once), Starter(late), Starter(here), Starter(never)})
    for (int helpers : {0, 1, 3}) {
      {
        Team team(helpers, start);
        for (int count = 0; count < 300; ++count, ++jobs) {
          std::vector<int> times(count % 7);  // not atomic: a race is found by a sanitizer
          team.run(count % 7, [&](int part) { ++times[part]; });
          for (int done : times)
            if (done != 1) {
              std::printf("done %d times\n", done);
              return 1;
            }
        }
      }
      for (std::thread& thread : threads) thread.join();
      threads.clear();
    }
  std::printf("%ld jobs\n", jobs);
}
