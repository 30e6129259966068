"""Long use changes nothing: memory, traces, threads, processes, repeated runs.

`make steady` runs the long forms (2,000 training steps, 10,000 calls) and prints what it saw.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssc
from keras_ssc.datasets import Batches

STATUS = "/proc/self/statm"
pytestmark = pytest.mark.jax_long
# Short for every change, long by hand.
LENGTHS = [1, pytest.param(10, marks=pytest.mark.campaign)]
# A leak of one batch of one layer's output in every call would be 40 MB in the short form.
MEGABYTES = 12


class Traces(keras.layers.Layer):
    """Counts how often the model's function is traced: Python runs only then."""

    count = 0

    def call(self, inputs):
        self.count += 1
        return inputs


def network(seed=0):
    """Two sparse layers, normalised, on 8 x 8 images of any number."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            Traces(),
            keras.layers.Conv2D(16, 3, padding="same"),
            keras_ssc.layers.FusedBatchNormalization(activation="relu"),
            keras_ssc.SSCConv2D(16, 3, padding="same", activation="relu", g=4, p=3),
            keras_ssc.SSCConv2D(32, 3, strides=2, g=8, p=0),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def compiled(seed=0):
    model = network(seed)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def images(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 8, 8, 3)).astype("float32"), random.integers(0, 10, count)


def resident():
    """Megabytes of this process in memory."""
    gc.collect()
    with open(STATUS) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def watch(name, repeat, model, warm, count):
    """Call `repeat(number)` again and again; memory and traces must not grow after `warm` calls."""
    for number in range(warm):
        repeat(number)
    traces, seen = model.layers[0].count, [resident()]
    for part in range(4):
        for number in range(count // 4):
            repeat(part * count // 4 + number)
        seen.append(resident())
    print(
        f"\n{name}: {warm} + {count} times, {traces} traces, MB in memory after each quarter: "
        + ", ".join(f"{value:.1f}" for value in seen)
    )
    assert model.layers[0].count == traces
    assert seen[-1] - seen[0] < MEGABYTES


needs_status = pytest.mark.skipif(not os.path.exists(STATUS), reason=f"no {STATUS} here")


@needs_status
@pytest.mark.parametrize("long", LENGTHS)
def test_training_keeps_its_memory(long):
    """Batches of five sizes, in turns."""
    model = compiled()
    sizes = (32, 7, 16, 1, 25)
    batches = [images(size, seed) for seed, size in enumerate(sizes)]
    watch(
        "training steps",
        lambda number: model.train_on_batch(*batches[number % len(batches)]),
        model,
        warm=50,
        count=200 * long,
    )


@needs_status
@pytest.mark.parametrize("long", LENGTHS)
def test_inference_keeps_its_memory(long):
    """Batches of 1 to 16 images, in turns."""
    model = compiled()
    x, _ = images(16)
    model.predict_on_batch(x)
    watch(
        "inference calls",
        lambda number: model.predict_on_batch(x[: 1 + number % 16]),
        model,
        warm=100,
        count=1000 * long,
    )


def plain():
    """The same network in Keras's own layers."""
    dense = [keras.layers.Conv2D(16, 3, padding="same"), keras.layers.BatchNormalization()]
    dense += [keras.layers.ReLU(), keras.layers.Conv2D(16, 3, padding="same", activation="relu")]
    dense += [keras.layers.Conv2D(32, 3, strides=2), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential(
        [keras.Input((8, 8, 3)), *dense, keras.layers.Dense(10, activation="softmax")]
    )


def grown(build, train, warm, count):
    """Megabytes that building, using and clearing a model leaves behind, for each model."""
    x, y = images(8)
    for number in range(warm + count):
        if number == warm:
            before = resident()
        model = build()
        if train:
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.train_on_batch(x, y)
        else:
            model(x)
        del model
        keras.backend.clear_session(free_memory=True)
    return (resident() - before) / count


@needs_status
def test_cleared_models_are_gone():
    """Nothing of ours outlives `clear_session` and the model: no plan, no buffer."""
    assert grown(network, False, warm=3, count=9) < 0.5


@needs_status
@pytest.mark.campaign
def test_cleared_training_functions_are_gone():
    """TensorFlow itself keeps some megabytes for each compiled model: ours no more than Keras's."""
    ours, theirs = (grown(build, True, warm=5, count=25) for build in (network, plain))
    print(f"\nmodel built, trained, cleared: {ours:.2f} MB each stay, {theirs:.2f} of Keras's own")
    assert ours < 1.2 * theirs + 0.3


def trained(model, steps, batches):
    """The weights after some steps on given batches."""
    for step in range(steps):
        model.train_on_batch(*batches[step % len(batches)])
    return [ops.convert_to_numpy(value) for value in model.weights]


def test_two_models_in_two_threads_learn_what_each_learns_alone():
    """Steps of two trainings, side by side in one process."""
    batches = [images(size, seed) for seed, size in enumerate((16, 9))]
    alone = [trained(compiled(seed), 12, batches) for seed in (1, 2)]
    models = [compiled(seed) for seed in (1, 2)]
    together = [None, None]

    def work(number):
        together[number] = trained(models[number], 12, batches)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    for first, second in zip(alone, together, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_model_serves_many_threads():
    """Eight threads ask one model at once; each gets the answers to its own questions."""
    model = compiled()
    # On JAX, Keras's `predict` gives the model's state away while it runs: one call at a time.
    predict = model if keras.backend.backend() == "jax" else model.predict_on_batch
    x, _ = images(8)
    expected = [ops.convert_to_numpy(predict(x[i : i + 1])) for i in range(8)]
    wrong = []

    def ask(number):
        for _ in range(20):
            answer = ops.convert_to_numpy(predict(x[number : number + 1]))
            if not np.array_equal(answer, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert not wrong


def test_two_runs_are_bit_equal():
    """One seed, one result: fit with shuffled, augmented batches, twice."""
    x, y = images(60)

    def run():
        model = compiled(seed=5)
        batches = Batches(
            x, y, 16, mean=(0, 0, 0), std=(1, 1, 1), augment=True, pad=1, shuffle=True, seed=5
        )
        follow = [batches.follow_epochs()]
        model.fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=follow)
        return [ops.convert_to_numpy(value) for value in model.weights]

    for a, b in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(a, b)


WORKER = """
    import multiprocessing, sys
    import numpy as np
    import keras, keras_ssc

    def answer(path, queue):
        model = keras.models.load_model(path)
        queue.put(model.predict_on_batch(np.ones((3, 8, 8, 3), "float32")))

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[2])
        queue = context.Queue()
        workers = [context.Process(target=answer, args=(sys.argv[1], queue)) for _ in range(2)]
        for worker in workers:
            worker.start()
        first, second = queue.get(timeout=300), queue.get(timeout=300)
        for worker in workers:
            worker.join(timeout=60)
            assert worker.exitcode == 0
        np.testing.assert_array_equal(first, second)
        np.save(sys.argv[3], first)
"""


@pytest.mark.parametrize(
    "method",
    # A process may fork as long as its backend has computed nothing: its threads don't come along.
    ["fork", pytest.param("spawn", marks=pytest.mark.campaign)],
)
def test_worker_processes(tmp_path, method):
    """Workers that are started by a program load a saved model and answer as it does."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    model = keras.Sequential([keras.Input((8, 8, 3)), *network().layers[1:]])
    model.save(tmp_path / "model.keras")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(WORKER))
    subprocess.run(
        [sys.executable, str(program), tmp_path / "model.keras", method, tmp_path / "answer.npy"],
        check=True,
        timeout=600,
    )
    expected = ops.convert_to_numpy(model.predict_on_batch(np.ones((3, 8, 8, 3), "float32")))
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), expected, rtol=1e-6, atol=1e-7)
