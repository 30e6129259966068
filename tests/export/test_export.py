"""keras_ssc.export: each format read by its own runtime, and nothing left after a refusal."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from test_inference_model import images, lively, network

import keras_ssc
from keras_ssc.export._export import FORMATS

L = keras.layers


def needs(format):
    """Skip where a package of the format is missing, and say which."""
    if format != "keras" and keras.backend.backend() != "tensorflow":
        pytest.skip(f"{format} is written with Keras's TensorFlow backend only")
    for package in FORMATS[format].PACKAGES:
        pytest.importorskip(package, reason=f'{package} is missing, which format="{format}" needs')


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture
def exported(model, tmp_path):
    """Export the network; returns (path, report)."""

    def call(format, **options):
        needs(format)
        path = tmp_path / f"network{FORMATS[format].SUFFIX}"
        return path, keras_ssc.export(model, path, format, **options)

    return call


def expected(model, batch):
    x = images(model, batch)
    return x, np.asarray(model(x, training=False))


@pytest.mark.parametrize("format", FORMATS)
def test_report_and_outputs_of_every_format(exported, model, format, tmp_path):
    path, report = exported(format)
    assert (report.path, report.format) == (path, format)
    assert 0 <= report.largest_difference < 1e-5
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert report.bytes == sum(file.stat().st_size for file in files)
    assert not list(tmp_path.glob(".writing-*"))
    serve = FORMATS[format].load(path)
    for batch in (1, 4):
        x, y = expected(model, batch)
        np.testing.assert_allclose(serve([x])[0], y, atol=1e-5)


SERVE = """
import sys
import numpy as np
import tensorflow as tf
assert "keras_ssc" not in sys.modules
loaded = tf.saved_model.load(sys.argv[1])
serve = loaded.signatures["serving_default"]
for batch in (1, 2, 5):
    x = np.load(sys.argv[2])[:batch]
    y = serve(input_0=tf.constant(x))["output_0"]
    np.testing.assert_allclose(y, np.load(sys.argv[3])[:batch], atol=1e-5)
graph = loaded.signatures["serving_default"].graph.as_graph_def()
operations = {node.op for function in graph.library.function for node in function.node_def}
print(sorted(operations))
"""


def test_saved_model_is_served_by_tensorflow_alone(exported, model, tmp_path):
    path, _ = exported("tf_saved_model")
    x, y = expected(model, 5)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    arguments = [path, tmp_path / "x.npy", tmp_path / "y.npy"]
    done = subprocess.run(
        [sys.executable, "-c", SERVE, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Conv2D" in done.stdout
    assert "Ssc" not in done.stdout
    assert "FusedBatchNorm" not in done.stdout


def test_onnx_file_is_checked_and_has_standard_operations(exported):
    path, _ = exported("onnx")
    import onnx

    file = onnx.load(path)
    onnx.checker.check_model(file, full_check=True)
    assert {node.domain for node in file.graph.node} <= {"", "ai.onnx"}
    assert "BatchNormalization" not in {node.op_type for node in file.graph.node}
    assert [entry.name for entry in file.graph.input] == ["input_0"]
    assert [entry.name for entry in file.graph.output] == ["output_0"]


def test_litert_file_has_sparse_kernels_and_no_foreign_operation(exported):
    path, _ = exported("litert")
    from ai_edge_litert.interpreter import Interpreter

    operations = {one["op_name"] for one in Interpreter(str(path))._get_ops_details()}
    assert {"DENSIFY", "CONV_2D"} <= operations
    assert not [name for name in operations if name.startswith(("Flex", "CUSTOM"))]


@pytest.mark.parametrize("format", ["tf_saved_model", "keras", "litert", "onnx"])
def test_file_of_a_wide_network_is_a_seventh_of_the_dense_one(format, tmp_path):
    needs(format)
    sizes = {}
    for g, p in ((8, 3), (1, 0)):
        x = inputs = keras.Input((4, 4, 256))
        for _ in range(3):
            if g > 1:
                x = keras_ssc.SSCConv2D(256, 3, padding="same", g=g, p=p, use_bias=False)(x)
            else:
                x = L.Conv2D(256, 3, padding="same", use_bias=False)(x)
            x = L.ReLU()(L.BatchNormalization()(x))
        path = tmp_path / f"g{g}{FORMATS[format].SUFFIX}"
        sizes[g] = keras_ssc.export(lively(keras.Model(inputs, x)), path, format).bytes
    assert sizes[8] < 0.15 * sizes[1]


@pytest.mark.parametrize("format", FORMATS)
def test_several_inputs_and_outputs(format, tmp_path):
    needs(format)
    inputs = {"b": keras.Input((6, 6, 4), name="b"), "a": keras.Input((3,), name="a")}
    x = keras_ssc.SSCConv2D(4, 3, g=2, p=1)(inputs["b"])
    outputs = [L.Dense(2)(inputs["a"]), L.GlobalMaxPooling2D()(x), inputs["a"] + 1.0]
    model = lively(keras.Model(inputs, outputs))
    path = tmp_path / f"several{FORMATS[format].SUFFIX}"
    assert keras_ssc.export(model, path, format).largest_difference < 1e-5


def test_existing_path_is_kept_unless_overwrite(model, tmp_path):
    path = tmp_path / "network.keras"
    path.write_text("precious")
    with pytest.raises(ValueError, match=r"`path` must not exist, unless overwrite=True.*network"):
        keras_ssc.export(model, path, "keras")
    assert path.read_text() == "precious"
    keras_ssc.export(model, path, "keras", overwrite=True)
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_no_saved_model_is_never_replaced(model, tmp_path):
    needs("tf_saved_model")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("precious")
    with pytest.raises(ValueError, match="free or a SavedModel"):
        keras_ssc.export(model, tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "letter.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"format": "coreml"}, "`format` must be one of.*coreml"),
        ({"path": "network.txt"}, "`path` must end in '.keras'"),
        ({"path": "nowhere/network.keras"}, "folder of `path` must exist"),
        ({"tolerance": 0}, "`tolerance` must be a positive number"),
        ({"tolerance": float("nan")}, "`tolerance` must be a positive number"),
    ],
)
def test_refuses_with_a_clear_word(model, tmp_path, arguments, words):
    arguments = {"path": "network.keras", "format": "keras"} | arguments
    with pytest.raises(ValueError, match=words):
        keras_ssc.export(model, tmp_path / arguments.pop("path"), **arguments)
    assert not list(tmp_path.iterdir())


def test_refuses_what_is_no_functional_model(tmp_path):
    class Own(keras.Model):
        def call(self, x):
            return x

    own = Own(name="own")
    own(np.zeros((1, 3), "float32"))
    with pytest.raises(ValueError, match=r"functional or Sequential model, built.*'own' \(Own\)"):
        keras_ssc.export(own, tmp_path / "own.keras", "keras")
    with pytest.raises(ValueError, match="functional or Sequential model, built"):
        keras_ssc.export(keras.Sequential([L.Dense(1)]), tmp_path / "new.keras", "keras")
    with pytest.raises(TypeError, match=r"`model` must be a keras\.Model"):
        keras_ssc.export(L.Dense(1), tmp_path / "layer.keras", "keras")
    assert not list(tmp_path.iterdir())


def test_a_lambda_is_named(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, L.Lambda(lambda x: 2 * x, name="twice")(inputs))
    with pytest.raises(ValueError, match=r"'twice' \(Lambda\) can't be copied"):
        keras_ssc.export(model, tmp_path / "model.keras", "keras")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_extra(model, tmp_path, monkeypatch):
    needs("tf_saved_model")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for format, suffix in (("litert", ".tflite"), ("onnx", ".onnx"), ("openvino", ".xml")):
        monkeypatch.setattr(FORMATS[format], "PACKAGES", {"absent": format})
        with pytest.raises(ImportError, match=rf'absent: pip install "keras-ssc\[{format}\]"'):
            keras_ssc.export(model, tmp_path / f"model{suffix}", format)
    assert not list(tmp_path.iterdir())


def test_wrong_outputs_leave_no_file(model, tmp_path, monkeypatch):
    path = tmp_path / "network.keras"
    monkeypatch.setattr(FORMATS["keras"], "load", lambda path: lambda x: [np.full((2, 5), np.nan)])
    with pytest.raises(RuntimeError, match="outputs differ by nan"):
        keras_ssc.export(model, path, "keras")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "network.keras"
    path.write_text("old")

    def write(model, path):
        path.write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(FORMATS["keras"], "write", write)
    with pytest.raises(OSError, match="No space left"):
        keras_ssc.export(model, path, "keras", overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_operation_that_the_format_does_not_know_is_a_clear_word(tmp_path):
    needs("onnx")
    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, keras.ops.svd(inputs, compute_uv=False))
    with pytest.raises((ValueError, RuntimeError), match=r"`model` can't be written as onnx"):
        keras_ssc.export(model, tmp_path / "model.onnx", "onnx")
    assert not list(tmp_path.iterdir())
