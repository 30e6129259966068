"""The figures, and what the paper does not print: what each switch does, and (g, p) compared."""

import dataclasses

from paper.cells import Cell, base, reached, seeded
from paper.tables import (
    METHOD_OF,
    PER_FILTER,
    UNIFORM,
    ours,
    table1,
    table1_tuned,
    table2,
    table3,
    table4,
    table5,
    tuned,
)

SWITCHES = (
    "", "butterfly", "block", "alternate", "per_filter", "shortcuts", "shortcuts+classifier",
    "dense_scale", "per_filter+shortcuts+classifier", "butterfly+dense_scale",
    "per_filter+dense_scale", "butterfly+per_filter+dense_scale",
)  # fmt: skip
PAPERS_PATTERN = "paper (cyclic, halves)"  # the row without a switch
CYCLIC = "cyclic"  # the builders' own pattern
ON_CPUS = "(8, 3)"  # what is chosen for 90 %
LAMBDAS = (1e-4, 1e-3, 1e-2)
RATES = (0.1, 0.03, 0.01, 0.3)  # GraSP's first
# Weights forget their random start in some (1 - momentum) / (rate * l2) steps: 10,000 at GraSP's
# rate, of its 62,560. In 5,008 steps, with batches of 32, they do so with 12.5 times its l2.
FORGETTING = {"epochs": 16, "batch_size": 32, "l2": 12.5e-4, "held_out": 5000}


def variants(protocol, seeds=(0, 1, 2)):
    """What each switch of the pattern does, on 5,000 training images held out."""
    cells = []
    for network in ("ResNet32", "VGG19"):
        for sparsity in (0.98, 0.95, 0.9):
            plain = base(protocol, network, "cifar10", held_out=5000, method="ssc")
            for variant in SWITCHES:
                if network == "VGG19" and "shortcuts" in variant:
                    continue
                one = dataclasses.replace(plain, variant=variant, sparsity=sparsity)
                row = variant or PAPERS_PATTERN
                cells.append(Cell(network, "cifar10", row, f"{sparsity:g}", seeded(one, seeds)))
    return cells


def rates(protocol, seeds=(0,)):
    """The learning rate of short runs, on 5,000 training images held out."""
    cells = []
    for network in ("ResNet32", "VGG19"):
        changes = tuned(protocol, network)
        for rate in RATES:
            plain = base(
                protocol, network, "cifar10", held_out=5000, **changes | {"learning_rate": rate}
            )
            sparse = dataclasses.replace(plain, method="ssc", sparsity=0.98)
            runs = {"dense": plain, "SSC, live initial scale": sparse}
            for row, variant in (("SSC, uniform", UNIFORM), ("SSC, per_filter", PER_FILTER)):
                runs[row] = dataclasses.replace(sparse, variant=variant)
            for row, setting in runs.items():
                column = (row, f"rate {rate:g}", seeded(setting, seeds))
                cells.append(Cell(network, "cifar10", *column))
    return cells


def figure3(protocol, seeds=(3,)):
    """Correlation of the filters: standard, SO, DSO and SSC at 90 %, CIFAR-100.

    Under the protocol "small" twice. After 8 epochs the filters are still near their random start,
    which says little about training. In 16 epochs with batches of 32 and 12.5 times the weight
    decay they forget it: steps x rate x L2 are those of GraSP's 160 epochs.

    The factor of SO and of DSO with the best accuracy is drawn: on 5,000 training images held out,
    in the 8 epochs on the test images.
    """
    columns = {"": {"held_out": 5000}}
    if protocol == "small":
        columns = {"8 epochs, 632 steps": {}, "16 epochs, 5,008 steps, L2 x 12.5": FORGETTING}
    cells = []
    for column, changes in columns.items():
        plain = base(protocol, "ResNet32", "cifar100", **changes)
        runs = {"standard": plain}
        for name in ("SO", "DSO"):
            for factor in LAMBDAS:
                penalty = {"regularizer": name, "factor": factor}
                runs[f"{name} {factor:g}"] = dataclasses.replace(plain, **penalty)
        sparse = dataclasses.replace(plain, method="ssc", sparsity=0.9)
        runs["SSC"] = dataclasses.replace(sparse, variant=UNIFORM)
        runs["SSC, live initial scale"] = sparse
        for row, setting in runs.items():
            cells.append(Cell("ResNet32", "cifar100", row, column, seeded(setting, seeds)))
    return cells


def figure4_left(protocol, seeds=(3, 4, 5)):
    """Few images: 20, 40 and 50 % of each class, dense and SSC at 90 %.

    Under the protocol "small" at the learning rate of table1-tuned. There it says nothing of the
    paper's claim, that SSC is robust to overfitting: nobody overfits in 8 epochs, the networks are
    no better on the images that they train on than on others.
    """
    cells = []
    changes = tuned(protocol, "ResNet32")
    for share in (0.2, 0.4, 0.5):
        plain = base(protocol, "ResNet32", "cifar10", train_share=share, **changes)
        sparse = dataclasses.replace(plain, method="ssc", variant=UNIFORM, sparsity=0.9)
        runs = {"dense": plain, "SSC": sparse}
        for row, setting in runs.items():
            cells.append(Cell("ResNet32", "cifar10", row, f"{share:g}", seeded(setting, seeds)))
    return cells


def figure4_right(protocol, seeds=(3, 4, 5)):
    """CIFAR-100's patterns on 100 classes of Tiny-ImageNet, at 90 and 95 %.

    The patterns of SSC and random ERK follow from the layers' shapes alone, so they are the same
    for both image sets; SNIP's and GraSP's masks are scored on CIFAR-100 and carried over, with
    their own on Tiny-ImageNet beside them.

    Under the protocol "small" with 40 images a class, 20 epochs of 32 steps, so that a tenth of
    Tiny-ImageNet, 50 images a class, is enough: the other ten choose the epoch.
    """
    cells = []
    changes = tuned(protocol, "ResNet32")
    if protocol == "small":
        changes = changes | {"train_images": 4000, "epochs": 20}
    for sparsity in (0.9, 0.95):
        plain = base(protocol, "ResNet32", "tiny_imagenet_100", velocity="pytorch", **changes)
        sparse = ours(plain, sparsity)["SSC"]
        budget = {"sparsity": sparsity, "keep": reached(sparse)}
        runs = {"dense": plain, "SSC": sparse}
        runs["random ERK"] = dataclasses.replace(plain, method="random ERK", **budget)
        for method in ("SNIP", "GraSP"):
            own = dataclasses.replace(plain, method=METHOD_OF[method], **budget)
            carried = dataclasses.replace(own, mask_dataset="cifar100")
            runs[f"{method}, masks of CIFAR-100"] = carried
            runs[f"{method}, masks of Tiny-ImageNet"] = own
        for row, setting in runs.items():
            column = (row, f"{sparsity:g}", seeded(setting, seeds))
            cells.append(Cell("ResNet32", "tiny_imagenet_100", *column))
    return cells


def velocity(protocol, seeds=(3,)):
    """Is the learning rate part of the velocity? Keras's way beside PyTorch's, at 98 %.

    Keras's SGD keeps the rate in the velocity. After a drop to a tenth some ten steps are as long
    as before, and nothing corrects them: in short runs the loss of that epoch rises. GraSP's code
    has PyTorch's SGD. All tables but `table5` and `figure4-right` were begun with Keras's way.
    """
    cells = []
    for way in ("keras", "pytorch") if protocol == "small" else ("pytorch",):
        changes = tuned(protocol, "ResNet32") | {"velocity": way}
        plain = base(protocol, "ResNet32", "cifar10", **changes)
        sparse = ours(plain, 0.98)["SSC, per_filter"]
        budget = {"sparsity": 0.98, "keep": reached(sparse)}
        runs = {"dense": plain, "SSC": sparse}
        for row in ("random ERK", "SNIP", "GraSP", "SynFlow"):
            runs[row] = dataclasses.replace(plain, method=METHOD_OF[row], **budget)
        for row, setting in runs.items():
            column = (row, f"velocity of {way}", seeded(setting, seeds))
            cells.append(Cell("ResNet32", "cifar10", *column))
    return cells


def mixing(protocol, seeds=(0, 1, 2)):
    """Does it matter how far the layers of a stage mix the channels? On held-out images.

    At 97.5 % the patterns of ResNet20 are those of ResNet32 at 98 %: (16, 15), (32, 31), (64, 63).
    Another offset from set to set ("butterfly") or another p with as many 1x1 kernels ("mixing")
    joins more channels with as many weights, multiply-adds, and as large initial filters. At 98 %
    there are no 1x1 kernels, so only the offset can differ. "One KxK kernel" of a filter and more
    1x1 kernels in place of two and two, and a "slope", four times as many weights a filter in the
    first layer as in the last one, have at most as many weights, and each layer filters as large.

    Under the protocol "small" twice, as in `figure3`: in the longer training the weights forget
    their start.
    """
    columns = {"": {"held_out": 5000}}
    if protocol == "small":
        columns = {
            "8 epochs, 632 steps": {"held_out": 5000},
            "16 epochs, 5,008 steps, L2 x 12.5": FORGETTING,
        }
    rows = {CYCLIC: "", "butterfly": "butterfly+", "mixing": "mixing+"}
    rows |= {"one KxK kernel": "", "slope": ""}
    cells = []
    for column, changes in columns.items():
        for sparsity in (0.975, 0.98) if protocol == "small" else (0.98,):
            plain = base(protocol, "ResNet32", "cifar10", **tuned(protocol, "ResNet32") | changes)
            for row, word in rows.items():
                if sparsity == 0.98 and protocol == "small" and row not in (CYCLIC, "butterfly"):
                    continue
                own = {"method": METHOD_OF.get(row, "ssc"), "variant": word + PER_FILTER}
                own["sparsity"] = sparsity
                runs = seeded(dataclasses.replace(plain, **own), seeds)
                where = ", ".join(filter(None, [f"{sparsity:g}", column]))
                cells.append(Cell("ResNet32", "cifar10", row, where, runs))
    return cells


def ablation(protocol, seeds=(0, 1, 2)):
    """(g, p) at nearly equal R_p of 95 %, on held-out images."""
    own = {"method": "ssc", "variant": UNIFORM, **tuned(protocol, "ResNet32")}
    plain = base(protocol, "ResNet32", "cifar10", held_out=5000, **own)
    return [
        Cell(
            "ResNet32", "cifar10", f"({g}, {p})", "",
            seeded(dataclasses.replace(plain, g=g, p=p), seeds),
        )
        for g, p in ((10, 0), (12, 14), (16, 6), (24, 4), (32, 3))
    ]  # fmt: skip


def gpu_patterns(protocol, seeds=(0, 1, 2)):
    """Does the pattern that a GPU computes fastest learn as well? On held-out images.

    With p that divides g - 1, (8, 7), the 1x1 kernels of a filter reach one neighbouring class of
    channels alone, and with the offset "butterfly" another one from layer to layer. (8, 6) has 2 %
    more weights, (8, 3), which is chosen for a CPU at 90 %, 20 % more; both reach all classes.

    Under the protocol "small" twice, as in `mixing`.
    """
    columns = {"": {"held_out": 5000}}
    if protocol == "small":
        columns = {
            "8 epochs, 632 steps": {"held_out": 5000},
            "16 epochs, 5,008 steps, L2 x 12.5": FORGETTING,
        }
    rows = {"(8, 7)": (7, ""), "(8, 7), butterfly": (7, "butterfly+"), "(8, 6)": (6, ""),
            ON_CPUS: (3, "")}  # fmt: skip
    cells = []
    for column, changes in columns.items():
        plain = base(protocol, "ResNet32", "cifar10", **tuned(protocol, "ResNet32") | changes)
        for row, (p, word) in rows.items():
            own = {"method": "ssc", "g": 8, "p": p, "variant": word + UNIFORM}
            runs = seeded(dataclasses.replace(plain, **own), seeds)
            cells.append(Cell("ResNet32", "cifar10", row, column, runs))
    return cells


# Every table and figure by its name.
EXPERIMENTS = {
    "table1-tuned": table1_tuned,
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "variants": variants,
    "rates": rates,
    "figure3": figure3,
    "figure4-left": figure4_left,
    "figure4-right": figure4_right,
    "velocity": velocity,
    "mixing": mixing,
    "gpu-patterns": gpu_patterns,
    "ablation": ablation,
}
