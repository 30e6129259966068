"""One page for all experiments of a protocol."""

import inspect
import io

from keras_ssc.training.run_folder import beside
from paper.correlations import correlation_table, plot_correlations
from paper.figures import EXPERIMENTS, PAPERS_PATTERN
from paper.plots import plot_accuracy, plot_multiply_adds
from paper.result_tables import (
    better_of,
    machines,
    scoreboard,
    table,
)
from paper.row_plots import plot_rows

HEAD = {
    "small": """\
Protocol `small`: 10,000 training images averaged to 16 x 16 (32 x 32 of Tiny-ImageNet, 112 x 112 of
ImageNet), 8 epochs, ResNet20 of widths 32/64/128 for ResNet32 and VGG11 for VGG19, batch 128, SGD
with momentum 0.9, learning rate x0.1 at 50 % and 75 % of the steps, coupled L2, pad and crop and
mirror: the same for every row. (CIFAR-100 at 98 % needs ResNet32 itself; figure 3 has a longer
training besides.) Such short runs are no substitute for 160 epochs. Seconds are of runs that
shared two cores with other work; for speed see the README.

**Read `table1-tuned` first.** The other tables, `variants` and `figure3` start at 0.1, GraSP's
learning rate, which is made for runs a hundred times as long: in 632 steps the dense networks learn
worse with it than with less (see `rates`), and the best is what learns fastest. And VGG11's last
two layers have maps of one pixel there, on which eight of nine taps read padding only. SNIP, GraSP
and SynFlow see that and keep nothing but centre taps in these layers (looked at for 98 %); SSC
spends 14 to 33 % of its weights on the others, random ERK 36 % at 98 %. `table1-tuned` is without
both: rate 0.03, with which the dense networks were best on images of CIFAR-10 held out (of four
rates for ResNet20, of two for VGG11; one seed), and VGG11 without its last maximum, so that its
maps end with 2 x 2 as those of the paper's VGG19 do. On CIFAR-100 no rate was tried out, and 632
steps are few for the 32 layers there: the dense network is far from trained, so that column too
says what learns fastest.""",
    "paper": """\
Protocol `paper`: GraSP's recipe, which the paper uses: 160 epochs (300 on Tiny-ImageNet, 90 on
ImageNet). Where one seed ran, there is no spread and no verdict: a point or two between single
runs can be chance. The runs of ResNet32 on CIFAR-10 shared one GPU, four at a time
(`paper/on_gpu.py`): their seconds say nothing of speed.""",
}
RULES = """\
Network sparsity is 1 - live / dense weights over all Conv and Dense kernels; the KxK sparsity
beside it is that of the KxK kernels but the first, which SSC replaces. Rivals keep exactly as many
weights as "SSC, per_filter" (L1-norm and Slimming, which remove whole filters, not more). Some
rows are trained more than once: OBD, MLPrune, L1-norm and Slimming dense and then again with what
is left; lottery tickets for each 20 % of the weights removed, and the late ones are rewound to
epoch 5, or in short runs to an eighth of the epochs. (The printed figures of OBD and MLPrune come
from cycles of pruning and training whose number is not known.) Accuracies are means and standard
deviations over seeds, on the test set unless it says otherwise. "Beats" means that the means differ
by more than the pooled standard deviation; less is a "tie". What was not run says so."""

OURS = """\
"SSC" is what the builders do (`distribution="auto"`): `per_filter` from a sparsity of 98 % on,
`uniform` below, with no more weights than the rivals: where the uniform network has more, it is
asked for 0.1 points more sparsity, and so on. Each distribution was the better one there, or tied,
on images held out, at rate 0.1 (see `variants`). The rule was made when the test accuracies of both
distributions at 98, 95 and 90 % were known; before, `per_filter` alone was meant to meet the
rivals, and its verdicts stand beside those of "SSC". "SSC, uniform" has its own number of weights,
in some cells more than the rivals. The row with the live initial scale is the paper's pattern,
uniform, with initial weights divided by sqrt(density); the builders do not divide, which is the
better at 98 % and on ResNet20, but on VGG11 ties at 95 % and loses at 90 % (`variants`, protocol
`small`, at rate 0.1)."""

RIVAL_TABLES = ("table1", "table1-tuned", "table2")


def write_page(records, folder, protocol, empty=False):
    """Write README.md and the plots of a protocol into a folder; return the page's path.

    Args:
        records: `Records`.
        folder: pathlib.Path; made where it does not exist.
        protocol: `"paper"` or `"small"`.
        empty: bool, whether the page may say of every run that it was not run.

    Raises:
        ValueError: a record can't be read, or none is of this protocol.

    Example:

        write_page(Records("docs/evidence/records"), Path("docs/evidence"), "small")
    """
    parts = ["# SSC and its rivals", HEAD[protocol], RULES, OURS]
    experiments = {name: make(protocol) for name, make in EXPERIMENTS.items()}
    if set(experiments["table1-tuned"]) <= set(experiments["table1"]):
        del experiments["table1-tuned"]
    wanted = [one for cells in experiments.values() for cell in cells for one in cell.settings]
    if not empty and not any(setting in records for setting in wanted):
        missing = "" if records.folder.is_dir() else ", which does not exist"
        raise ValueError(
            f"There is no run of protocol {protocol!r} in {str(records.folder)!r}{missing}: the "
            'page would say "not run" of everything. empty=True, or --empty, writes it so.'
        )
    folder.mkdir(parents=True, exist_ok=True)
    if ran_on := machines(wanted, records):
        parts += ["What the runs ran on:", ran_on]
    for name, cells in experiments.items():
        settings = {setting for cell in cells for setting in cell.settings}
        runs, done = len(settings), sum(setting in records for setting in settings)
        if not done:
            command = f"python applications/reproduce.py {name} --protocol {protocol}"
            parts.append(f"**{name}**: not run, {runs} runs; `{command}`")
            continue
        words = inspect.cleandoc(EXPERIMENTS[name].__doc__)
        parts.append(f"## {name}\n\n{words} {done} of {runs} runs are done.")
        parts += _pictures(name, cells, records, folder, protocol)
        if name in RIVAL_TABLES:
            parts += _verdicts(name, cells, records, protocol)
        if name == "variants":
            parts.append(scoreboard(cells, records, PAPERS_PATTERN, turned=True))
        if name == "figure3":
            parts.append(correlation_table(cells, records))
        else:
            parts.append(table(cells, records))
    path = folder / ("README.md" if protocol == "small" else "paper-protocol.md")
    with beside(path) as temporary:
        temporary.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    return path


def _verdicts(name, cells, records, protocol):
    parts = [scoreboard(cells, records)]
    if board := scoreboard(cells, records, "SSC, per_filter"):
        parts += ["The same rivals against `per_filter` at every sparsity:", board]
    better = better_of(cells, EXPERIMENTS["table1"](protocol), records)
    if name == "table1-tuned" and protocol == "small" and better:
        parts += [
            "One rate does not suit every method. Each at the better of two, 0.1 of `table1` and\n"
            "0.03, by the test images (ResNet20 alone: the VGG of `table1` is another one):",
            scoreboard(better, records),
            scoreboard(better, records, "SSC, per_filter"),
        ]
    return parts


def _pictures(name, cells, records, folder, protocol):
    plots = {"accuracy": plot_rows}
    if name == "figure3":
        plots = {"correlation": plot_correlations}
    elif name in RIVAL_TABLES:
        plots = {"accuracy": plot_accuracy, "multiply-adds": plot_multiply_adds}
    lines = []
    for what, plot in plots.items():
        file = f"{protocol}-{name}-{what}.png"
        picture = io.BytesIO()
        if plot(cells, records, picture):
            with beside(folder / file) as temporary:
                temporary.write_bytes(picture.getvalue())
            lines.append(f"![{name}: {what}]({file})")
    return lines
