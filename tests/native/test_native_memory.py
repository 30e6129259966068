"""No native pass reads or writes outside its arrays: the kernels alone, built with sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from inference_models import MODELS, images, lively

pytest.importorskip("tensorflow")

import keras_ssc
from keras_ssc.layers import InferenceNetwork
from keras_ssc.layers.network_program import NetworkProgram
from keras_ssc.layers.network_steps import append
from keras_ssc.model_graph import calls_of
from keras_ssc.native.build import SOURCE
from keras_ssc.native.instruction_sets import LOOPS, loops

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
PROGRAMS = {  # of which files
    "every_size": ("every_size", "every_depthwise", "every_order", "every_normalization"),
    "every_network": ("every_network",),
}
pytestmark = pytest.mark.campaign


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the programs."""
    folder = tmp_path_factory.mktemp("sanitizers")
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if not compiler:
        pytest.skip("no C++ compiler")
    (folder / "empty.cc").write_text("int main() {}\n")
    tried = [compiler, *SANITIZERS, "empty.cc", "-o", "empty"]
    if subprocess.run(tried, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no sanitizers")
    compile_all(compiler, folder)
    return folder


def compile_all(compiler, folder):
    """Compile the kernels without any binding, a few files at a time, and link the programs."""
    files = [name for names in PROGRAMS.values() for name in names]
    commands = [[str(Path(__file__).parent / f"{name}.cc"), f"-I{SOURCE}"] for name in files]
    commands = [[*command, "-O1"] for command in commands]
    for source in sorted(SOURCE.glob("*.cc")):
        if source.stem in LOOPS:
            # Not optimised: what is read and written is the same. Vectors need not be aligned.
            plain = [str(source), "-O0", "-fno-sanitize=alignment"]
            sets = loops(compiler, source.stem)
            commands += [[*plain, *options] for options in sets.values()]
        else:
            commands.append([str(source), "-O1"])
    objects = [f"{i}.o" for i in range(len(commands))]
    common = [compiler, "-std=gnu++17", "-g", *SANITIZERS, "-c"]
    for first in range(0, len(commands), os.cpu_count() or 1):
        part = slice(first, first + (os.cpu_count() or 1))
        running = [
            subprocess.Popen([*common, *command, "-o", name], cwd=folder)
            for command, name in zip(commands[part], objects[part], strict=True)
        ]
        assert [process.wait() for process in running] == [0] * len(running)
    of_file, kernels = dict(zip(files, objects, strict=False)), objects[len(files) :]
    for program, names in PROGRAMS.items():
        own = [of_file[name] for name in names]
        link = [compiler, *SANITIZERS, *own, *kernels, "-pthread", "-o", program]
        subprocess.run(link, cwd=folder, check=True)


def run(*command):
    """Run a program; return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_size_under_sanitizers(folder):
    count, ending = run(folder / "every_size").split()[-2:]
    assert ending == "settings"
    assert int(count) > 400


def test_networks_under_sanitizers(folder):
    models = {name: lively(make()) for name, make in MODELS.items()}
    builders = keras_ssc.applications
    models |= {
        "ResNet20": lively(builders.ResNet20(input_shape=(17, 12, 3), sparsity=0.9)),
        "ShuffleNetV2": lively(builders.ShuffleNetV2(input_shape=(32, 32, 3), classes=3)),
    }
    fast = [keras_ssc.optimize_for_inference(model) for model in models.values()]
    networks = [
        layer.network
        for model in fast
        for layer in model.layers
        if isinstance(layer, InferenceNetwork)
    ]
    assert len(networks) > 10
    with open(folder / "networks", "wb") as file:
        for network in networks:
            write(file, network)
    assert run(folder / "every_network", folder / "networks") == f"{len(networks)} networks\n"


def write(file, network):
    """Write what `every_network` reads."""
    inputs, outputs, calls = calls_of(network)
    inputs, outputs = keras.tree.flatten(inputs), keras.tree.flatten(outputs)
    program = NetworkProgram(inputs, outputs, calls, append)
    for values in (program.integers, *(np.asarray(weight) for weight in program.weights)):
        array(file, values)
    batches = (1, 2, 7)
    array(file, [len(batches)])
    for batch in batches:
        sizes = [(*(size or 9 for size in x.shape[1:3]), x.shape[-1]) for x in inputs]
        x = [images(batch, size, seed) for seed, size in enumerate(sizes)]
        expected = keras.tree.flatten(network(x if len(x) > 1 else x[0], training=False))
        array(file, [batch, *(n for size in sizes for n in size)])
        for values in (*x, *expected):
            array(file, values)


def array(file, values):
    """Write an array, flat, behind its length."""
    values = np.asarray(values)
    values = values.astype("float32" if values.dtype.kind == "f" else "int32")
    file.write(np.int64(values.size).tobytes() + values.tobytes())
