// TensorFlow's own threads, for the passes of convolution.h and normalize.h.
#pragma once

#include "../convolution.h"
#include "../team.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace keras_ssc {

inline const tensorflow::DeviceBase::CpuWorkerThreads* workers(tensorflow::OpKernelContext* c) {
  return c->device()->tensorflow_cpu_worker_threads();
}

inline int threads_of(tensorflow::OpKernelContext* c) { return workers(c)->num_threads; }

inline Runner runner(tensorflow::OpKernelContext* c) {
  auto* pool = workers(c)->workers;
  return [pool](int count, const std::function<void(int)>& job) {
    if (count == 1) return job(0);
    pool->ParallelFor(count, /*cost_per_unit=*/100'000'000, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) job((int)i);
    });
  };
}

inline Starter starter(tensorflow::OpKernelContext* c) {
  auto* pool = workers(c)->workers;
  return [pool](std::function<void()> job) { pool->Schedule(std::move(job)); };
}

}  // namespace keras_ssc
