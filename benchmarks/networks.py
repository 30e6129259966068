"""Whole networks: a training step and inference, SSC against what a user would pick instead.

python benchmarks/networks.py --quick
python benchmarks/networks.py --networks ResNet32 VGG19 --batches 128 --passes infer
KERAS_BACKEND=jax python benchmarks/networks.py --networks ResNet32

All competitors at one network, pass and batch take turns in one run, and each ratio is against
the fastest dense one of that run, whoever made it. A comparison that is in the file already, by the
same code and versions, is not run again; rows of other code are replaced.
"""

import argparse
import gc
import math
import os
import sys
import tempfile
from pathlib import Path

from common import machine

TASKS = ("infer", "train")


def parser():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--networks", nargs="+", help="names; default: all")
    add("--batches", nargs="+", type=int, help="of those that a network is measured at")
    add("--passes", nargs="+", choices=TASKS, default=list(TASKS))
    add("--repeats", type=int, default=15, help="rounds, in each of which everyone has a turn")
    add("--seconds", type=float, default=math.inf, help="of a comparison's rounds, at most")
    add("--quick", action="store_true", help="at most 5 rounds and 6 seconds of them")
    add("--threads", choices=["1", "all"], default="all")
    add("--widest", choices=["avx512", "avx2"], help="vectors of our kernels, at most")
    more = ["masked", "separable", "groups", "XLA", "bfloat16"]
    add("--more", nargs="+", default=[], choices=more)
    add("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    add("--deepsparse-python", help="interpreter that has DeepSparse")
    add("--output", type=Path, help="CSV file; default: named by the hardware")
    return parser


def prepare(arguments):
    """What must be settled before the backend is imported."""
    # Every competitor gets oneDNN, also where TensorFlow would leave it off.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if arguments.threads == "1":
        machine.use_one_core()
    if arguments.widest == "avx2":
        from keras_ssc.native.instruction_sets import FLAGS, PAIRED_SET

        # What is chosen for AVX-512 is then compiled with AVX2's instructions, too.
        FLAGS.update({"avx512": FLAGS["avx2"], PAIRED_SET: ()})


def compare(name, task, batch, arguments, exported):
    """Time all competitors at one network, pass and batch; return the rows."""
    import keras

    from common import competitors, results, subjects
    from common.timing import interleaved, statistics

    keras.utils.set_random_seed(0)
    comparison = competitors.Comparison(
        subjects.SUBJECTS[name],
        task,
        batch,
        exported,
        arguments.torch_python,
        arguments.deepsparse_python,
        arguments.more,
    )
    with comparison:
        rows, steps = {}, {}
        for competitor, kind, step, facts in comparison:
            _show(f"made: {competitor}")
            rows[competitor] = {"competitor": competitor, "kind": kind, **facts}
            if callable(step):
                steps[competitor] = step
            else:
                rows[competitor] |= {"median_ms": "", "note": step}
        rounds, seconds = arguments.repeats, arguments.seconds
        if arguments.quick:
            rounds, seconds = min(rounds, 5), min(seconds, 6)
        taken = interleaved(steps, rounds, seconds=seconds, progress=_show)
    common = {**about(arguments), "network": name, "pass": task, "batch": batch}
    every = dict.fromkeys(
        ("parameters", "kernel_sparsity", "version", *statistics([0]), "note"), ""
    )
    for competitor, row in rows.items():
        rows[competitor] = common | every | row | statistics_of(taken.get(competitor), statistics)
    keras.backend.clear_session()
    del comparison, steps
    gc.collect()
    return results.against_fastest_dense(list(rows.values()))


def statistics_of(seconds, statistics):
    """The row entries of what was timed, {} of what was not."""
    return statistics(seconds) if seconds else {}


def about(arguments):
    """The columns that say on what and how."""
    import keras

    widest = arguments.widest or "as the CPU has"
    return machine.describe() | {"backend": keras.backend.backend(), "widest": widest}


def _show(line):
    print(f"  {line}", file=sys.stderr, flush=True)


def same_run(row, common):
    """Whether a row of the file is of this machine, these versions and this code."""
    return all(str(row.get(key)) == str(value) for key, value in common.items())


def known(names):
    """Return `names`, or end the program where one is unknown."""
    from common import subjects

    unknown = [name for name in names if name not in subjects.SUBJECTS]
    if unknown:
        every = ", ".join(subjects.SUBJECTS)
        raise SystemExit(f"--networks: one of {every}. Received: {', '.join(unknown)}")
    return names


def output(arguments, what="networks"):
    """The file to write."""
    import keras

    from common import results

    if arguments.output:
        return arguments.output
    words = [what, machine.hardware_name(), keras.backend.backend()]
    words += [f"{machine.threads()}threads"]
    if arguments.widest == "avx2":
        words.append("ours-avx2")
    return results.FOLDER / f"{'-'.join(words)}.csv"


def main():
    """Compare, print and save, one comparison after another."""
    arguments = parser().parse_args()
    prepare(arguments)
    from common import subjects

    names = known(arguments.networks or list(subjects.SUBJECTS))
    wanted = [
        (name, task, batch)
        for name in names
        for batch in subjects.SUBJECTS[name].batches
        if not arguments.batches or batch in arguments.batches
        for task in arguments.passes
    ]
    if not wanted:
        raise SystemExit("--batches: none of these networks is measured at them.")
    path, common = output(arguments), about(arguments)
    with tempfile.TemporaryDirectory() as exported:
        run(wanted, path, common, arguments, Path(exported))


def run(wanted, path, common, arguments, exported):
    """Compare what the file has not yet, and write it after each comparison."""
    from common import results

    for number, (name, task, batch) in enumerate(wanted, start=1):
        print(f"\n[{number}/{len(wanted)}] {name}, {task}, batch {batch}", flush=True)
        rows = results.read(path)
        key = {"network": name, "pass": task, "batch": batch}
        if any(same_run(row, common | key) for row in rows):
            print("in the file already")
            continue
        new = compare(name, task, batch, arguments, exported)
        results.print_table(new)
        results.save([row for row in rows if not same_run(row, key)] + new, path, "networks")


if __name__ == "__main__":
    main()
