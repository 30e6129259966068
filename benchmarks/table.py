"""Print results as the Markdown tables of the README.

python benchmarks/table.py benchmarks/results/resnet32-train-*.csv benchmarks/results/layers-*.csv
"""

import csv
import sys
from pathlib import Path


def tables(paths):
    """Yield one table for every (network or layer) of the files: tasks are columns."""
    rows = []
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    subjects = dict.fromkeys(row.get("network") or row["layer"] for row in rows)
    for subject in subjects:
        yield table(subject, [row for row in rows if subject in row.values()])


def table(subject, rows):
    """Milliseconds (median) and how many times as fast as the fastest dense Keras."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    times = {(row["competitor"], row["task"]): float(row["median_ms"]) for row in rows}
    fastest = {
        task: min(ms for (name, of), ms in times.items() if of == task and name.startswith("dense"))
        for task in tasks
    }
    lines = [f"| {subject}, batch {rows[0]['batch']} | {' | '.join(tasks)} |"]
    lines.append("|---" * (len(tasks) + 1) + "|")
    for name in dict.fromkeys(row["competitor"] for row in rows):
        cells = []
        for task in tasks:
            ms = times.get((name, task))
            cells.append(f"{ms:.1f} ms, {fastest[task] / ms:.2f}x" if ms else "not run")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n\n".join(tables(map(Path, sys.argv[1:]))))
