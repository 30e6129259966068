// What XLA hands to a handler, and how a handler says what is wrong.
#pragma once

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "threads.h"

namespace keras_ssc {

namespace ffi = xla::ffi;

struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool fine, const char* message) {
  if (!fine) throw Wrong(message);
}

// Asks for large pages under a result. XLA gives the memory of a program back after every run, so
// the next one meets each page anew, which in small pages takes a third of a training step.
inline void prefer_large_pages(void* data, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t kPage = 2 << 20;
  if (bytes < kPage / 2) return;
  const auto first =
      (std::uintptr_t)data / kPage * kPage;  // a hint, so the neighbours may share it
  const auto last = ((std::uintptr_t)data + bytes + kPage - 1) / kPage * kPage;
  madvise((void*)first, last - first, MADV_HUGEPAGE);
#endif
}

// float32 arrays in and out, and attributes by name.
struct Call {
  const ffi::ThreadPool& threads;
  const ffi::Dictionary& attributes;
  const ffi::RemainingArgs& arguments;
  const ffi::RemainingRets& results;

  template <typename T>
  T attribute(const char* name) const {
    const auto value = attributes.get<T>(name);
    require(value.has_value(), name);
    return *value;
  }

  ffi::Buffer<ffi::F32> argument(int i) const {
    const auto buffer = arguments.get<ffi::Buffer<ffi::F32>>(i);
    require(buffer.has_value(), "an argument is missing or not of float32");
    return *buffer;
  }
  const float* in(int i) const { return argument(i).typed_data(); }
  int count() const { return (int)arguments.size(); }

  ffi::Buffer<ffi::F32> result(int i) const {
    auto buffer = results.get<ffi::Buffer<ffi::F32>>(i);
    require(buffer.has_value(), "a result is missing or not of float32");
    return **buffer;
  }
  float* out(int i) const {
    auto buffer = result(i);
    prefer_large_pages(buffer.typed_data(), buffer.size_bytes());
    return buffer.typed_data();
  }
};

template <typename Numbers>
bool has_shape(const ffi::Buffer<ffi::F32>& buffer, const Numbers& sizes) {
  const auto dimensions = buffer.dimensions();
  return std::equal(dimensions.begin(), dimensions.end(), sizes.begin(), sizes.end());
}

// No exception may reach XLA.
template <void (*body)(const Call&)>
ffi::Error guarded(ffi::ThreadPool threads, ffi::Dictionary attributes,
                   ffi::RemainingArgs arguments, ffi::RemainingRets results) {
  try {
    body({threads, attributes, arguments, results});
    return ffi::Error::Success();
  } catch (const Wrong& wrong) {
    return ffi::Error::InvalidArgument(wrong.what());
  } catch (const std::exception& error) {
    return ffi::Error::Internal(error.what());
  }
}

#define KERAS_SSC_HANDLER(name, body) \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(      \
      name, keras_ssc::guarded<body>, \
      xla::ffi::Ffi::Bind().Ctx<xla::ffi::ThreadPool>().Attrs().RemainingArgs().RemainingRets())

}  // namespace keras_ssc
