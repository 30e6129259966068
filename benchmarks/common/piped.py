"""A competitor in a process of its own, in turn with the others by a pipe.

PyTorch and TensorFlow don't share a process well (threads, LLVM), and DeepSparse wants older
packages: each has its own interpreter.
"""

import importlib.util
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

BENCHMARKS = str(Path(__file__).resolve().parents[1])


class NotInstalled(Exception):
    """The interpreter has not what the program imports."""


class Piped:
    """A callable that has another process do one step, and waits for it.

    Args:
        python: path of the interpreter.
        module: name of a module that calls `serve`, such as `"common.torch_networks"`.
        *arguments: of its command line.
    """

    def __init__(self, python, module, *arguments):
        path = os.pathsep.join(filter(None, [BENCHMARKS, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [python, "-m", module, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            self.version = self._wait_for("ready")
        except BaseException:
            self.close()
            raise

    def __call__(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self._wait_for("done")

    def close(self):
        """Let the process end: nothing more will be asked of it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _wait_for(self, word):
        for line in self._process.stdout:  # an engine may print lines of its own
            first, _, rest = line.strip().partition(" ")
            if first == word:
                return rest
            if line.strip() == "not installed":
                raise NotInstalled("not installed")
        raise RuntimeError(f"the process ended with code {self._process.wait()}")


def serve(package, make_step):
    """In the other process: do a step for each line read, and answer with a line.

    Args:
        package: str, without which there is nothing to do.
        make_step: function that returns the step.
    """
    if importlib.util.find_spec(package) is None:
        print("not installed", flush=True)
        return
    step = make_step()
    step()
    print("ready", metadata.version(package), flush=True)
    for _ in sys.stdin:
        step()
        print("done", flush=True)
