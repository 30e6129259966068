"""The CUDA kernels without a GPU: their tables walked in NumPy, their source run on the CPU."""

import csv
import re

import gpu_walk
import numpy as np
import pytest
from gpu_cases import EXPECTED, H100, Case, pattern
from gpu_emulation import SOURCE, aligned, bfloat16, from_bfloat16, run

from keras_ssc.native.gpu import (
    blocks,
    convolution_plan,
    gradient_plan,
    launch,
    order,
    planning,
    tuned,
)
from keras_ssc.native.gpu.reads import Geometry
from keras_ssc.patterns import SSCPattern

NONE = np.zeros(0, np.float32)

CASES = {
    "(8, 7)": (pattern(), {}),
    "(8, 3)": (pattern(p=3), {}),
    "(8, 4)": (pattern(p=4), {}),
    "(16, 5)": (pattern(g=16, p=5), {}),
    "wider": (pattern(64, 128), {}),
    "narrower": (pattern(128, 64, p=3), {"batch": 1}),
    "few channels": (pattern(16, 24, g=4, p=3), {}),
    "8 channels": (pattern(8, 8, g=2, p=1), {"batch": 1}),
    "stride 2": (pattern(32, 64, p=3), {"strides": 2, "size": (7, 6)}),
    "stride 2, valid": (pattern(64, 32), {"strides": 2, "padding": "valid", "size": (8, 7)}),
    "stride 3": (pattern(32, 32, g=4, p=3), {"strides": 3, "size": (8, 9)}),
    "dilation": (pattern(32, 32), {"dilation": 2, "size": (7, 8)}),
    "valid": (pattern(32, 32), {"padding": "valid"}),
    "padded": (
        pattern(32, 64, p=3),
        {"strides": 2, "padding": ((1, 1), (1, 1)), "size": (8, 6)},
    ),
    "padded unevenly": (pattern(32, 32), {"padding": ((0, 2), (3, 1))}),
    "one pixel": (pattern(32, 32), {"size": (1, 1), "batch": 5}),
    "a wide map": (pattern(32, 32), {"size": (3, 150), "batch": 1}),
    "many images": (pattern(32, 32), {"size": (4, 4), "batch": 17}),
    "5x5": (pattern(32, 32, g=4, p=3, kernel_size=5), {"size": (7, 6), "batch": 2}),
    "1x3": (pattern(32, 32, g=4, p=3, kernel_size=(1, 3)), {}),
    "point-wise, 2": (pattern(64, 64, g=0, p=2, kernel_size=1), {}),
    "point-wise, 4": (pattern(64, 32, g=0, p=4, kernel_size=1), {"strides": 2}),
    "3x3 without a KxK part": (pattern(32, 32, g=0, p=2), {}),
    "without a 1x1 part": (pattern(32, 32, g=4, p=0), {}),
    "shift by blocks": (pattern(64, 64, p=3, shift="block"), {"batch": 1}),
    "parity by turns": (pattern(64, 64, p=3, parity="alternate"), {"batch": 1}),
    "all taps": (pattern(32, 32, dense_taps=True), {"batch": 1}),
    "offset of sets": (pattern(64, 64, set_offset=3), {"batch": 1}),
    "g does not divide M": (pattern(40, 48, g=7, p=5), {"batch": 1}),
}


def walked(case, **settings):
    return case.passes(gpu_walk.convolve, gpu_walk.weight_gradient, **settings)


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_tables_give_values_and_gradients(name, itemsize):
    own, settings = CASES[name]
    case = Case(own, **settings)
    found = walked(case, itemsize=itemsize)
    for array in EXPECTED:
        np.testing.assert_array_equal(found[array], getattr(case, array), err_msg=array)


@pytest.mark.parametrize("shared", [101376, 65536, 40000])
def test_tables_of_a_small_shared_memory(shared):
    case = Case(pattern(128, 128, p=3), batch=2)
    found = walked(case, itemsize=2, shared=shared)
    for array in EXPECTED:
        np.testing.assert_array_equal(found[array], getattr(case, array), err_msg=array)


# The kernels' own source. Each compiles for a second or two, so they are few.


def emulated(case, itemsize, **fields):
    """All passes by the source of the kernels; y and dx are NaN before."""
    values = bfloat16 if itemsize == 2 else lambda array: np.ascontiguousarray(array, np.float32)

    def convolve(own, x, packed):
        p = own.problem
        shape = (p["batch"], p["out_rows"], p["out_columns"], p["outputs"])
        y = np.full(shape, np.nan, np.float32)
        y = aligned((y.view(np.uint32) >> 16).astype(np.uint16) if itemsize == 2 else y)
        y = run(own, ([values(x), values(packed)], [NONE, NONE]), y, **fields)
        return from_bfloat16(y) if itemsize == 2 else y

    def weight_gradient(own, x, dy):
        return run(own, ([values(x), values(dy)], []), np.zeros(case_sums(own), np.float32))

    return convolve, weight_gradient


def case_sums(own):
    return len(own.tables[0]) * 16 * 8 * own.defines["NT"]


@pytest.mark.parametrize("itemsize", [2, 4])
def test_source_gives_values_and_gradients(itemsize):
    for own, settings in (
        (pattern(), {"batch": 11, "size": (8, 8)}),  # three tiles for each block of threads
        (pattern(p=3), {"strides": 2, "size": (7, 6)}),
        (pattern(g=0, p=2, kernel_size=1), {"batch": 2}),
    ):
        case = Case(own, **settings)
        found = case.passes(*emulated(case, itemsize), itemsize)
        for array in EXPECTED:
            np.testing.assert_array_equal(found[array], getattr(case, array), err_msg=array)


@pytest.mark.campaign
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("shared", [232448, 101376, 50000])
@pytest.mark.parametrize("name", CASES)
def test_source_gives_values_and_gradients_of_all_cases(name, shared, itemsize):
    own, settings = CASES[name]
    case = Case(own, **settings)
    found = case.passes(*emulated(case, itemsize), itemsize, shared)
    for array in EXPECTED:
        np.testing.assert_array_equal(found[array], getattr(case, array), err_msg=array)


@pytest.mark.parametrize("itemsize", [2, 4])
def test_source_adds_bias_and_residual_and_cuts_at_zero(itemsize):
    case = Case(pattern(), batch=2)
    plan = planning.plan(
        convolution_plan,
        order.weight_places(case.pattern),
        case.geometry.forward(),
        case.batch,
        itemsize,
        232448,
    )
    random = np.random.default_rng(1)
    bias = random.integers(-9, 9, 64).astype(np.float32)
    residual = random.integers(-9, 9, case.y.shape).astype(np.float32)
    values = bfloat16 if itemsize == 2 else lambda array: np.ascontiguousarray(array, np.float32)
    y = aligned(np.full(case.y.shape, 0xFFFF if itemsize == 2 else np.nan, values(bias).dtype))
    packed = np.append(case.weights, 0)[plan.packing]
    arrays = [values(case.x[..., case.inputs]), values(packed)]
    run(
        plan.launch.with_epilogue(),
        (arrays, [values(bias), values(residual)]),
        y,
        has_bias=1,
        has_residual=1,
        relu=1,
    )
    y = from_bfloat16(y) if itemsize == 2 else y
    expected = np.maximum(case.y[..., case.outputs] + bias + residual, 0)
    np.testing.assert_array_equal(y, expected)


def test_source_rounds_to_tf32():
    """Of float32 the tensor cores take ten bits of the fraction; 1 + 2^-11 is rounded up."""
    case = Case(pattern(g=0, p=2, kernel_size=1), batch=1)
    case.x = np.full_like(case.x, 1 + 2.0**-11)
    case.weights = np.ones_like(case.weights)
    found = case.passes(*emulated(case, 4), 4)
    np.testing.assert_array_equal(found["y"], 32 * (1 + 2.0**-10))


def test_problem_has_the_fields_of_the_source():
    text = (SOURCE / "problem.h").read_text(encoding="utf-8")
    text = re.sub(r"//.*", "", text[text.index("struct Problem") :])
    fields = re.findall(r"int ([\w, ]+);", text)
    assert [name.strip() for line in fields for name in line.split(",")] == list(launch.FIELDS)


def test_one_neighbouring_class_needs_no_more_products_than_it_has_weights():
    """p | (g - 1): from 128 channels on, a job has the live blocks of one class and no others."""
    for channels in (128, 256):
        own = SSCPattern(channels, channels, 3, 8, 7)
        places = order.weight_places(own)
        reads = Geometry((3, 3), (1, 1), "same", (1, 1), (8, 8)).forward()
        steps = blocks.steps_of(blocks.live_of(places, 8), reads.phases, 8, channels // 128)
        done = len(steps.job) * 2 * 8 * 8 * steps.columns
        assert done <= 1.1 * own.weight_count


# The table of plans that were measured.


def test_a_measured_plan_is_taken_and_gives_the_same_values():
    case = Case(pattern(), size=(14, 14), batch=2)
    numbers = tuned.numbers_of(case.pattern, (1, 1), (56, 56), "bfloat16", "forward", 256)
    places, reads = order.weight_places(case.pattern), case.geometry.forward()
    plan = planning.plan(convolution_plan, places, reads, case.batch, 2, H100, numbers)
    for name in ("columns", "rows", "along_pixels", "along_jobs"):
        macro = {"columns": "NT", "rows": "MT", "along_pixels": "WM", "along_jobs": "WJ"}[name]
        assert plan.launch.defines[macro] == numbers[name]
    packed = np.append(case.weights, 0)[plan.packing]
    y = gpu_walk.convolve(plan.launch, case.x[..., case.inputs], packed)
    np.testing.assert_array_equal(y, case.y[..., case.outputs])


def test_a_measured_plan_that_does_not_fit_is_left():
    case = Case(pattern(128, 128), batch=2)
    places, reads = order.weight_places(case.pattern), case.geometry.forward()
    numbers = {"columns": 4, "parts": 1, "stages": 2, "along_pixels": 2, "along_jobs": 4,
               "rows": 7, "tile_images": 99, "tile_rows": 6, "tile_columns": 5,
               "at_a_time": 1}  # fmt: skip
    chosen = planning.plan(convolution_plan, places, reads, case.batch, 2, H100)
    plan = planning.plan(convolution_plan, places, reads, case.batch, 2, H100, numbers)
    assert plan.launch.problem == chosen.launch.problem


def test_every_row_of_the_table_is_a_plan_of_its_layer():
    """What was measured fits, and is told from the others of its pass by its numbers."""
    with tuned.TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 30
    for row in rows:
        sizes = [int(row[name]) for name in ("in_channels", "filters")]
        own = SSCPattern(*sizes, 3, int(row["g"]), int(row["p"]))
        strides, size = (tuple(map(int, re.findall(r"\d+", row[n]))) for n in ("strides", "map"))
        numbers = tuned.numbers_of(own, strides, size, row["dtype"], row["pass"], 256)
        geometry = Geometry((3, 3), strides, "same", (1, 1), size)
        places = order.weight_places(own)
        kind = gradient_plan if row["pass"] == "by_weights" else convolution_plan
        reads = geometry.by_input() if row["pass"] == "by_input" else geometry.forward()
        places = places.transpose(0, 2, 1) if row["pass"] == "by_input" else places
        choice = kind.measured_choice(numbers, places, reads, 2, H100)
        assert kind.numbers_of(choice) == numbers
    assert tuned.numbers_of(own, strides, (999, 999), "bfloat16", "forward", 256) is None
    assert tuned.numbers_of(own, strides, size, "bfloat16", "forward", 8) is None
