"""Is SSC ever slower than a plain Conv2D? Every distinct sparse layer of the six networks.

python benchmarks/auto.py --networks ResNet32 VGG19
KERAS_BACKEND=jax python benchmarks/auto.py --quick
"""

import argparse
import gc
import math
from pathlib import Path

import networks

PASSES = ("forward", "forward and both gradients")


def distinct_layers(subject):
    """Return {(setting, shape in, pattern, strides): layer} of the sparse layers."""
    import keras_ssc

    found, seen = {}, set()
    for setting, arguments in subject.sparse.items():
        for layer in subject.build(**arguments).layers:
            if isinstance(layer, keras_ssc.SSCConv2D):
                shape = tuple(layer.input.shape[1:])
                key = (shape, layer.pattern, layer.strides, layer.padding)
                if key not in seen:
                    seen.add(key)
                    found[(setting, *key)] = layer
    return found


def steps_of(layer, x, dy):
    """Return {pass: callable that waits} of a Keras layer, on TensorFlow or JAX."""
    import keras

    if keras.backend.backend() == "jax":
        return _jax_steps(layer, x, dy)
    import tensorflow as tf

    x, dy = tf.constant(x), tf.constant(dy)

    @tf.function(autograph=False)
    def forward():
        return layer(x)

    @tf.function(autograph=False)
    def both():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        sources = [x, *(variable.value for variable in layer.trainable_variables)]
        return tape.gradient(y, sources, output_gradients=dy)

    return dict(zip(PASSES, (forward, both), strict=True))


def _jax_steps(layer, x, dy):
    import jax

    x, dy = jax.numpy.asarray(x), jax.numpy.asarray(dy)
    weights = [variable.value for variable in layer.trainable_variables]
    forward = jax.jit(lambda w, x: layer.stateless_call(w, [], x)[0])

    @jax.jit
    def both(w, x):
        _, pull_back = jax.vjp(forward, w, x)
        return pull_back(dy)

    steps = (
        lambda: jax.block_until_ready(forward(weights, x)),
        lambda: jax.block_until_ready(both(weights, x)),
    )
    return dict(zip(PASSES, steps, strict=True))


def compare(name, arguments):
    """Time every distinct layer of a network: Conv2D, SSC as "dense", SSC as "auto", in turns."""
    import keras
    import numpy as np

    from common import alternatives, subjects
    from common.timing import interleaved, statistics

    random = np.random.default_rng(0)
    rounds, seconds = arguments.repeats, arguments.seconds
    if arguments.quick:
        rounds, seconds = min(rounds, 5), min(seconds, 1)
    rows = []
    for (setting, shape, pattern, strides, _), layer in distinct_layers(
        subjects.SUBJECTS[name]
    ).items():
        batch = max(1, min(128, arguments.floats // math.prod(shape)))
        x = random.normal(size=(batch, *shape)).astype("float32")
        forms = {
            "conv2d": alternatives.dense(layer),
            "dense": alternatives.executed("dense")(layer),
            "auto": alternatives.executed("auto")(layer),
        }
        for own in forms.values():
            own.build((None, *shape))
        shape_out = forms["conv2d"].compute_output_shape(x.shape)
        dy = random.normal(size=shape_out).astype("float32")
        steps = {}
        for form, own in forms.items():
            for task, step in steps_of(own, x, dy).items():
                steps[task, form] = step
        taken = interleaved(steps, rounds, seconds=seconds, burst=0.02, pause=0.01)
        sizes = "x".join(map(str, pattern.kernel_size))
        facts = {
            "network": name,
            "setting": setting,
            "layer": f"{sizes} {pattern.in_channels}->{pattern.filters} @{shape[0]}",
            "strides": strides[0],
            "g": pattern.g,
            "p": pattern.p,
            "batch": batch,
            "used": forms["auto"].execution_report(shape[:2])["used"],
        }
        for task in PASSES:
            times = {form: statistics(taken[task, form]) for form in forms}
            row = networks.about(arguments) | facts | {"pass": task}
            for form, found in times.items():
                row |= {f"{form}_ms": found["median_ms"]}
                row |= {f"{form}_{n}": found[f"{n}_ms"] for n in ("quartile_1", "quartile_3")}
            against = {form: row[f"{form}_ms"] / row["auto_ms"] for form in ("conv2d", "dense")}
            row |= {"rounds": times["auto"]["rounds"]}
            row |= {f"times_as_fast_as_{form}": round(one, 3) for form, one in against.items()}
            rows.append(row)
            print(
                f"{name:17}{setting:8}{facts['layer']:24}/{strides[0]} ({pattern.g}, {pattern.p})"
                f" {facts['used']:8}{task:28}Conv2D {row['conv2d_ms']:8.2f}  auto"
                f" {row['auto_ms']:8.2f} ms  {against['conv2d']:6.2f}x",
                flush=True,
            )
        keras.backend.clear_session()
        gc.collect()
    return rows


def main():
    """Parse the command line, run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--networks", nargs="+", help="names; default: all")
    add("--repeats", type=int, default=9, help="rounds, in each of which everyone has a turn")
    add("--seconds", type=float, default=math.inf, help="of a layer's rounds, at most")
    add("--quick", action="store_true", help="at most 5 rounds and 1 second of them")
    add("--floats", type=int, default=4_000_000, help="of x, at most: limits the batch of 128")
    add("--threads", choices=["1", "all"], default="all")
    add("--widest", choices=["avx512", "avx2"], help="vectors of our kernels, at most")
    add("--output", type=Path, help="CSV file; default: named by the hardware")
    arguments = parser.parse_args()
    networks.prepare(arguments)
    import keras

    from common import results, subjects

    keras.utils.set_random_seed(0)
    path, common = networks.output(arguments, "auto"), networks.about(arguments)
    for name in networks.known(arguments.networks or list(subjects.SUBJECTS)):
        rows = results.read(path)
        key = {"network": name}
        if any(networks.same_run(row, common | key) for row in rows):
            print(f"{name}: in the file already")
            continue
        new = compare(name, arguments)
        results.save([r for r in rows if not networks.same_run(r, key)] + new, path, "auto")
    rows = results.read(path)
    worst = min(rows, key=lambda row: float(row["times_as_fast_as_conv2d"]))
    print(
        f"worst: {worst['network']} {worst['layer']}, {worst['pass']}: "
        f"{worst['times_as_fast_as_conv2d']}x of Conv2D"
    )


if __name__ == "__main__":
    main()
