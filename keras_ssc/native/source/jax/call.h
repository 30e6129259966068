// What XLA hands to a handler, and how a handler says what is wrong.
#pragma once

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
  float* out(int i) const { return result(i).typed_data(); }
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

#define KERAS_SSC_HANDLER(name, body)                             \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, keras_ssc::guarded<body>,   \
                                xla::ffi::Ffi::Bind()             \
                                    .Ctx<xla::ffi::ThreadPool>()  \
                                    .Attrs()                      \
                                    .RemainingArgs()              \
                                    .RemainingRets())

}  // namespace keras_ssc
