"""One page for all experiments of a protocol."""

import functools
import inspect
import io

from keras_ssc.training.run_folder import beside
from paper.correlations import correlation_table, plot_correlations
from paper.figures import CYCLIC, EXPERIMENTS, ON_CPUS, PAPERS_PATTERN
from paper.kernels_figure import plot_kernels
from paper.mixing_table import joined_table
from paper.plots import plot_accuracy, plot_multiply_adds
from paper.result_tables import (
    better_of,
    found,
    machines,
    scoreboard,
    table,
    tally,
)
from paper.row_plots import plot_rows
from paper.tables import COMPARED, PAST

HEAD = {
    "small": """\
Protocol `small`: 10,000 training images averaged to 16 x 16 (32 x 32 of Tiny-ImageNet, 112 x 112 of
ImageNet), 8 epochs, ResNet20 of widths 32/64/128 in place of ResNet32 and VGG11 in place of VGG19,
batch 128, SGD with momentum 0.9, learning rate x0.1 at 50 % and 75 % of the steps, coupled L2, pad
and crop and mirror: the same for every row. (CIFAR-100 at 98 % needs ResNet32 itself; figure 3 has
a longer training besides.) Seconds are of runs that shared two cores with other work, and in
table 5 and of MLPrune waited for it besides: they say nothing of speed.

**What these runs can show, and what not.** They end at about 50 % accuracy on CIFAR-10, and each
network is about as good on the images that it trains on as on others. So they compare how fast the
networks learn in 632 steps, not how well they generalise after 160 epochs, which is what the
paper's tables are about. How fast a layer behind BatchNormalization learns depends on the norm of
its filters at the start: w -> c w is for it a learning rate divided by c². The methods start with
norms that differ many times over, SSC with the smallest, so part of each difference is that of
learning rates and not of masks. The rows "norms of SSC" take that part away: the same masks, each
layer scaled to the norm that SSC has there.

**Velocity.** Keras's SGD keeps the learning rate in its velocity, so that steps stay long for a
while when the rate drops. The first runs were made so. PyTorch's SGD, which GraSP's code has, does
not (see `velocity`). `table5` and `figure4-right` are with PyTorch's, all other tables with
Keras's, the same for every row.

**Read `table1-tuned` first.** The other tables, `variants` and `figure3` start at 0.1, GraSP's
learning rate, which is made for runs a hundred times as long: in 632 steps the dense networks learn
worse with it than with less (see `rates`). And VGG11's last two layers have maps of one pixel
there, on which eight of nine taps read padding only. SNIP, GraSP and SynFlow see that and keep
nothing but centre taps in these layers (looked at for 98 %); SSC spends 14 to 33 % of its weights
on the others, random ERK 36 % at 98 %. `table1-tuned` is without both: rate 0.03, with which the
dense networks were best on held-out images of CIFAR-10 (of four rates for ResNet20, of two for
VGG11; one seed), and VGG11 without its last maximum, so that its maps end with 2 x 2 as those of
the paper's VGG19 do. On CIFAR-100 no rate was tried out, and 632 steps are few for the 32 layers
there: the dense network is far from trained.""",
    "paper": """\
Protocol `paper`: GraSP's recipe, which the paper uses: 160 epochs (300 on Tiny-ImageNet, 90 on
ImageNet), all training images. Where one seed ran there is no test of a difference: a point or two
between single runs can be chance. The velocity of what ran is Keras's (see `velocity` on the page
of the protocol `small`): GraSP's code differs in some ten steps behind each drop of the rate. The
runs of ResNet32 on CIFAR-10 shared one GPU, four at a time (`paper/on_gpu.py`): their seconds say
nothing of speed.""",
}
RULES = """\
**Sparsity.** Network sparsity is 1 - live / dense weights over all Conv and Dense kernels; the KxK
sparsity beside it is that of the KxK kernels but the first, which SSC replaces. The other methods
keep exactly as many weights as "SSC, per_filter" (L1-norm, Slimming and AutoSlim, which remove
complete filters, at most as many). Weights are equal, arithmetic is not: see the multiply-adds.

**Comparisons.** Accuracies are means and standard deviations over seeds, of the last epoch, on the
test images unless it says otherwise. A comparison is the difference of the means in points, of the
seeds that both rows have run, with its 95 % interval and p of Welch's t-test, adjusted by
Benjamini and Hochberg's rule for all comparisons of the table. "Beats" and "loses" mean p < 0.05;
else "no difference shown", which is not "equal": with three seeds only large differences show.

**Old and new runs.** In the first runs the test images were read after each epoch; a "best epoch"
with a † was chosen by them, as GraSP's code does, and is too good. In new runs 5,000 training
images that no run of the protocol `small` trains on choose the epoch, and the test images are read
once, at the end. The rows "GraSP, no redraw", "SET, 40 updates" and "RigL, 40 updates" are old: the
first scores without the new draw of the classifier that GraSP's code makes, the others change their
masks 40 times until 75 % of the training, which nobody published. They are kept for the record and
not run again. "GraSP", "SET", "RigL", "DSR" and "Deep-R" are as their authors' codes do it: GraSP
with the redraw and two halves of images ordered by class, SET after each epoch, RigL and DSR from
every 100 steps, Deep-R after each step. SynFlow leaves 1x1 shortcuts almost no weights, a known
failure; "dense shortcuts" keeps these. "Filter norm²" is the mean squared norm of the filters of
the KxK kernels but the first before the training; old runs did not record it.

Some rows are trained more than once: OBD, MLPrune, L1-norm and Slimming dense and then again with
what is left; AutoSlim a slimmable network of 15 % of the epochs, four passes a step, and then the
narrow one; lottery tickets for each 20 % of the weights removed, and the late ones are rewound to
epoch 5, or in short runs to an eighth of the epochs. (The printed figures of OBD and MLPrune come
from cycles of pruning and training whose number is not known.) What was not run says so."""

OURS = """\
"SSC" is what the builders do (`distribution="auto"`): `per_filter` from a sparsity of 98 % on,
`uniform` below, with no more weights than the other methods: where the uniform network has more, it
is asked for 0.1 points more sparsity, and so on. Each distribution was the better one there, or
tied, on held-out images, at rate 0.1 (see `variants`). The rule was made when the test accuracies
of both distributions at 98, 95 and 90 % were known; before, `per_filter` alone was meant to be
compared, and its comparisons stand beside those of "SSC". "SSC, uniform" has its own number of
weights, in some cells more than the others. The row with the live initial scale is the paper's
pattern, uniform, with initial weights divided by sqrt(density); the builders do not divide, which
learned faster in these short runs at 98 % and on ResNet20. That too is a learning rate; whether
anything of it is left after 160 epochs was not run."""

COMPARISONS = ("table1", "table1-tuned", "table2")


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
    parts = ["# SSC and other methods", HEAD[protocol], RULES, OURS]
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
    parts += _picture("figure1: the kernels", plot_kernels, folder / "figure1-kernels.png")
    for name, cells in experiments.items():
        settings = {
            one for cell in cells for one in cell.settings if one in records or not cell.past
        }
        runs, done = len(settings), sum(setting in records for setting in settings)
        if not done:
            command = f"python applications/reproduce.py {name} --protocol {protocol}"
            parts.append(f"**{name}**: not run, {runs} runs; `{command}`")
            continue
        words = inspect.cleandoc(EXPERIMENTS[name].__doc__)
        parts.append(f"## {name}\n\n{words} {done} of {runs} runs are done.")
        parts += _pictures(name, cells, records, folder, protocol)
        if name in COMPARISONS:
            parts += _verdicts(name, cells, records, protocol)
        if name == "variants":
            parts.append(scoreboard(cells, records, PAPERS_PATTERN, turned=True))
        if name == "mixing":
            parts += [joined_table(cells), scoreboard(cells, records, CYCLIC, turned=True)]
        if name == "gpu-patterns":
            parts.append(scoreboard(cells, records, ON_CPUS, turned=True))
        if name == "figure3":
            parts.append(correlation_table(cells, records))
        else:
            parts.append(table(cells, records))
    path = folder / ("README.md" if protocol == "small" else "paper-protocol.md")
    with beside(path) as temporary:
        temporary.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    return path


def _verdicts(name, cells, records, protocol):
    rows, past = (
        [row for row in some if any(cell.row == row and found(cell, records) for cell in cells)]
        for some in (COMPARED, PAST)
    )
    parts = [tally(cells, records, rows), tally(cells, records, past), scoreboard(cells, records)]
    if board := scoreboard(cells, records, "SSC, per_filter"):
        parts += ["The same with `per_filter` at every sparsity:", board]
    better = better_of(cells, EXPERIMENTS["table1"](protocol), records)
    if name == "table1-tuned" and protocol == "small" and better:
        parts += [
            "One rate does not suit every method. Each at the better of two, 0.1 of `table1` and\n"
            "0.03, by the test images (ResNet20 alone: the VGG of `table1` is another one):",
            tally(better, records, rows),
            tally(better, records, past),
            scoreboard(better, records),
            scoreboard(better, records, "SSC, per_filter"),
        ]
    return parts


def _pictures(name, cells, records, folder, protocol):
    plots = {"accuracy": plot_rows}
    if name == "figure3":
        plots = {"correlation": plot_correlations}
    elif name in COMPARISONS:
        plots = {"accuracy": plot_accuracy, "multiply-adds": plot_multiply_adds}
    lines = []
    for what, plot in plots.items():
        draw = functools.partial(plot, cells, records)
        lines += _picture(f"{name}: {what}", draw, folder / f"{protocol}-{name}-{what}.png")
    return lines


def _picture(words, draw, path):
    """[the line of a page that shows a picture], [] where there was nothing to draw."""
    picture = io.BytesIO()
    if not draw(picture):
        return []
    with beside(path) as temporary:
        temporary.write_bytes(picture.getvalue())
    return [f"![{words}]({path.name})"]
