"""Rows of results: to a CSV file, to the screen, and against the fastest dense of their run."""

import csv
import os
from pathlib import Path

from common import machine

FOLDER = Path(__file__).parents[1] / "results"


def read(path):
    """Return the rows of a CSV file, all values as text; none where there is no file."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save(rows, path, name):
    """Write all columns of the rows to `path`, or to a file named by `name` and the hardware."""
    path = Path(path) if path else FOLDER / f"{name}-{machine.hardware_name()}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(unfinished, path)
    print(f"written: {path}", flush=True)


def against_fastest_dense(rows):
    """Add `fastest_dense` and `times_as_fast` to the rows of one run.

    Args:
        rows: list of dicts with `competitor`, `kind` (`"dense"` or another) and `median_ms`, which
            is empty where the competitor was not run.
    """
    dense = [row for row in rows if row["kind"] == "dense" and row["median_ms"] != ""]
    if not dense:
        return [row | {"fastest_dense": "", "times_as_fast": ""} for row in rows]
    fastest = min(dense, key=lambda row: float(row["median_ms"]))

    def ratio(row):
        if row["median_ms"] == "":
            return ""
        return round(float(fastest["median_ms"]) / float(row["median_ms"]), 3)

    return [
        row | {"fastest_dense": fastest["competitor"], "times_as_fast": ratio(row)} for row in rows
    ]


def print_table(rows):
    """Print the rows of one run."""
    print(
        f"{'competitor':36}{'median ms':>11}{'quartiles':>22}{'x fastest dense':>17}{'rounds':>8}"
    )
    for row in rows:
        if row["median_ms"] == "":
            print(f"{row['competitor']:36}   not run: {row['note']}", flush=True)
            continue
        spread = f"{row['quartile_1_ms']:.2f} - {row['quartile_3_ms']:.2f}"
        print(
            f"{row['competitor']:36}{row['median_ms']:11.2f}{spread:>22}"
            f"{row['times_as_fast']:>17}{row['rounds']:>8}",
            flush=True,
        )
