"""The page of results: our means beside the paper's figures, "not run" where nothing ran."""

import dataclasses
import statistics

from paper.records import best_accuracy, chosen_on_test, last_accuracy, last_top5
from paper.significance import compared


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


def found(cell, records):
    """Return the records that a cell has so far."""
    return [records[setting] for setting in cell.settings if setting in records]


def subjects(cells):
    """Return {(network, image set, column): its cells}, in order; the network is that which runs.

    The protocol "small" has smaller networks in place of the paper's.
    """
    groups = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.dataset, cell.column), []).append(cell)
    return {(_running(group), *key[1:]): group for key, group in groups.items()}


def title_of(subject):
    """Return the heading of a key of `subjects`.

    Example:

    >>> title_of(("ResNet20", "cifar10", "0.9")), title_of(("ResNet20", "cifar10", ""))
    ('ResNet20, cifar10, 0.9', 'ResNet20, cifar10')
    """
    return ", ".join(filter(None, subject))


def _running(group):
    networks = [cell.settings[0].network for cell in group if cell.settings]
    return networks[0] if networks else group[0].network


def comparisons(cells, records, reference="SSC"):
    """Return {((network, image set, column), row): `Comparison`} of the reference with all rows.

    Only seeds count that both rows have run: these share the order of the images, and the draws of
    weights where kernels are alike. p is adjusted for all comparisons of the table.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        reference: str, the row that is compared with all others.
    """
    pairs = {}
    for subject, group in subjects(cells).items():
        own = next((cell for cell in group if cell.row == reference), None)
        for cell in group:
            if own and own.settings and cell.settings and cell.settings != own.settings:
                pairs[subject, cell.row] = _paired(own, cell, records)
    return compared(pairs)


def _paired(own, other, records):
    """The accuracies of two cells, of the seeds that both have."""
    ours, theirs = (
        {one.seed: last_accuracy(records[one]) for one in cell.settings if one in records}
        for cell in (own, other)
    )
    both = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in both], [theirs[seed] for seed in both]


def table(cells, records, reference="SSC"):
    """Return a Markdown table for each network, image set and column of an experiment.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        reference: str, the row that is compared with all others, where there is one.
    """
    parts, results = [], comparisons(cells, records, reference)
    for subject, group in subjects(cells).items():
        ran = {cell.row: found(cell, records) for cell in group}
        title = title_of(subject)
        if not any(ran.values()):
            runs = len({one for cell in group if not cell.past for one in cell.settings})
            parts.append(f"**{title}**: not run, {runs} runs.")
            continue
        printed = any(cell.printed for cell in group)
        compares = any(cell.row == reference for cell in group)
        head = ["method", "accuracy, last epoch", "best epoch"]
        head += [f"{reference} against it"] * compares
        head += ["seeds", "live weights", "network / KxK sparsity", "multiply-adds"]
        head += ["filter norm²", "s/run"]
        head += [f"the paper prints ({group[0].network})"] if printed else []
        lines = [f"**{title}**", "", table_line(head), "|---" * len(head) + "|"]
        for cell in group:
            if cell.past and not ran[cell.row]:
                continue
            result = str(results.get((subject, cell.row), ""))
            line = [cell.row, *_figures(ran[cell.row], [result] * compares)]
            lines.append(table_line(line + ([cell.printed] if printed else [])))
        own = next(cell.settings for cell in group if cell.settings)
        lines += ["", f"Images of {own[0].image_size} x {own[0].image_size}."]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def scoreboard(cells, records, reference="SSC", turned=False):
    """Return a Markdown table of comparisons: a line for each method, a column for each sparsity.

    "" where no two rows have the seeds for a test.

    Args:
        cells: list of `Cell`.
        records: `Records`.
        reference: str, the row that is compared with all others.
        turned: bool, whether the others are compared with it: what beats it has a plus.
    """
    results = comparisons(cells, records, reference)
    if not results:
        return ""
    groups = subjects(cells)
    columns = [one for one in groups if any(subject == one for subject, _ in results)]
    there = {(subject, cell.row): cell for subject, group in groups.items() for cell in group}
    first = f"against {reference}" if turned else f"{reference} against"
    lines = [table_line([first, *map(title_of, columns)])]
    lines.append("|---" * (1 + len(columns)) + "|")
    for row in dict.fromkeys(row for _, row in there if row != reference):
        line = []
        for subject in columns:
            result = results.get((subject, row))
            own, cell = there.get((subject, reference)), there.get((subject, row))
            if result:
                line.append(str(-result if turned else result))
            elif own and cell and cell.settings and cell.settings == own.settings:
                line.append("the same runs")
            else:
                line.append("not run" if cell else "")
        if set(line) - {"", "not run"}:
            lines.append(table_line([row, *line]))
    return "\n".join(lines)


def tally(cells, records, rows, reference="SSC"):
    """Return one sentence: how often the reference beats the rows, loses, and neither is shown.

    Args:
        cells, records, reference: as for `scoreboard`.
        rows: names of the rows that count.
    """
    results = comparisons(cells, records, reference)
    verdicts = [one.verdict for (_, row), one in results.items() if row in rows]
    if not verdicts:
        return ""
    names = ", ".join(f'"{row}"' for row in rows)
    return (
        f"Of {len(verdicts)} comparisons of {reference} with {names}: {reference} beats "
        f"in {verdicts.count('beats')}, loses in {verdicts.count('loses')}; in "
        f"{verdicts.count('no difference shown')} no difference is shown."
    )


def better_of(cells, others, records):
    """Return the cells of two experiments that differ in the rate alone, whichever did better.

    Args:
        cells, others: lists of `Cell`.
        records: `Records`; a cell that is not finished in both experiments has no settings.
    """
    same = {(cell.network, cell.dataset, cell.row, cell.column): cell for cell in others}
    better = []
    for cell in cells:
        other = same.get((cell.network, cell.dataset, cell.row, cell.column))
        if not cell.settings or not other or _without_rate(cell) != _without_rate(other):
            continue
        if all(len(found(one, records)) == len(one.settings) for one in (cell, other)):
            better.append(max((cell, other), key=lambda one: _mean_accuracy(one, records)))
        else:
            better.append(dataclasses.replace(cell, settings=()))
    return better


def _without_rate(cell):
    return [dataclasses.replace(setting, learning_rate=0.0) for setting in cell.settings]


def _mean_accuracy(cell, records):
    return statistics.mean(last_accuracy(record) for record in found(cell, records))


def _figures(records, result):
    if not records:
        return ["not run"] + [""] * (7 + len(result))
    one = records[0]
    shares = f"{one['network_sparsity']:.4f} / {one['kxk_sparsity']:.4f}"
    last = mean_and_deviation([last_accuracy(record) for record in records])
    fives = [five for record in records if (five := last_top5(record)) is not None]
    last += f" / {mean_and_deviation(fives)}" if fives else ""
    bests = [top for record in records if (top := best_accuracy(record)) is not None]
    best = mean_and_deviation(bests) if bests else ""
    best += " †" if any(map(chosen_on_test, records)) else ""
    norms = [record["filter_norm"] for record in records if record.get("filter_norm") is not None]
    weights = f"{one['live_weights']:,}"
    weights += f" + {one['basis_weights']:,} of bases" if one.get("basis_weights") else ""
    return [
        last,
        best,
        *result,
        str(len(records)),
        weights,
        shares,
        f"{one['multiply_adds']:,}",
        f"{statistics.mean(norms):.3g}" if norms else "",
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
            if "loop" in records[setting]:  # a run of `gpu_loop`
                line += f", {records[setting]['loop']}"
            counts[line] = counts.get(line, 0) + 1
    return "\n".join(f"- {line}: {count} runs" for line, count in counts.items())


def table_line(cells):
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
