"""Make the table of sizes of docs/export.md from the results: no number by hand.

python benchmarks/phone_page.py
"""

import textwrap

from export_quantized import MODES, NETWORKS
from page import ROOT, table

from common import results
from common.sections import with_section

PAGE = ROOT / "docs/export.md"
RESULTS = results.FOLDER / "export-quantized.csv"
MAKER = "benchmarks/phone_page.py"
FORMATS = {"litert": "LiteRT", "onnx": "ONNX", "openvino": "OpenVINO"}


def section(rows):
    """Return the tables of all networks in Markdown: bytes and accuracy."""
    found = {(row["network"], row["format"], row["quantize"]): row for row in rows}
    builders = dict.fromkeys(name.partition(":")[0] for name in NETWORKS)
    parts = [_network(builder, found) for builder in builders]
    counts = ", ".join(sorted({row["test_images"] for row in rows if row["test_images"]}))
    words = (
        "Bytes of a file, in brackets how many times smaller than the dense network's file of the "
        f"same kind, and accuracy on {counts} test images of CIFAR-10 where the network is "
        "trained; bytes do not depend on that. By `benchmarks/export_quantized.py`."
    )
    return "\n\n".join([textwrap.fill(words, 100), *filter(None, parts)])


def _network(builder, found):
    """The table of one network, a line for each kind of file; "" without rows."""
    names = [name for name in NETWORKS if name.partition(":")[0] == builder]
    heads = [builder]
    for name in names:
        heads += [f"{_title(name, found)}: bytes", "accuracy"]
    lines = []
    for form, modes in MODES.items():
        for mode in modes:
            several = [found.get((name, form, mode)) for name in names]
            if any(several):
                cells = [cell for row in several for cell in _cells(row, several[0])]
                lines.append([f"{FORMATS[form]}, {mode}", *cells])
    return table(heads, lines) if lines else ""


def _title(name, found):
    reached = {row["sparsity"] for key, row in found.items() if key[0] == name}
    if name.endswith(":0"):
        return "dense"
    return (
        f"SSC, {float(reached.pop()):.1%} removed" if reached else f"SSC {name.partition(':')[2]}"
    )


def _cells(row, dense):
    """Bytes and accuracy of a file, beside that of the dense network."""
    if row is None:
        return "not run", ""
    words = f"{int(row['bytes']):,}"
    if dense and dense is not row:
        words += f" ({int(dense['bytes']) / int(row['bytes']):.1f})"
    accuracy = f"{float(row['accuracy']):.2%}" if row["accuracy"] else "not trained"
    return words, accuracy


if __name__ == "__main__":
    made = with_section(PAGE.read_text(encoding="utf-8"), MAKER, section(results.read(RESULTS)))
    PAGE.write_text(made, encoding="utf-8")
