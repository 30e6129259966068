"""Rows to a CSV file and to a table on the screen."""

import csv
from pathlib import Path

import machine

FOLDER = Path(__file__).parent / "results"


def save(rows, path, name):
    """Write all columns of the rows to `path`, or to a file named by `name` and the hardware."""
    path = Path(path) if path else FOLDER / f"{name}-{machine.hardware_name()}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path}")


def print_table(rows):
    """Print the rows, task by task, with the ratio to the fastest dense rival of the task."""
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        dense = [row["median_ms"] for row in own if row["competitor"].startswith("dense")]
        print(f"\n{task}: {own[0].get('network') or own[0].get('layer')}, batch {own[0]['batch']}")
        print(f"{'competitor':32}{'median ms':>11}{'quartiles':>22}{'x dense':>9}{'runs':>6}")
        for row in own:
            ratio = f"{min(dense) / row['median_ms']:.2f}" if dense else ""
            spread = f"{row['quartile_1_ms']:.1f} - {row['quartile_3_ms']:.1f}"
            print(
                f"{row['competitor']:32}{row['median_ms']:11.1f}{spread:>22}{ratio:>9}"
                f"{row['runs']:6}"
            )
