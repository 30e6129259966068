"""Launches of our kernels on PyTorch's arrays and stream, and their device times."""

import ctypes

import numpy as np

from keras_ssc.native.gpu.launch import FIELDS

SHARED, REGISTERS, SPILLED = 8, 4, 3  # attributes of a function in the CUDA driver API


class Driver:
    """The CUDA driver's launches, on PyTorch's stream and arrays."""

    def __init__(self):
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self.functions = {}
        self.allowed = {}

    def call(self, name, *arguments):
        """Call a function of the driver, and check what it returns."""
        if code := getattr(self.cuda, name)(*arguments):
            raise RuntimeError(f"{name} returned {code}")

    def function(self, path, name):
        """The kernel of a cubin."""
        if path not in self.functions:
            module, function = ctypes.c_void_p(), ctypes.c_void_p()
            with open(path, "rb") as file:
                self.call("cuModuleLoadData", ctypes.byref(module), file.read())
            self.call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
            self.functions[path] = function
        return self.functions[path]

    def allow(self, function, shared):
        """Let all launches of a kernel have at least so many bytes of shared memory."""
        if shared > self.allowed.get(function.value, 0):
            self.call("cuFuncSetAttribute", function, SHARED, shared)
            self.allowed[function.value] = shared

    def attribute(self, function, number):
        """A number about a kernel."""
        value = ctypes.c_int()
        self.call("cuFuncGetAttribute", ctypes.byref(value), number, function)
        return value.value


class Pass:
    """One plan, ready to be launched as `handler.cc` does."""

    def __init__(self, torch, driver, plan, path):
        self.torch, self.driver, self.launch = torch, driver, plan.launch
        self.function = driver.function(path, plan.launch.kernel)
        driver.allow(self.function, plan.launch.shared)
        blocks = ctypes.c_int()
        driver.call(
            "cuOccupancyMaxActiveBlocksPerMultiprocessor", ctypes.byref(blocks), self.function,
            plan.launch.threads, ctypes.c_size_t(plan.launch.shared),
        )  # fmt: skip
        self.blocks = blocks.value
        own = plan.launch
        device = torch.cuda.get_device_properties(0).multi_processor_count
        along = self.blocks * device // (own.parts * own.phases)
        self.grid = (max(1, min(along, own.tiles)), own.parts, own.phases)
        self.tables = [torch.from_numpy(np.array(t, "int32")).cuda() for t in own.tables]
        self.none = torch.zeros(4, device="cuda")
        self.problem = (ctypes.c_int * len(FIELDS))(*own.numbers().tolist())

    def __call__(self, *arrays):
        """Launch: (x, weights, y) or (x, dy, sums)."""
        behind = [self.none] * 2 if self.launch.kernel == "convolve" else []
        every = [*arrays[:2], *self.tables, *behind, arrays[2]]
        pointers = [ctypes.c_void_p(array.data_ptr()) for array in every]
        arguments = [ctypes.cast(ctypes.byref(p), ctypes.c_void_p) for p in pointers]
        arguments.append(ctypes.cast(self.problem, ctypes.c_void_p))
        if self.launch.kernel == "weight_gradient":
            arrays[2].zero_()
        self.driver.call(
            "cuLaunchKernel", self.function, *self.grid, self.launch.threads, 1, 1,
            self.launch.shared, ctypes.c_void_p(self.torch.cuda.current_stream().cuda_stream),
            (ctypes.c_void_p * len(arguments))(*arguments), None,
        )  # fmt: skip


def graph_time(torch, calls, replays):
    """Median device time of a call in microseconds: a CUDA graph of all calls, replayed."""
    calls[0]()
    torch.cuda.synchronize()
    graph, taken, kept = torch.cuda.CUDAGraph(), [], []
    with torch.cuda.graph(graph):
        kept += [call() for call in calls]
    for turn in range(replays + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        taken += [start.elapsed_time(end) * 1e3 / len(calls)] if turn else []
    return float(np.median(taken))
