"""Threads that share out the steps of a network: each part once, and no race."""

import subprocess
from pathlib import Path

import pytest

from keras_ssc.native import build

SOURCE = Path(build.__file__).with_name("source")
PROGRAM = Path(__file__).with_name("every_team.cc")
OPTIONS = ("-std=gnu++17", "-g", "-O1", "-pthread")


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_each_part_of_each_job_is_done_once(tmp_path, sanitizer):
    compiler = build.find().compiler
    if compiler is None:
        pytest.skip("no compiler")
    program = tmp_path / "every_team"
    sources = SOURCE / "team.cc", PROGRAM
    command = [compiler, *OPTIONS, f"-fsanitize={sanitizer}", f"-I{SOURCE}", *sources]
    made = subprocess.run([*command, "-o", program], capture_output=True, text=True, check=False)
    if made.returncode and "cannot find" in made.stderr:
        pytest.skip(f"this compiler has no sanitizer: {sanitizer}")
    assert not made.returncode, made.stderr
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "3600 jobs\n"), done.stderr
