"""Exports in 16 and 8 bits: small, close to the model, read by their runtimes; the rest refused."""

import keras
import numpy as np
import pytest
from test_export import needs
from test_inference_model import lively

import keras_ssc
from keras_ssc.export._export import FORMATS
from keras_ssc.export.comparison import compare
from keras_ssc.export.sparse_layout import smallest_layout, sparse_layout, stored

L = keras.layers
ROUTES = [
    ("litert", "float16"),
    ("litert", "dynamic"),
    ("litert", "int8"),
    ("onnx", "int8"),
    ("openvino", "int8"),
]


def network(sparse=True):
    """A stem, two wide layers, a classifier."""
    x = inputs = keras.Input((8, 8, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(64, 3, padding="same", use_bias=False)(x)))
    for _ in range(2):
        if sparse:
            x = keras_ssc.SSCConv2D(64, 3, padding="same", g=8, p=3)(x)
        else:
            x = L.Conv2D(64, 3, padding="same")(x)
        x = L.ReLU()(L.BatchNormalization()(x))
    return lively(keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling2D()(x))))


def images(count=16):
    return np.random.default_rng(3).normal(size=(count, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.mark.parametrize(("format", "quantize"), ROUTES)
def test_quantized_file_is_small_and_close(model, tmp_path, format, quantize):
    needs(format)
    if format == "openvino":
        pytest.importorskip("nncf", reason="nncf is missing, which quantizes for OpenVINO")
    path, x = tmp_path / f"small{FORMATS[format].SUFFIX}", images()
    report = keras_ssc.export(model, path, format, quantize=quantize, calibration=x)
    (found,), expected = FORMATS[format].load(path)([x]), np.asarray(model(x, training=False))
    assert (report.quantize, report.images) == (quantize, 16)
    # Dense in 8 bits: more than 75,000, and OpenVINO's graph is text.
    assert report.bytes < (70_000 if format == "openvino" else 45_000)
    checked = compare([found], [expected])
    assert report.largest_difference == pytest.approx(checked.largest_difference, abs=1e-6)
    assert report.mean_difference == pytest.approx(checked.mean_difference, abs=1e-6)
    assert report.agreement == (found.argmax(1) == expected.argmax(1)).mean() > 0.8
    assert 0 < report.mean_difference < 0.02
    assert f"({quantize})" in str(report)
    assert f"Same class: {report.agreement:.1%}" in str(report)


def test_int8_file_shrinks_as_the_weights_do(tmp_path):
    needs("litert")
    sizes = []
    for sparse in (False, True):
        path = tmp_path / f"{sparse}.tflite"
        report = keras_ssc.export(
            network(sparse), path, "litert", quantize="int8", calibration=images()
        )
        sizes.append(report.bytes)
    dense, small = sizes
    weights = 2 * 9 * 64 * 64
    assert dense > weights
    # 0.906 of them are zeros; the places of the others, and DENSIFY's scales, take 0.06.
    assert dense - small > 0.84 * weights


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"quantize": "int4"}, "`quantize` must be one of.*int4"),
        ({"quantize": "int8", "format": "keras"}, '`quantize` goes with format="litert"'),
        ({"quantize": "float16", "format": "onnx"}, "`quantize` must be one of.*'int8'.*float16"),
        ({"quantize": "int8"}, r"`calibration` must be images.*quantize=\"int8\""),
        ({"calibration": np.zeros((4, 8, 8, 1))}, r"`calibration` must have the shape.*8, 8, 3"),
        ({"calibration": np.zeros((0, 8, 8, 3))}, "`calibration` must have the shape"),
        ({"calibration": [np.zeros((4, 8, 8, 3))] * 2}, r"`calibration` must be 1 array"),
        ({"calibration": np.full((4, 8, 8, 3), np.nan)}, "`calibration` must be finite"),
    ],
)
def test_refusals(model, tmp_path, arguments, words):
    arguments = {"format": "litert"} | arguments
    needs(arguments["format"])
    path = tmp_path / f"refused{FORMATS[arguments['format']].SUFFIX}"
    with pytest.raises(ValueError, match=words):
        keras_ssc.export(model, path, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_missing_quantizer_names_the_extra(model, tmp_path, monkeypatch):
    needs("openvino")
    monkeypatch.setattr(FORMATS["openvino"], "INT8_PACKAGES", {"absent": "nncf"})
    with pytest.raises(
        ImportError, match=r'quantize="int8" needs absent: pip install "keras-ssc\[nncf\]"'
    ):
        keras_ssc.export(
            model, tmp_path / "a.xml", "openvino", quantize="int8", calibration=images()
        )


def test_a_file_far_from_its_model_is_not_kept(model, tmp_path, monkeypatch):
    needs("litert")
    monkeypatch.setattr(FORMATS["litert"], "load", lambda path: lambda x: [np.ones((16, 10))])
    with pytest.raises(RuntimeError, match=r"on average, while `tolerance` is 0\.05"):
        keras_ssc.export(
            model, tmp_path / "a.tflite", "litert", quantize="float16", calibration=images()
        )
    assert not list(tmp_path.iterdir())


def test_calibration_images_also_compare_a_float_file(model, tmp_path):
    report = keras_ssc.export(model, tmp_path / "a.keras", "keras", calibration=images(40))
    assert (report.images, report.agreement, report.quantize) == (40, 1.0, None)


def expand(array, layout):
    """Rebuild an array from its stored rows, entry by entry."""
    values, live = stored(array, layout)
    rows, result = iter(values), np.zeros_like(array)
    sides = [array.shape[0] // layout.block, *array.shape[1:]]
    for before in np.ndindex(*(sides[axis] for axis in layout.before)):
        for place in range(sides[layout.listed]):
            position = np.ravel_multi_index(before, [sides[axis] for axis in layout.before])
            if not live[position if before else 0, place]:
                continue
            entries = iter(next(rows))
            for after in np.ndindex(*(sides[axis] for axis in layout.after)):
                where = dict(zip(layout.before, before, strict=True)) | {layout.listed: place}
                where |= dict(zip(layout.after, after, strict=True))
                index = [where[axis] for axis in range(array.ndim)]
                for entry in range(layout.block):
                    first = index[0] * layout.block + entry
                    result[(first, *index[1:])] = next(entries)
    assert next(rows, None) is None
    return result


@pytest.mark.parametrize("density", [0.05, 0.3])
@pytest.mark.parametrize("shape", [(8, 3, 3, 6), (12, 10)])
def test_layout_holds_every_entry(shape, density):
    random = np.random.default_rng(5)
    array = (random.integers(-9, 9, shape) * (random.random(shape) < density)).astype("int8")
    np.testing.assert_array_equal(expand(array, smallest_layout(array)), array)


def test_regular_zeros_cost_next_to_nothing():
    array = np.zeros((32, 3, 3, 16), "int8")
    array[:16, 0, 0] = array[16:, 1, 1] = 1
    layout = smallest_layout(array)
    assert layout.block == 16
    assert layout.bytes < 1.1 * array.sum()
    assert sparse_layout(np.ones((4, 4), "int8")) is None
