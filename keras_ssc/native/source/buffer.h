// Memory for a kernel's own use.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace keras_ssc {

// Floats on a 64-byte grid, not initialised. A whole vector may be read at the last one.
class Buffer {
 public:
  explicit Buffer(std::size_t floats)
      : data_((float*)std::aligned_alloc(64, (floats * 4 + 63) / 64 * 64 + 64), std::free) {}
  float* data() const { return data_.get(); }

 private:
  std::unique_ptr<float, void (*)(void*)> data_;
};

}  // namespace keras_ssc
