"""No native pass reads or writes outside its arrays: the kernels alone, built with sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from keras_ssc.native.build import FLAGS, LOOPS, SOURCE

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
PROGRAM = sorted(Path(__file__).parent.glob("every_*.cc"))


def compile_all(compiler, folder):
    """Compile and link the kernels without any binding, a few files at a time."""
    commands = [[str(source), f"-I{SOURCE}", "-O1"] for source in PROGRAM]
    for source in sorted(SOURCE.glob("*.cc")):
        if source.stem in LOOPS:
            # Not optimised: what is read and written is the same. Vectors need not be aligned.
            loops = [str(source), "-O0", "-fno-sanitize=alignment"]
            commands += [
                [*loops, *flags, f"-DINSTRUCTIONS={name}"] for name, flags in FLAGS.items()
            ]
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
    subprocess.run([compiler, *SANITIZERS, *objects, "-o", "program"], cwd=folder, check=True)


@pytest.mark.campaign
def test_every_size_under_sanitizers(tmp_path):
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if not compiler:
        pytest.skip("no C++ compiler")
    (tmp_path / "empty.cc").write_text("int main() {}\n")
    tried = [compiler, *SANITIZERS, "empty.cc", "-o", "empty"]
    if subprocess.run(tried, cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no sanitizers")
    compile_all(compiler, tmp_path)
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("settings")
    assert int(done.stdout.split()[-2]) > 400
