"""The kernels compile by NVRTC, without a GPU: where its wheel is (`nvidia-cuda-nvrtc-cu12`)."""

import pytest

from keras_ssc.native.build import CannotBuild
from keras_ssc.native.gpu import build, nvrtc
from keras_ssc.native.gpu.convolution_plan import ROWS
from keras_ssc.native.gpu.gradient_plan import STEPS, TILES, WARPS

ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
CONVOLVE = [
    {"NT": columns, "MT": rows, "WM": 2, "WJ": 4, "BLOCKS": 1, "EPILOGUE": 1}
    for columns in (1, 2, 4)
    for rows in ROWS
]
WEIGHT_GRADIENT = [
    {"NT": columns, "MS": steps, "WARPS": WARPS[-1], "TILE": TILES[1], "BLOCKS": 1, "EPILOGUE": 1}
    for columns in (1, 2, 4)
    for steps in STEPS
]
EVERY = [("convolve", d) for d in CONVOLVE] + [("weight_gradient", d) for d in WEIGHT_GRADIENT]


@pytest.fixture(autouse=True)
def _nvrtc():
    try:
        nvrtc.library()
    except CannotBuild as error:
        pytest.skip(str(error))


def compiled(kernel, defines, bfloat16, architecture):
    if architecture not in nvrtc.architectures():
        pytest.skip(f"NVRTC {nvrtc.version()} does not compile for {architecture}")
    together = 2 if bfloat16 and defines["NT"] == 1 else 1
    defines = {"BF16": int(bfloat16), "JG": together, **defines}
    return nvrtc.compile_kernel(kernel, defines, architecture)


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("kernel", "defines"), [EVERY[0], EVERY[-1]])
def test_kernels_compile_for_each_architecture(kernel, defines, architecture, bfloat16):
    cubin = compiled(kernel, defines, bfloat16, architecture)
    assert cubin.startswith(b"\x7fELF")
    assert kernel.encode() in cubin


@pytest.mark.campaign
@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("kernel", "defines"), EVERY)
def test_every_variant_compiles(kernel, defines, architecture, bfloat16):
    assert compiled(kernel, defines, bfloat16, architecture).startswith(b"\x7fELF")


def test_what_the_compiler_says_is_handed_on():
    with pytest.raises(CannotBuild, match=r"(?s)NVRTC failed for sm_90: .*error"):
        nvrtc.compile_kernel("convolve", {}, "sm_90")


def test_a_kernel_is_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSC_CACHE", str(tmp_path))
    monkeypatch.setattr(nvrtc, "compile_kernel", lambda *_: b"made")
    build.cubin.cache_clear()
    path = build.cubin("convolve", (("NT", 1),), "sm_90")
    assert path.read_bytes() == b"made"
    monkeypatch.setattr(nvrtc, "compile_kernel", lambda *_: pytest.fail("compiled twice"))
    build.cubin.cache_clear()
    assert build.cubin("convolve", (("NT", 1),), "sm_90") == path
    build.cubin.cache_clear()
