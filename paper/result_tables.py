"""The page of results: our means beside the paper's figures, "not run" where nothing ran."""

import dataclasses
import statistics

from paper.records import best_accuracy, last_accuracy


def mean_and_deviation(values):
    """Return "mean ± standard deviation" in percent, of shares.

    Example:

    >>> mean_and_deviation([0.5, 0.52]), mean_and_deviation([0.5]), mean_and_deviation([])
    ('51.00 ± 1.41', '50.00', 'not run')
    """
    if not values:
        return "not run"
    mean = 100 * statistics.mean(values)
    return f"{mean:.2f}" + (f" ± {100 * statistics.stdev(values):.2f}" if values[1:] else "")


def verdict(ours, theirs):
    """Return "beats", "loses" or "tie" of two lists of accuracies, "" where one has no spread.

    One beats the other when the means differ by more than the pooled standard deviation,
    sqrt((s_1^2 + s_2^2) / 2).

    Example:

    >>> verdict([0.6, 0.62], [0.5, 0.52]), verdict([0.6, 0.62], [0.59, 0.62]), verdict([0.6], [0.5])
    ('beats', 'tie', '')
    """
    if len(ours) < 2 or len(theirs) < 2:
        return ""
    pooled = ((statistics.variance(ours) + statistics.variance(theirs)) / 2) ** 0.5
    difference = statistics.mean(ours) - statistics.mean(theirs)
    if abs(difference) <= pooled:
        return "tie"
    return "beats" if difference > 0 else "loses"


def found(cell, records):
    """Return the records that a cell has so far."""
    return [records[setting] for setting in cell.settings if setting in records]


def subjects(cells):
    """Return {(network, image set, column): its cells}, in order."""
    groups = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.dataset, cell.column), []).append(cell)
    return groups


def table(cells, records, reference="SSC"):
    """Return a Markdown table for each network, image set and column of an experiment.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        reference: str, the row that is compared with all others, where there is one.
    """
    parts = []
    for (network, dataset, column), group in subjects(cells).items():
        ran = {cell.row: found(cell, records) for cell in group}
        if not any(ran.values()):
            runs = len({setting for cell in group for setting in cell.settings})
            parts.append(f"**{_title(network, dataset, column)}**: not run, {runs} runs.")
            continue
        printed = any(cell.printed for cell in group)
        compared = reference in ran
        head = ["method", "accuracy, last epoch", "best epoch"]
        head += [f"{reference} against it"] * compared
        head += ["seeds", "live weights", "network / KxK sparsity", "multiply-adds", "s/run"]
        head += ["the paper prints"] if printed else []
        lines = [f"**{_title(network, dataset, column)}**", "", table_line(head)]
        lines.append("|---" * len(head) + "|")
        last = {row: [last_accuracy(one) for one in found_] for row, found_ in ran.items()}
        ours = next((cell.settings for cell in group if cell.row == reference), None)
        for cell in group:
            same = cell.settings == ours
            result = "" if same else verdict(last.get(reference, []), last[cell.row])
            line = [cell.row, *_figures(ran[cell.row], [result] * compared)]
            lines.append(table_line(line + ([cell.printed] if printed else [])))
        own = group[0].settings or next(cell.settings for cell in group if cell.settings)
        lines += ["", f"Network here: {own[0].network}, {own[0].image_size} x {own[0].image_size}."]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def scoreboard(cells, records, reference="SSC", turned=False):
    """Return a Markdown table of verdicts: a line for each method, a column for each sparsity.

    Beside the verdict stands the difference of the means in points of accuracy. "" where no two
    rows have the seeds for a verdict.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        reference: str, the row that is compared with all others.
        turned: bool, whether the others are compared with it: what beats it has a plus.
    """
    columns, lines = [], {}
    for subject, group in subjects(cells).items():
        last = {c.row: [last_accuracy(one) for one in found(c, records)] for c in group}
        runs = {c.row: c.settings for c in group}
        ours = last.pop(reference, [])
        for row, theirs in last.items():
            pair = (theirs, ours) if turned else (ours, theirs)
            if result := verdict(*pair):
                points = 100 * (statistics.mean(pair[0]) - statistics.mean(pair[1]))
                same = runs[row] == runs[reference]
                lines.setdefault(row, {})[subject] = (
                    "the same runs" if same else f"{result}, {points:+.1f}"
                )
                columns += [subject] if subject not in columns else []
    if not lines:
        return ""
    first = f"against {reference}" if turned else f"{reference} against"
    head = [first, *(_title(*subject) for subject in columns)]
    there = {(subject, cell.row) for subject, group in subjects(cells).items() for cell in group}
    body = [
        [row, *(results.get(s, "not run" if (s, row) in there else "") for s in columns)]
        for row, results in lines.items()
    ]
    return "\n".join([table_line(head), "|---" * len(head) + "|", *map(table_line, body)])


def better_of(cells, others, records):
    """Return the cells of two experiments that differ in the rate alone, whichever did better.

    Args:
        cells, others: lists of `Cell`.
        records: `Records`; a cell that is not finished in both experiments has no settings.
    """
    twins = {(cell.network, cell.dataset, cell.row, cell.column): cell for cell in others}
    better = []
    for cell in cells:
        twin = twins.get((cell.network, cell.dataset, cell.row, cell.column))
        if not cell.settings or not twin or _without_rate(cell) != _without_rate(twin):
            continue
        if all(len(found(one, records)) == len(one.settings) for one in (cell, twin)):
            better.append(max((cell, twin), key=lambda one: _mean_accuracy(one, records)))
        else:
            better.append(dataclasses.replace(cell, settings=()))
    return better


def _without_rate(cell):
    return [dataclasses.replace(setting, learning_rate=0.0) for setting in cell.settings]


def _mean_accuracy(cell, records):
    return statistics.mean(last_accuracy(record) for record in found(cell, records))


def _figures(records, result):
    if not records:
        return ["not run"] + [""] * (6 + len(result))
    one = records[0]
    shares = f"{one['network_sparsity']:.4f} / {one['kxk_sparsity']:.4f}"
    last = mean_and_deviation([last_accuracy(record) for record in records])
    if "val_top5" in one["metrics"][-1]:
        fives = [record["metrics"][-1]["val_top5"] for record in records]
        last += f" / {mean_and_deviation(fives)}"
    return [
        last,
        mean_and_deviation([best_accuracy(record) for record in records]),
        *result,
        str(len(records)),
        f"{one['live_weights']:,}",
        shares,
        f"{one['multiply_adds']:,}",
        f"{statistics.median(record['seconds'] for record in records):.0f}",
    ]


def machines(settings, records):
    """Return a line of Markdown for each kind of machine that runs were made on, and how many.

    Args:
        settings: iterable of `Setting`.
        records: `Records`; what is not there is left out.
    """
    counts = {}
    for setting in dict.fromkeys(settings):
        if setting in records:
            about = records[setting]["environment"]
            cpu = about["hardware"]["cpu"]["name"]
            name = ", ".join([*about.get("accelerators", []), cpu])
            library = f"{about['backend']} {about['versions'].get(about['backend'])}"
            line = f"{name} ({about['hardware']['cpu_count']} cores), {library}"
            counts[line] = counts.get(line, 0) + 1
    return "\n".join(f"- {line}: {count} runs" for line, count in counts.items())


def _title(network, dataset, column):
    return ", ".join(part for part in (network, dataset, column) if part)


def table_line(cells):
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
