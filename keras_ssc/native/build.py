"""The native library: compiled on first use, kept for the next, loaded once.

It is compiled against the installed TensorFlow, or against the headers that come with JAX, whose
binary interfaces change with their releases, so no wheel could hold it. Nothing here may break an
install: where there is no compiler, `load` says so in one line and the library paths compute.
"""

import contextlib
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_ssc.native.frameworks import FRAMEWORKS
from keras_ssc.native.instruction_sets import LOOPS, loops, sets_of

SOURCE = Path(__file__).parent / "source"  # the kernels; in its folders, one binding each
_RELEASE = "-DNDEBUG"  # no `assert`: tests/native/every_size.cc runs with them
COMPILE_MINUTES = 10


class CannotBuild(Exception):
    """Why there is no native library here."""


def cache_folder():
    """The folder of compiled libraries: `KERAS_SSC_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("KERAS_SSC_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras_ssc"


def once(function):
    """Return `function` with its first result for all calls; one thread at a time may enter."""
    lock, first = threading.RLock(), functools.cache(function)

    @functools.wraps(function)
    def locked():
        with lock:
            return first()

    return locked


@once
def load():
    """Return (what calls the operations of Keras's backend, None), or (None, why there is none)."""
    log = logging.getLogger("keras_ssc")
    backend = keras.backend.backend()
    if backend not in FRAMEWORKS:
        return None, f"there is no native library for Keras on {backend}"
    try:
        framework = FRAMEWORKS[backend]()
        return framework.open(str(build(framework))), None
    except CannotBuild as error:
        reason = str(error)
    except Exception as error:  # a library that doesn't load must not stop the user's work
        reason = f"the native library can't be loaded: {error}"
    log.warning("keras-ssc computes without its native kernels: %s", reason)
    return None, reason


def operations():
    """Return what calls the native operations.

    Raises:
        RuntimeError: there are none; the message says why.
    """
    found, why_not = load()
    if found is None:
        raise RuntimeError(f"There are no native operations: {why_not}")
    return found


def build(framework):
    """Compile the library, unless the cache has it; return its path.

    Args:
        framework: Framework.
    """
    core, binding = _plan(_compiler(), framework)
    target = binding.target
    if target.exists():
        return target
    logging.getLogger("keras_ssc").warning(
        "keras-ssc compiles its CPU kernels for %s %s, once: about a minute. They are kept in %s",
        framework.name,
        framework.version,
        target.parent,
    )
    for step in (core, binding):
        kept(step.target, step.run)
    return target


def kept(target, make):
    """Return the path of a file of the cache; make it unless it is there.

    Args:
        target: `Path` in the cache, named by all that goes into it.
        make: function (path) that writes the file, in a folder of its own.

    Raises:
        CannotBuild: the cache can't be written, or `make` raises it.
    """
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            make(made)
            os.replace(made, target)  # another process may be faster: either's file is complete
    except OSError as error:
        raise CannotBuild(f"{target.parent} can't be written: {error}") from error
    return target


@dataclass(frozen=True)
class Step:
    """Commands that make one file of the cache.

    Args:
        compiling: list of commands, each of which makes an object.
        linking: the command that makes the file of `target`'s name from them.
        target: `Path` in the cache.
    """

    compiling: list
    linking: list
    target: Path

    def run(self, path):
        """Make the file, and the objects beside it."""
        run(self.compiling, path.parent)
        run([self.linking], path.parent)


@dataclass(frozen=True)
class Found:
    """What there is to compile the library with, and where it is or would be.

    Attributes:
        compiler: str, path of the C++ compiler, or None.
        instruction_sets: tuple of str, those it is compiled for.
        folder: `Path` of the cache.
        library: `Path` of the library for Keras's backend, or None without a compiler or for a
            backend that has none.
        built: bool, whether that file exists.
    """

    compiler: str
    instruction_sets: tuple
    folder: Path
    library: Path
    built: bool


def find():
    """Return what is `Found` here; nothing is compiled."""
    compiler = library = None
    with contextlib.suppress(CannotBuild):
        compiler = _compiler()
    if compiler and keras.backend.backend() in FRAMEWORKS:
        _, binding = _plan(compiler, FRAMEWORKS[keras.backend.backend()]())
        library = binding.target
    built = library is not None and library.exists()
    return Found(compiler, sets_of(compiler), cache_folder(), library, built)


def _plan(compiler, framework):
    """The two `Step`s: the kernels, which all frameworks share, and the library of one."""
    compiling = _kernel_commands(compiler)
    name = f"kernels-{_key(compiler, compiling, SOURCE)}.o"
    linking = [compiler, "-r", "-nostdlib", *_objects(compiling), "-o", name]
    kernels = Step(compiling, linking, cache_folder() / name)

    compiling = [_binding_command(compiler, framework)]
    inputs = [*_objects(compiling), str(kernels.target)]
    # The kernels' name is in the link, so that the library is named by them, too.
    key = _key(compiler, [*compiling, [name, *framework.link]], SOURCE / framework.name)
    name = f"{framework.name}-{framework.version}-{key}.so"
    linking = [compiler, "-shared", *inputs, "-o", name, *framework.link]
    return kernels, Step(compiling, linking, cache_folder() / name)


def _compiler():
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else ["g++", "c++", "clang++"]:
        path = shutil.which(name)
        if path:
            return path
    raise CannotBuild(f"no C++ compiler ({chosen or 'g++'}) was found")


def _kernel_commands(compiler):
    """The command lines that compile the kernels, one for each object."""
    commands = []
    for source in sorted(SOURCE.glob("*.cc")):
        if source.stem not in LOOPS:
            commands.append(_compile(compiler, ["-O2", _RELEASE], source, source.stem))
        # GNU's dialect: products and sums may be contracted to one multiply-add.
        for name, flags in loops(compiler, source.stem).items():
            options = ["-std=gnu++17", "-O3", _RELEASE, *flags]
            commands.append(_compile(compiler, options, source, f"{source.stem}_{name}"))
    return commands


def _binding_command(compiler, framework):
    """The command line that compiles what calls the kernels from one framework."""
    # As one file: to read a framework's headers takes most of the time.
    *others, last = sorted((SOURCE / framework.name).glob("*.cc"))
    together = [option for source in others for option in ("-include", str(source))]
    options = ["-O2", *framework.headers, *together]
    return _compile(compiler, options, last, f"{framework.name}_binding")


def _compile(compiler, options, source, name):
    common = [compiler, "-std=c++17", "-fPIC", "-w", "-c"]
    return [*common, *options, str(source), "-o", f"{name}.o"]


def _objects(commands):
    return [command[-1] for command in commands]


def _key(compiler, commands, folder):
    """Name what commands make by all that goes into it: the compiler, its options, the sources."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    flags = repr(commands).replace(str(SOURCE), "")
    parts = [platform.machine(), version.stdout, flags]
    parts += [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.*"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def run(commands, folder):
    """Run commands side by side, as many at a time as there are processors."""
    waiting, running = list(commands), []
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                command = waiting.pop(0)
                running.append(
                    subprocess.Popen(
                        command,
                        cwd=folder,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                    )
                )
            process = running.pop(0)
            output, _ = process.communicate(timeout=COMPILE_MINUTES * 60)
            if process.returncode:
                wrong = [line for line in output.splitlines() if " error: " in line]
                why = wrong[0] if wrong else output.strip()[-500:]
                raise CannotBuild(f"{process.args[0]} failed: {why}")
    except subprocess.TimeoutExpired as error:
        raise CannotBuild(f"the compiler took more than {COMPILE_MINUTES} minutes") from error
    finally:
        for process in running:
            process.kill()
