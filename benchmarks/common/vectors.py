"""How wide the CPU's multiply-adds are: a measured rate of 512-bit against 256-bit vectors."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = """
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

#define RATE(name, vector, set, fmadd, extra)                             \\
  static double name(void) {                                              \\
    vector a[12], x = set(0.999f), y = set(0.001f);                       \\
    for (int k = 0; k < 12; ++k) a[k] = set(0.1f * k);                    \\
    double begun = now();                                                 \\
    for (long i = 0; i < 4000000; ++i) {                                  \\
      _Pragma("GCC unroll 12") for (int k = 0; k < 12; ++k)               \\
          a[k] = fmadd(a[k], x, y);                                       \\
      __asm__ volatile("" ::: "memory");                                  \\
    }                                                                     \\
    double took = now() - begun;                                          \\
    volatile float kept = 0;                                              \\
    for (int k = 0; k < 12; ++k) kept += ((float*)&a[k])[0];              \\
    return 4000000.0 * 12 * 2 * sizeof(vector) / 4 / took / 1e9;          \\
  }
RATE(narrow, __m256, _mm256_set1_ps, _mm256_fmadd_ps, 0)
RATE(wide, __m512, _mm512_set1_ps, _mm512_fmadd_ps, 0)

int main(void) {
  double best[2] = {0, 0};
  for (int round = 0; round < 5; ++round) {
    double rates[2] = {narrow(), wide()};
    for (int k = 0; k < 2; ++k)
      if (rates[k] > best[k]) best[k] = rates[k];
  }
  printf("%f %f\\n", best[0], best[1]);
}
"""


def width(rates):
    """Return "full" or "half" for (rate of 256 bits, rate of 512 bits)."""
    narrow, wide = rates
    return "full" if wide > 1.5 * narrow else "half"


@functools.cache
def avx512(flags):
    """Return "none", "full", "half", or "unknown" where there is no compiler.

    Args:
        flags: str, the CPU's vector instructions.
    """
    if "avx512f" not in flags.split():
        return "none"
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None:
        return "unknown"
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "rate.c", Path(folder) / "rate"
        source.write_text(SOURCE, encoding="utf-8")
        options = ["-O2", "-mavx512f", "-mfma", "-o", str(program)]
        try:
            subprocess.run([compiler, str(source), *options], check=True, capture_output=True)
            found = subprocess.run([program], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
    return width(map(float, found.stdout.split()))
