// Which compiled inner loops this CPU can run.
#include "lanes.h"

namespace keras_ssc {

const Micro* micro_for(int lanes) {
#ifdef __x86_64__
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (avx512)
    if (const Micro* micro = micro_avx512(lanes)) return micro;
  if (avx2)
    if (const Micro* micro = micro_avx2(lanes)) return micro;
#endif
  return micro_plain(lanes);
}

}  // namespace keras_ssc
