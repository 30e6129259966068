"""Run one of the paper's tables or figures, or resume it.

python applications/reproduce.py table1 --protocol small --data-dir data
"""

import argparse
import os
import signal
import sys

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves oneDNN off on CPUs without AVX-512, where it would be two to three times faster.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    names = "table1-tuned, table1 ... table5, variants, rates, velocity, mixing"
    add("name", help=f"{names}, ablation, gpu-patterns, figure3, figure4-left, figure4-right")
    add("--protocol", choices=["paper", "small"], default="small")
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--records", default="docs/evidence/records", help="folder of the finished runs")
    add("--seeds", type=int, nargs="+", help="default: the experiment's")
    add("--only", nargs="+", default=[], help="words that the runs to do must all hold")
    add("--limit", type=int, help="at most so many runs")
    add("--dry-run", action="store_true", help="2 epochs on few images, recorded apart")
    add("--estimate", action="store_true", help="print how long the runs take and do none")
    add("--list", action="store_true", help="print the runs and do none")
    return parser, parser.parse_args()


def main():
    """Run, or list."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # until there is a step to finish
    parser, arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    import dataclasses

    from keras_ssc.training.run_folder import RunFolderError
    from keras_ssc.training.sigterm import Terminated, Termination
    from paper import EXPERIMENTS, Records, dry, open_runs, reproduce
    from paper.estimate import estimate, in_words

    if arguments.name not in EXPERIMENTS:
        parser.error(f"the experiments are {', '.join(EXPERIMENTS)}")
    seeds = {"seeds": tuple(arguments.seeds)} if arguments.seeds else {}
    cells = EXPERIMENTS[arguments.name](arguments.protocol, **seeds)

    if arguments.dry_run:
        cells = dry(cells)

    def chosen(cell):
        words = str(cell.settings[0]).split() if cell.settings else []
        settings = cell.settings if set(arguments.only) <= set(words) else ()
        return dataclasses.replace(cell, settings=settings)

    cells = [chosen(cell) for cell in cells]
    folder = f"{arguments.records}-dry" if arguments.dry_run else arguments.records
    records = Records(folder)
    todo = open_runs(cells, records)
    every = len(open_runs(cells, Records(os.devnull)))
    there = "" if os.path.isdir(folder) else ", a new folder"
    print(f"{arguments.name}, {arguments.protocol}: {len(todo)} of {every} runs are open")
    print(f"Records: {folder}{there}")
    if arguments.list:
        print("\n".join(map(str, todo)))
    if arguments.estimate:
        seconds, basis = estimate(todo[: arguments.limit], records)
        print(f"{len(todo[: arguments.limit])} runs take about {in_words(seconds)}: {basis}")
    if arguments.list or arguments.estimate:
        return
    try:
        with Termination():
            left = reproduce(cells, records, arguments.data_dir, arguments.limit)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command resumes the interrupted run.")
    except Terminated as end:
        print(f"Ended by SIGTERM {end.where}. The same command resumes there.", flush=True)
        raise
    except (FloatingPointError, ImportError, OSError, RunFolderError, ValueError) as error:
        stop(error)
    print(f"{left} runs are open. The records are in {folder}")


if __name__ == "__main__":
    run(main)
