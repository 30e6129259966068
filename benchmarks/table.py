"""Print results as the Markdown tables of the README: networks in one, layers in another.

python benchmarks/table.py benchmarks/results/*-amd-epyc-2cores-avx512.csv
"""

import csv
import sys
from pathlib import Path


def read(paths):
    """Return the rows of files that name competitors."""
    rows = []
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            rows += [row for row in csv.DictReader(file) if row.get("competitor")]
    return rows


def table(rows):
    """Median milliseconds, and how many times as fast as the fastest dense Keras."""

    def subject(row):
        return f"{row.get('network') or row['layer']}, {row['task']}"

    columns = list(dict.fromkeys(map(subject, rows)))
    times = {(row["competitor"], subject(row)): float(row["median_ms"]) for row in rows}
    fastest = {
        column: min(
            ms for (name, of), ms in times.items() if of == column and name.startswith("dense")
        )
        for column in columns
    }
    lines = [f"| batch {rows[0]['batch']} | {' | '.join(columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name in dict.fromkeys(row["competitor"] for row in rows):
        cells = []
        for column in columns:
            ms = times.get((name, column))
            cells.append(f"{ms:.1f} ms ({fastest[column] / ms:.2f}x)" if ms else "not run")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(paths):
    """Print the tables."""
    rows = read(paths)
    networks = [row for row in rows if row.get("network")]
    layers = [row for row in rows if row.get("layer")]
    found = [networks] if networks else []
    for layer in dict.fromkeys(row["layer"] for row in layers):
        found.append([row for row in layers if row["layer"] == layer])
    print("\n\n".join(map(table, found)))


if __name__ == "__main__":
    main(map(Path, sys.argv[1:]))
