"""Whole networks on a GPU, dense beside SSC: a training step and inference, in device time.

KERAS_BACKEND=jax python benchmarks/gpu_networks.py --csv gpu-networks.csv
KERAS_BACKEND=jax python benchmarks/gpu_networks.py --dry-run     # small, on any device

A program is one `jax.lax.scan` over many steps, so that no step waits for Python: forward,
gradients and SGD with momentum, in mixed_bfloat16; or the folded model on new images each time.
Dense and SSC take turns; medians and quartiles of the turns, in milliseconds of a step. `fit` is
Keras's own loop on the same model and batch, whose every step is started from Python.
"""

import argparse
import collections
import concurrent.futures
import os
import tempfile
import time
from importlib import metadata
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np

import keras_ssc
from common import results

IMAGENET = {"input_shape": (224, 224, 3), "classes": 1000}


def keras_resnet50(sparsity=0.9, execution="auto", dtype=None, **arguments):
    """The ResNet50 of keras.applications, and what `sparsify` makes of it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or before)
    try:
        model = keras.applications.ResNet50(weights=None, **arguments)
    finally:
        keras.config.set_dtype_policy(before)
    if not sparsity:
        return model
    return keras_ssc.sparsify(model, sparsity, pattern_for="gpu", execution=execution)


# name: (builder, arguments of the network, arguments of the sparse one)
NETWORKS = {
    "VGG19": (keras_ssc.applications.VGG19, {}, {"g": 8, "p": 7}),
    "ResNet32": (keras_ssc.applications.ResNet32, {}, {"g": 8, "p": 7}),
    "ResNet50": (keras_ssc.applications.ResNet50, IMAGENET, {"g": 8, "p": 7}),
    "Keras's ResNet50, sparsify": (keras_resnet50, IMAGENET, {"sparsity": 0.9}),
}
MOMENTUM, RATE = 0.9, 0.01


def built(name, form):
    """A network; `form`: `"dense"`, or the execution of its sparse layers. On the CPU."""
    builder, arguments, sparse = NETWORKS[name]
    keras.utils.set_random_seed(0)
    own = {"sparsity": 0} if form == "dense" else sparse | {"execution": form}
    with jax.default_device(jax.devices("cpu")[0]):
        model = builder(**arguments, **own, dtype="mixed_bfloat16")
    for layer in model.layers:  # 1x1 layers read every channel in any case
        if form == "native" and isinstance(layer, keras_ssc.SSCConv2D) and not layer.pattern.g:
            layer.execution = "dense"
    return model


def training(model, steps):
    """(function of (state, images, labels), its first state): so many steps of SGD."""
    values = ([v.value for v in list_] for list_ in (model.trainable_variables,
                                                     model.non_trainable_variables))  # fmt: skip
    trainable, fixed = values

    def step(state, now):
        trainable, fixed, velocity = state
        x, labels = now

        def loss_of(trainable):
            scores, updated = model.stateless_call(trainable, fixed, x, training=True)
            loss = keras.losses.sparse_categorical_crossentropy(labels, scores)
            return loss.mean(), updated

        (loss, fixed), slopes = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        velocity = [MOMENTUM * v - RATE * s for v, s in zip(velocity, slopes, strict=True)]
        trainable = [w + v for w, v in zip(trainable, velocity, strict=True)]
        return (trainable, list(fixed), velocity), loss

    def run(state, images, labels):
        chosen = jnp.arange(steps) % len(images)
        return jax.lax.scan(lambda s, i: step(s, (images[i], labels[i])), state, chosen)

    return run, (trainable, fixed, [jnp.zeros_like(w) for w in trainable])


def inference(model, steps):
    """(function of (state, images, labels), state): the scores of so many batches."""
    folded = keras_ssc.fold(model)
    trainable = [v.value for v in folded.trainable_variables]
    fixed = [v.value for v in folded.non_trainable_variables]

    def run(state, images, labels):
        def step(total, i):
            scores, _ = folded.stateless_call(*state, images[i], training=False)
            return total + scores.sum(), None

        total, _ = jax.lax.scan(step, jnp.float32(0), jnp.arange(steps) % len(images))
        return state, total

    return run, (trainable, fixed)


TASKS = {"training": training, "inference": inference}


def compiled(model, task, steps, images, labels):
    """(program, state, launches of our kernels in it), on the device."""
    run, state = TASKS[task](model, steps)
    state = jax.device_put(state, jax.devices()[0])
    program = jax.jit(run, donate_argnums=0 if task == "training" else ())
    lowered = program.lower(state, images, labels)
    launches = lowered.as_text().count("@KerasSscLaunch")
    return lowered.compile(), state, launches


def data(name, batch, kinds=3):
    """(images, labels): a few batches on the device."""
    shape = NETWORKS[name][1].get("input_shape", (32, 32, 3))
    random = np.random.default_rng(0)
    images = random.normal(size=(kinds, batch, *shape)).astype("float32")
    classes = NETWORKS[name][1].get("classes", 10)
    return jax.device_put((images, random.integers(0, classes, (kinds, batch))))


def timed(programs, images, labels, steps, rounds):
    """{form: milliseconds of a step, of each round}, the forms by turns."""
    taken = {form: [] for form in programs}
    for turn in range(rounds + 1):
        for form, own in programs.items():
            start = time.perf_counter()
            own["state"], last = own["program"](own["state"], images, labels)
            jax.block_until_ready(last)
            if turn:
                taken[form].append((time.perf_counter() - start) / steps * 1e3)
            if not np.isfinite(np.asarray(last, "float32")).all():
                raise SystemExit(f"{form}: the results are not finite")
    return taken


LIBRARIES = "cuDNN and cuBLAS"  # whose products of matrices are convolutions, too
KINDS = {  # words in the names of kernels
    "our kernels": ("convolve", "weight_gradient"),
    "XLA's own": ("fusion", "wrapped", "loop_", "input_"),
    LIBRARIES: ("cudnn", "cutlass", "xmma", "gemm", "nvjet", "splitK", "sm90_", "sm80_", "nhwc"),
    "copies, clearing": ("emset", "emcpy", "emcopy"),
}


def kind_of(name):
    """The kind of a kernel, by its name."""
    kinds = (kind for kind, words in KINDS.items() if any(word in name for word in words))
    return next(kinds, "the rest")


def device_times(program, state, images, labels, steps):
    """({kind of kernel: milliseconds of a step}, {...: launches of a step}), by JAX's profiler."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(program(state, images, labels))
        (path,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(path)).planes
        took, count = collections.Counter(), collections.Counter()
        for plane in planes:
            for line in plane.lines if "GPU" in plane.name else ():
                for event in line.events if line.name.startswith("Stream") else ():
                    kind = kind_of(event.name)
                    took[kind] += event.duration_ns / 1e6 / steps
                    count[kind] += 1 / steps
    return took, count


def fit_times(name, form, batch, steps):
    """Milliseconds of a step of `fit`, one for each epoch but the first."""
    model = built(name, form)
    model.compile(keras.optimizers.SGD(RATE, MOMENTUM), "sparse_categorical_crossentropy",
                  jit_compile=True)  # fmt: skip
    images, labels = data(name, batch)
    x = np.asarray(images[0]).repeat(steps, axis=0)
    y = np.asarray(labels[0]).repeat(steps)

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            taken.append((time.perf_counter() - self.start) / steps * 1e3)

    taken = []
    model.fit(x, y, batch_size=batch, epochs=4, shuffle=False, verbose=0, callbacks=[Clock()])
    return taken[1:]


def rows_of(common, taken):
    """Rows of the CSV, with how many times as fast as dense."""
    rows = []
    for form, times in taken.items():
        low, median, high = np.percentile(times, [25, 50, 75])
        ratio = float(np.median(taken["dense"]) / median)
        rows.append(common | {"form": form, "quartile_1_ms": low, "median_ms": median,
                              "quartile_3_ms": high, "times_as_fast_as_dense": ratio})  # fmt: skip
        print(*common.values(), f"{form:8}{median:9.3f} ms {ratio:6.2f}x", flush=True)
    return rows


def main():
    """Parse the command line, compile on several threads, time, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS, "fit"], default=list(TASKS))
    parser.add_argument("--forms", nargs="+", default=["dense", "native"])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20, help="of a program")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=8, help="then nothing further is timed")
    parser.add_argument("--threads", type=int, default=8, help="that compile")
    parser.add_argument("--profile", action="store_true", help="device time by kind of kernel")
    parser.add_argument("--dry-run", action="store_true", help="one small network")
    parser.add_argument("--csv", default="gpu-networks.csv")
    arguments = parser.parse_args()
    if arguments.dry_run:
        arguments.networks, arguments.batch = ["ResNet32"], 2
        arguments.steps, arguments.rounds = 2, 1
    until = time.monotonic() + 60 * arguments.minutes
    sets = {name: data(name, arguments.batch) for name in arguments.networks}
    tasks = [task for task in arguments.tasks if task != "fit"]
    jobs = [(name, form, task) for name in arguments.networks for task in tasks
            for form in arguments.forms]  # fmt: skip
    common = {"card": jax.devices()[0].device_kind, "batch": arguments.batch}
    common |= {name: metadata.version(name) for name in ("jax", "keras")}
    rows = []
    models = {key: built(*key) for key in dict.fromkeys(job[:2] for job in jobs)}
    with concurrent.futures.ThreadPoolExecutor(arguments.threads) as pool:
        waiting = {
            job: pool.submit(compiled, models[job[:2]], job[2], arguments.steps, *sets[job[0]])
            for job in jobs
        }
        for name in arguments.networks:
            for task in tasks:
                programs = {}
                for form in arguments.forms:
                    program, state, launches = waiting.pop((name, form, task)).result()
                    programs[form] = {"program": program, "state": state}
                    print(name, task, form, "compiled, launches:", launches, flush=True)
                concurrent.futures.wait(waiting.values())  # nothing else uses the device
                if time.monotonic() > until:
                    print(f"out of time: {name}, {task} is not run")
                    continue
                about = {"network": name, "task": task} | common
                taken = timed(programs, *sets[name], arguments.steps, arguments.rounds)
                rows += rows_of(about, taken)
                for form, own in programs.items() if arguments.profile else ():
                    found = device_times(**own, images=sets[name][0], labels=sets[name][1],
                                         steps=arguments.steps)  # fmt: skip
                    for kind, took in found[0].items():
                        rows.append(about | {"form": form, "kind": kind, "device_ms": took,
                                             "launches": found[1][kind]})  # fmt: skip
                        print(name, task, f"{form:8} {kind:24}{took:9.3f} ms,",
                              f"{found[1][kind]:.0f} launches", flush=True)  # fmt: skip
                results.save(rows, arguments.csv, "gpu-networks")
    if "fit" in arguments.tasks:
        for name in arguments.networks:
            if time.monotonic() > until:
                print(f"out of time: {name}, fit is not run")
                continue
            taken = {form: fit_times(name, form, arguments.batch, arguments.steps)
                     for form in arguments.forms}  # fmt: skip
            rows += rows_of({"network": name, "task": "fit"} | common, taken)
            results.save(rows, arguments.csv, "gpu-networks")


if __name__ == "__main__":
    main()
