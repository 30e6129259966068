// The XLA custom call that launches a kernel on XLA's stream. It needs no CUDA headers and links no
// CUDA library: the few functions of the driver are declared here, and come from libcuda.so.1.
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

// From the CUDA driver API's reference.
typedef struct CUstream_st* CUstream;
typedef struct CUctx_st* CUcontext;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef unsigned long long CUdeviceptr;
constexpr int kMaxDynamicSharedSizeBytes = 8;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kMultiprocessorCount = 16;       // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
constexpr int kRelaxed = 2;                    // CU_STREAM_CAPTURE_MODE_RELAXED

struct Driver {
  int (*cuModuleLoadData)(CUmodule*, const void* image);
  int (*cuModuleGetFunction)(CUfunction*, CUmodule, const char* name);
  int (*cuFuncSetAttribute)(CUfunction, int attribute, int value);
  int (*cuOccupancyMaxActiveBlocksPerMultiprocessor)(int*, CUfunction, int threads, size_t shared);
  int (*cuLaunchKernel)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        unsigned shared, CUstream, void** arguments, void** extra);
  int (*cuStreamGetCtx)(CUstream, CUcontext*);
  int (*cuCtxPushCurrent_v2)(CUcontext);
  int (*cuCtxPopCurrent_v2)(CUcontext*);
  int (*cuCtxGetDevice)(int*);
  int (*cuDeviceGetAttribute)(int*, int attribute, int device);
  int (*cuMemsetD32Async)(CUdeviceptr, unsigned value, size_t count, CUstream);
  int (*cuThreadExchangeStreamCaptureMode)(int* mode);
  int (*cuGetErrorString)(int, const char**);
  std::string missing;

  Driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) missing = "libcuda.so.1, the NVIDIA driver, can't be loaded";
#define FIND(name)                                                  \
  name = library ? (decltype(name))dlsym(library, #name) : nullptr; \
  if (!name && missing.empty()) missing = "the NVIDIA driver has no " #name
    FIND(cuModuleLoadData);
    FIND(cuModuleGetFunction);
    FIND(cuFuncSetAttribute);
    FIND(cuOccupancyMaxActiveBlocksPerMultiprocessor);
    FIND(cuLaunchKernel);
    FIND(cuStreamGetCtx);
    FIND(cuCtxPushCurrent_v2);
    FIND(cuCtxPopCurrent_v2);
    FIND(cuCtxGetDevice);
    FIND(cuDeviceGetAttribute);
    FIND(cuMemsetD32Async);
    FIND(cuThreadExchangeStreamCaptureMode);
    FIND(cuGetErrorString);
#undef FIND
  }
};

const Driver& driver() {
  static const Driver one;
  return one;
}

struct Failed {
  std::string message;
};
void check(int result, const char* what) {
  if (!result) return;
  const char* text = nullptr;
  driver().cuGetErrorString(result, &text);
  throw Failed{std::string(what) + ": " + (text ? text : "unknown error of the CUDA driver")};
}

// A kernel in one context.
struct Kernel {
  CUfunction function = nullptr;
  int multiprocessors = 0;
  std::map<std::pair<int, int>, int> blocks;  // of a multiprocessor, for (threads, shared memory)
};

struct InContext {
  explicit InContext(CUcontext context) {
    check(driver().cuCtxPushCurrent_v2(context), "cuCtxPushCurrent");
  }
  ~InContext() {
    CUcontext popped;
    driver().cuCtxPopCurrent_v2(&popped);
  }
};

// XLA may record launches into a graph; then a module can be loaded only inside of this.
struct MayLoad {
  int mode = kRelaxed;
  MayLoad() { driver().cuThreadExchangeStreamCaptureMode(&mode); }
  ~MayLoad() { driver().cuThreadExchangeStreamCaptureMode(&mode); }
};

// Returns the kernel, and how many blocks the device runs at a time.
CUfunction find(CUstream stream, const std::string& path, const std::string& name, int threads,
                int shared, int* at_a_time) {
  static std::mutex mutex;
  static std::map<std::pair<CUcontext, std::string>, Kernel> kernels;
  std::lock_guard<std::mutex> lock(mutex);
  CUcontext context = nullptr;
  check(driver().cuStreamGetCtx(stream, &context), "cuStreamGetCtx");
  const InContext inside(context);
  Kernel& kernel = kernels[{context, path}];
  if (!kernel.function) {
    const MayLoad now;
    std::ifstream file(path, std::ios::binary);
    const std::string image((std::istreambuf_iterator<char>(file)), {});
    if (image.empty()) throw Failed{path + " can't be read"};
    CUmodule module;
    int device;
    check(driver().cuModuleLoadData(&module, image.data()), "cuModuleLoadData");
    check(driver().cuCtxGetDevice(&device), "cuCtxGetDevice");
    check(driver().cuDeviceGetAttribute(&kernel.multiprocessors, kMultiprocessorCount, device),
          "cuDeviceGetAttribute");
    check(driver().cuModuleGetFunction(&kernel.function, module, name.c_str()),
          "cuModuleGetFunction");
  }
  const auto known = kernel.blocks.find({threads, shared});
  int blocks = known == kernel.blocks.end() ? 0 : known->second;
  if (!blocks) {
    int most = shared;  // other launches of the kernel may need more
    for (const auto& [key, count] : kernel.blocks) most = std::max(most, key.second);
    check(driver().cuFuncSetAttribute(kernel.function, kMaxDynamicSharedSizeBytes, most),
          "cuFuncSetAttribute");
    check(driver().cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel.function, threads,
                                                               shared),
          "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    if (!blocks) throw Failed{name + " doesn't fit on this GPU"};
    kernel.blocks[{threads, shared}] = blocks;
  }
  *at_a_time = blocks * kernel.multiprocessors;
  return kernel.function;
}

// The arrays in the order of the kernel's arguments, the result, `struct Problem`.
//   grid   tiles, parts, phases, threads of a block, bytes of its shared memory, and whether the
//          result is cleared before
ffi::Error launch(CUstream stream, ffi::RemainingArgs arguments, ffi::Result<ffi::AnyBuffer> result,
                  std::string_view cubin, std::string_view kernel, ffi::Span<const int32_t> problem,
                  ffi::Span<const int32_t> grid) {
  try {
    const Driver& cuda = driver();
    if (!cuda.missing.empty()) throw Failed{cuda.missing};
    if (grid.size() != 6) throw Failed{"the grid needs six numbers"};
    const int32_t *size = grid.begin(), tiles = size[0], parts = size[1], phases = size[2];
    int at_a_time;
    const CUfunction function =
        find(stream, std::string(cubin), std::string(kernel), size[3], size[4], &at_a_time);
    std::vector<void*> pointers;
    for (size_t i = 0; i < arguments.size(); ++i)
      pointers.push_back(arguments.get<ffi::AnyBuffer>(i)->untyped_data());
    pointers.push_back(result->untyped_data());
    std::vector<void*> values;
    for (void*& pointer : pointers) values.push_back(&pointer);
    values.push_back((void*)problem.begin());
    if (size[5])
      check(cuda.cuMemsetD32Async((CUdeviceptr)result->untyped_data(), 0, result->size_bytes() / 4,
                                  stream),
            "cuMemsetD32Async");
    const int along = std::clamp(at_a_time / (parts * phases), 1, tiles);
    check(cuda.cuLaunchKernel(function, along, parts, phases, size[3], 1, 1, size[4], stream,
                              values.data(), nullptr),
          "cuLaunchKernel");
    return ffi::Error::Success();
  } catch (const Failed& failed) {
    return ffi::Error::Internal(failed.message);
  }
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(KerasSscLaunch, launch,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<CUstream>>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::string_view>("cubin")
                                  .Attr<std::string_view>("kernel")
                                  .Attr<ffi::Span<const int32_t>>("problem")
                                  .Attr<ffi::Span<const int32_t>>("grid"),
                              {ffi::Traits::kCmdBufferCompatible});

// Why nothing can be launched here, or nothing at all.
extern "C" const char* keras_ssc_missing_driver() { return driver().missing.c_str(); }
