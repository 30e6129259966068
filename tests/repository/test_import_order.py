"""The floors of the package: nothing lower imports anything higher, TensorFlow is no floor."""

import ast
from pathlib import Path

import pytest

import keras_ssc

PACKAGE = Path(keras_ssc.__file__).parent

# From the ground up. A module may import from its own floor and from those below.
FLOORS = (
    {"patterns", "channel_classes", "sparsity", "initializers", "arguments", "tables"}
    | {"atomic_write", "model_file", "start"},
    {"execution", "native"},
    {"layers", "model_graph", "layer_copy", "model_class", "model_copy"},
    {
        "regularizers",
        "correlation",
        "pruning",
        "_summary",
        "summary_rows",
        "export",
        "convert",
        "plots",
    }
    | {"model_plots", "sweeps", "sweep_plots"},
    {"applications", "datasets", "callbacks"},
    {"training"},
    {"cli", "__main__"},
)
FLOOR_OF = {name: height for height, names in enumerate(FLOORS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_names(tree, file):
    """Yield (node, dotted name) for every import in `file`, relative ones made absolute."""
    package = ("keras_ssc", *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from ((node, f"{module}.{alias.name}") for alias in node.names)


def inside_functions(tree):
    """Return the nodes that run only when a function is called."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    outer = [node for node in ast.walk(tree) if isinstance(node, functions)]
    return {child for function in outer for child in ast.walk(function)}


def complaints(source, file):
    """Return what the rules forbid in `source`, the text of `file`."""
    tree = ast.parse(source)
    own = file.relative_to(PACKAGE).with_suffix("").parts[0]
    lazy = inside_functions(tree)
    found = []
    for node, name in imported_names(tree, file):
        parts = name.split(".")
        where = f"line {node.lineno}: imports {name}"
        if parts[:2] in (["keras", "src"], ["tensorflow", "python"]):
            found.append(f"{where}, a private name")
        if parts[0] in ("tensorflow", "tensorflow_datasets") and node not in lazy:
            found.append(f"{where} outside a function")
        if parts[0] in ("applications", "paper"):
            found.append(f"{where}, which is not shipped")
        if parts[0] == "keras_ssc" and own != "__init__":
            floor = FLOOR_OF.get(parts[1])
            if floor is None:
                found.append(f"{where}: import from a module, not from the package")
            elif floor > FLOOR_OF[own]:
                found.append(f"{where}, which stands above {own}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file):
    assert complaints(file.read_text(encoding="utf-8"), file) == []


def test_every_module_has_a_floor():
    modules = {file.relative_to(PACKAGE).with_suffix("").parts[0] for file in FILES}
    assert modules - {"__init__"} <= set(FLOOR_OF)


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("patterns.py", "from keras_ssc.layers import SSCConv2D", "stands above patterns"),
        ("patterns.py", "from .layers import SSCConv2D", "stands above patterns"),
        ("layers/new.py", "from ..training import run", "stands above layers"),
        ("layers/new.py", "import keras_ssc.datasets", "stands above layers"),
        ("layers/new.py", "from keras_ssc import SSCPattern", "not from the package"),
        ("layers/new.py", "def f():\n    import keras_ssc.datasets", "stands above layers"),
        ("datasets/new.py", "import tensorflow as tf", "outside a function"),
        ("datasets/new.py", "if True:\n    import tensorflow_datasets", "outside a function"),
        ("export.py", "def f():\n    from keras.src import ops", "a private name"),
        ("export.py", "def f():\n    from tensorflow.python.ops import nn_ops", "a private name"),
        ("training/new.py", "import applications.train", "is not shipped"),
        ("training/new.py", "from paper import Setting", "is not shipped"),
    ],
)
def test_a_breach_is_found(module, source, complaint):
    found = complaints(source, PACKAGE / module)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("layers/new.py", "from keras_ssc.patterns import SSCPattern"),
        ("layers/new.py", "from .ssc_conv2d import SSCConv2D"),
        ("training/run.py", "from ..callbacks import FilterCorrelation\nimport keras"),
        ("export.py", "def f():\n    import tensorflow as tf"),
        ("__init__.py", "from keras_ssc import applications, patterns"),
    ],
)
def test_what_is_allowed_is_not_reported(module, source):
    assert complaints(source, PACKAGE / module) == []
