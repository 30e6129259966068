"""Every program of applications/ with wrong flags, paths and data: one line and exit 1 or 2."""

import pytest
from conftest import ROOT
from misuse import count

from paper import EXPERIMENTS

# Warnings come as outside of pytest.
pytestmark = [pytest.mark.fuzz, pytest.mark.filterwarnings("default")]
pytest.importorskip("tensorflow")

PROGRAMS = sorted((ROOT / "applications").glob("[!_]*.py"))
# Besides flags that none has. {name} is a file or folder of `places`.
MODEL = [
    (["--model", "{missing}.keras"], 1),
    (["--model", "{garbage}"], 1),
    (["--model", "{pickle}"], 1),
    (["--model", "{folder}"], 1),
    (["--model", "{below}"], 1),
    (["--model", "{empty}"], 1),
    (["--model"], 2),
    ([], 2),
]
WRONG = {
    "export": [
        *((flags + ["--format", "keras", "--path", "{new}.keras"], code) for flags, code in MODEL),
        (["--model", "{garbage}", "--format", "coreml", "--path", "{new}.keras"], None),
        (["--model", "{garbage}", "--path", "{new}.keras", "--tolerance", "much"], 2),
    ],
    "sparsify": [
        *MODEL,
        (["--model", "{garbage}", "--sparsity", "most"], 2),
        (["--model", "{garbage}", "--sparsity", "nan"], 1),
        (["--model", "{garbage}", "--output", "{folder}"], 1),
        (["--model", "{garbage}", "--output", "{below}.keras"], 1),
        (["--model", "{garbage}", "--output", "{new}.h5"], 1),
    ],
    "summarize": [
        *MODEL,
        (["--model", "{garbage}", "--csv", "{folder}"], 1),
        (["--model", "{garbage}", "--csv", "{new}.txt"], 1),
        (["--model", "{garbage}", "--picture", "{below}.png"], 1),
    ],
    "paper_settings": [(["--distribution", "even"], 2), (["--distribution"], 2)],
    "prepare_dataset": [
        ([], 2),
        (["--dataset", "mnist", "--images", "{folder}", "--data-dir", "{new}"], 2),
        (["--dataset", "cifar10", "--images", "{missing}", "--data-dir", "{new}"], 1),
        (["--dataset", "cifar10", "--images", "{garbage}", "--data-dir", "{new}"], 1),
        (["--dataset", "cifar10", "--images", "{folder}", "--data-dir", "{below}"], 1),
        (["--dataset", "tiny_imagenet", "--images", "{folder}", "--data-dir", "{new}"], 1),
        (["--dataset", "tiny_imagenet", "--images", "{garbage}", "--data-dir", "{new}"], 1),
        (
            ["--dataset", "cifar10", "--images", "{folder}", "--data-dir", "{new}", "--limit", "0"],
            1,
        ),
    ],
    "report": [
        (["--protocol", "large"], 2),
        (["--records", "{records}", "--output", "{new}"], 1),
        (["--records", "{folder}", "--output", "{garbage}"], 1),
        (["--records", "{folder}", "--output", "{below}"], 1),
    ],
    "publish_weights": [
        (["--run-dir", "{missing}"], 1),
        (["--run-dir", "{folder}"], 1),
        (["--run-dir", "{below}"], 1),
        (["--record", "{missing}"], 1),
        (["--record", "{garbage}"], 1),
        (["--record", "{folder}", "--weights", "{missing}"], 1),
        (["--weights", "{missing}"], 2),
    ],
    "reproduce": [
        ([], 2),
        (["table9"], 2),
        (["table1", "--seeds", "one"], 2),
        (["table1", "--limit", "few"], 2),
    ],
    "train": [
        ([], 2),
        (["--run-dir", "{new}", "--epochs", "-1"], 2),
        (["--run-dir", "{new}", "--sparsity", "nan"], None),
        (["--run-dir", "{new}", "--g", "8", "--p", "99"], None),
        (["--run-dir", "{new}", "--learning-rate", "nan"], 2),
        (["--run-dir", "{new}", "--dataset", "cifar10", "--data-dir", "{garbage}"], 1),
        (["--run-dir", "{below}"], 1),
        (["--run-dir", "{folder}"], 1),
        (["--run-dir", "{garbage}"], 1),
        (["--run-dir", "{records}", "--resume"], 1),
    ],
    "train_distributed": [
        ([], 2),
        (["--dry-run", "--run-dir", "{new}"], 2),
        (["--dry-run", "--model", "ResNet33"], 1),
        (["--dry-run", "--sparsity", "1.5"], 1),
        (["--dry-run", "--devices", "0"], 1),
        (["--dry-run", "--accumulate", "0"], 1),
        (["--dry-run", "--process", "2", "--processes", "2"], 1),
        (["--dry-run", "--dataset", "mnist", "--data-dir", "{garbage}"], 1),
        (["--run-dir", "{below}"], 1),
    ],
}


@pytest.fixture
def places(tmp_path):
    """Paths with which nothing can be done."""
    folder, records = tmp_path / "folder", tmp_path / "records"
    folder.mkdir()
    records.mkdir()
    (folder / "mine.txt").write_text("mine")
    damaged = EXPERIMENTS["table1"]("small")[0].settings[0].key
    (records / f"{damaged}.json").write_text('{"setting": {"network": ["ResNet')
    garbage = tmp_path / "garbage.keras"
    garbage.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 8)
    empty = tmp_path / "empty.keras"
    empty.write_bytes(b"")
    pickle = tmp_path / "pickle.keras"
    pickle.write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    return {
        "folder": folder, "records": records, "garbage": garbage, "empty": empty, "pickle": pickle,
        "missing": tmp_path / "missing", "below": garbage / "below", "new": tmp_path / "new",
    }  # fmt: skip


def test_every_program_is_here():
    assert {program.stem for program in PROGRAMS} == set(WRONG)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_a_flag_that_none_has_is_exit_2(program, call):
    code, errors = call(program, ["--nonsense"])
    assert code == 2
    assert errors.splitlines()[-1].startswith(f"{program.name}: error:")
    assert call(program, ["--help"])[0] == 0


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [(name, *case) for name in WRONG for case in WRONG[name]],
    ids=lambda part: " ".join(part) if isinstance(part, list) else str(part),
)
def test_wrong_flags_paths_and_data_are_one_line(name, arguments, expected, places, call, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    arguments = [word.format_map(places) for word in arguments]
    code, errors = call(ROOT / "applications" / f"{name}.py", arguments)
    assert code in ((1, 2) if expected is None else (expected,))
    assert "Traceback" not in errors
    lines = errors.strip().splitlines()
    assert ("error:" in lines[-1]) if code == 2 else lines[-1].startswith(f"{name}: "), errors
    assert code == 2 or len(lines) == 1, errors
    left = {path.name for path in set(tmp_path.rglob("*")) - set(before)}
    assert left <= {"new", "README.md"}, left
    count("programs", f"exit {code}")
