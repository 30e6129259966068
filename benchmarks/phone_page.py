"""Make the table of sizes of docs/export.md from the results: no number by hand.

python benchmarks/phone_page.py
"""

import re

import results
from export_quantized import MODES, NETWORKS
from page import ROOT, table

PAGE = ROOT / "docs/export.md"
RESULTS = results.FOLDER / "export-quantized.csv"
BEGIN, END = "<!-- made by benchmarks/phone_page.py -->", "<!-- end of what is made -->"
FORMATS = {"litert": "LiteRT", "onnx": "ONNX", "openvino": "OpenVINO"}


def section(rows):
    """Return the tables of all networks, one for each, in Markdown."""
    found = {(row["network"], row["format"], row["quantize"]): row for row in rows}
    parts = [_network(builder, found) for builder in dict.fromkeys(map(_builder, NETWORKS))]
    counts = sorted({row["test_images"] for row in rows if row["test_images"]})
    return "\n\n".join([*parts, f"Accuracy: of {', '.join(counts)} test images of CIFAR-10."])


def _builder(name):
    return name.partition(":")[0]


def _network(builder, found):
    """A table of one network: a line for each kind of file, two columns for each sparsity."""
    names = [name for name in NETWORKS if _builder(name) == builder]
    heads = ["file"]
    for name in names:
        title = _title(name, found)
        heads += [f"{title}: bytes", "accuracy"]
    lines = []
    for form, modes in MODES.items():
        for mode in modes:
            cells = [_cells(found.get((name, form, mode)), names[0], found) for name in names]
            if any(cell != ("not run", "") for cell in cells):
                lines.append(
                    [f"{FORMATS[form]}, {mode}", *(part for cell in cells for part in cell)]
                )
    return f"**{builder}**\n\n{table(heads, lines)}"


def _title(name, found):
    sparsities = {row["sparsity"] for key, row in found.items() if key[0] == name}
    if name.endswith(":0"):
        return "dense"
    return f"SSC, {float(sparsities.pop()):.1%} removed" if sparsities else f"SSC {name}"


def _cells(row, dense, found):
    """Bytes, with how many times less than dense in this kind of file; and accuracy."""
    if row is None:
        return "not run", ""
    beside = found.get((dense, row["format"], row["quantize"]))
    words = f"{int(row['bytes']):,}"
    if beside and beside is not row:
        words += f" ({int(beside['bytes']) / int(row['bytes']):.1f} times less)"
    return words, f"{float(row['accuracy']):.2%}" if row["accuracy"] else "not trained"


def with_section(text, new):
    """The page with a new section between the marks."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    text, count = re.subn(pattern, lambda _: f"{BEGIN}\n\n{new}\n\n{END}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError("The page must have the marks of one section that is made.")
    return text


if __name__ == "__main__":
    made = with_section(PAGE.read_text(encoding="utf-8"), section(results.read(RESULTS)))
    PAGE.write_text(made, encoding="utf-8")
