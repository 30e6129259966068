"""The paper's tables: SSC and the methods it is compared with, a list of cells each."""

import dataclasses

from keras_ssc.sparsity import distribution_at
from paper.cells import Cell, base, dense_weights, reached, seeded
from paper.masking import EQUAL_NORM
from paper.methods import METHODS
from paper.printed import PRINTED, PRINTED_TABLE_5

# What the builders do, below a sparsity of 98 % and from there on (`distribution="auto"`): of
# "variants" on held-out images per_filter is the best at 98 % on both networks; at 95 and 90 %
# uniform is, or they tie.
UNIFORM = "dense_scale"
PER_FILTER = "per_filter+dense_scale"
BUTTERFLY = "SSC, butterfly"
CHOSEN = {"uniform": UNIFORM, "per_filter": PER_FILTER}
OURS = ("SSC", "SSC, uniform", "SSC, per_filter", "SSC, live initial scale")
# With what the dense networks learned best of the rates tried on held-out images (see `rates`);
# and a VGG without maps of one pixel, where eight of nine taps read padding only: methods that
# score weights leave those taps out, SSC and random masks can't know.
TUNED = {
    "ResNet32": {"learning_rate": 0.03},
    "VGG19": {"network": "VGG11(pools=3)", "learning_rate": 0.03},
}
COMPARED = ("random uniform", "random ERK", "smart ratio", "SNIP", "GraSP", "SynFlow")
COMPARED += ("SynFlow, dense shortcuts", "SET", "RigL")
# As the first records were made: GraSP without its code's new draw of the classifier, the others
# with 40 changes of the masks until 75 % of the training. Shown, and not run any more.
PAST = {"GraSP, no redraw": "GraSP", "SET, 40 updates": "SET", "RigL, 40 updates": "RigL"}
FIRST_VELOCITY = ", velocity of Keras"  # of the first runs of table 5
# Masks that start with the norm that "SSC" has in each layer.
EQUAL_NORMS = {f"{name}, norms of SSC": name for name in ("random ERK", "SNIP", "GraSP", "SynFlow")}
# Label in the tables -> method; the others of the paper's rows are not run.
METHOD_OF = {name: name for name in METHODS} | {
    "SSC": "ssc",
    "lottery ticket, initial weights": "lottery ticket (init)",
    "lottery ticket, weights of epoch 5": "lottery ticket (epoch 5)",
    "L1-norm": "L1 filters",
    "GraSP": "GraSP, its code",
    **PAST,
}
METHOD_OF |= {row: f"ssc, {row}" for row in ("one KxK kernel", "slope")}
METHOD_OF |= {row: f"{row}, published" for row in ("SET", "RigL", "DSR", "Deep-R")}
METHOD_OF |= {row: METHOD_OF[name] for row, name in EQUAL_NORMS.items()}
# Dense in training, most of them trained more than once: run when the others are done.
AUTOSLIM_SHARE = 0.46
RUN_LAST = (
    "GMP",
    "OBD",
    "MLPrune",
    "lottery ticket, initial weights",
    "lottery ticket, weights of epoch 5",
)


def tuned(protocol, network):
    """Return the fields in which a network's settings differ from GraSP's recipe."""
    return TUNED[network] if protocol == "small" else {}


def ours(plain, sparsity):
    """Return {row: setting} of SSC: as the builders do it, each distribution, the live scale.

    The others keep as many weights as `per_filter` does, and "SSC" has no more than they: where
    the uniform network has, it is asked for a little more sparsity.

    Args:
        plain: `Setting` of the dense run.
        sparsity: float.
    """
    sparse = dataclasses.replace(plain, method="ssc", sparsity=sparsity)
    variants = (CHOSEN[distribution_at(sparsity)], UNIFORM, PER_FILTER, "")
    pairs = zip(OURS, variants, strict=True)
    runs = {row: dataclasses.replace(sparse, variant=variant) for row, variant in pairs}
    runs["SSC"] = no_more_than(reached(runs["SSC, per_filter"]), runs["SSC"])
    return runs


def no_more_than(weights, setting):
    """Return the SSC setting, at the least sparsity from its own on at which it keeps no more.

    Args:
        weights: int.
        setting: `Setting` of an SSC network.
    """
    step = 0
    while reached(least := _sparser(setting, step)) > weights:
        step += 1
    return least


def _sparser(setting, step):
    return dataclasses.replace(setting, sparsity=round(setting.sparsity + step / 1000, 6))


def comparison(table, protocol, groups, seeds, others=None, changes=None):
    """Return the cells of a table that compares SSC with other methods.

    Args:
        table: str, of the paper.
        protocol: as for `base`.
        groups: list of (network, dataset, sparsity), in the order in which they are to be run.
        seeds: seeds of each cell.
        others: rows besides those that the paper prints; None: `COMPARED`, GMP, equal norms.
        changes: dict, network of the paper -> other fields of its settings; or None.
    """
    if others is None:
        others = (*COMPARED, *EQUAL_NORMS, *PAST, "GMP")
    cells = []
    for network, dataset, sparsity in groups:
        printed = PRINTED[table, network, dataset]
        plain = base(protocol, network, dataset, **(changes or {}).get(network, {}))
        runs = {"dense": plain, **ours(plain, sparsity)}
        keep = reached(runs["SSC, per_filter"])
        for row in dict.fromkeys([*others, *printed]):
            if row == "SynFlow, dense shortcuts" and "ResNet" not in network:
                continue
            if row in METHOD_OF and row not in runs:
                fields = {"method": METHOD_OF[row], "sparsity": sparsity, "keep": keep}
                fields |= {"variant": EQUAL_NORM} if row in EQUAL_NORMS else {}
                runs[row] = dataclasses.replace(plain, **fields)
        for row in dict.fromkeys([*runs, *printed]):
            settings = seeded(runs[row], seeds) if row in runs else ()
            figures = printed.get("SSC" if row in OURS else row, {})
            text = figures.get(0 if row == "dense" else sparsity, "")
            cells.append(Cell(network, dataset, row, f"{sparsity:g}", settings, text, row in PAST))
    return sorted(cells, key=lambda cell: cell.row in RUN_LAST)


def table1(protocol, seeds=(3, 4, 5)):
    """CIFAR: SSC and other methods at 90, 95 and 98 %."""
    groups = [("ResNet32", "cifar10", sparsity) for sparsity in (0.98, 0.95, 0.9)]
    groups += [("ResNet32", "cifar100", 0.98)]
    groups += [("VGG19", "cifar10", sparsity) for sparsity in (0.98, 0.95, 0.9)]
    groups += [("VGG19", "cifar100", 0.98)]
    if protocol == "paper":
        both = ("ResNet32", "VGG19")
        groups += [(network, "cifar100", sparsity) for network in both for sparsity in (0.95, 0.9)]
    cells = comparison("table1", protocol, groups, seeds)
    if protocol == "paper":  # does mixing matter in a complete training? See `mixing`.
        plain = base(protocol, "ResNet32", "cifar10", method="ssc", sparsity=0.98)
        runs = seeded(dataclasses.replace(plain, variant=f"butterfly+{PER_FILTER}"), seeds)
        printed = PRINTED["table1", "ResNet32", "cifar10"]["SSC"][0.98]
        cells.append(Cell("ResNet32", "cifar10", BUTTERFLY, "0.98", runs, printed))
    return cells


def table1_tuned(protocol, seeds=(3, 4, 5)):
    """CIFAR at the learning rate that suits the dense networks, and no maps of one pixel.

    Under the protocol "paper", whose recipe is tuned as it is, these are the cells of table 1.
    """
    groups = [
        (network, "cifar10", sparsity)
        for sparsity in (0.98, 0.95, 0.9)
        for network in ("ResNet32", "VGG19")
    ]
    groups += [(network, "cifar100", 0.98) for network in ("ResNet32", "VGG19")]
    changes = {network: tuned(protocol, network) for network in TUNED}
    return comparison("table1", protocol, groups, seeds, changes=changes)


def table2(protocol, seeds=(3, 4, 5)):
    """Tiny-ImageNet."""
    groups = [("VGG19", "tiny_imagenet", sparsity) for sparsity in (0.9, 0.95, 0.98)]
    groups += [("ResNet32", "tiny_imagenet", sparsity) for sparsity in (0.85, 0.9, 0.95)]
    return comparison("table2", protocol, groups, seeds)


def table3(protocol, seeds=(3, 4, 5)):
    """ResNet50 on ImageNet, top-1 / top-5."""
    groups = [("ResNet50", "imagenet2012", sparsity) for sparsity in (0.8, 0.6)]
    return comparison("table3", protocol, groups, seeds, others=("random ERK",))


def table4(protocol, seeds=(3, 4, 5)):
    """ResNet18 on ImageNet, top-1 / top-5."""
    groups = [("ResNet18", "imagenet2012", sparsity) for sparsity in (0.75, 0.6)]
    return comparison("table4", protocol, groups, seeds, others=("random ERK",))


def table5(protocol, seeds=(3, 4, 5)):
    """Compact networks on CIFAR-10, with the layers of section 2.3 in one ("fused").

    With the velocity of PyTorch, as GraSP's code has it. The rows "velocity of Keras" are the first
    runs: behind the first drop of the rate MobileNetV2 went on with long steps, lost what it had
    learnt, and one seed ended ten points below another. They are not run any more.

    L1-norm, Slimming and AutoSlim keep as many weights as SSC does, or a little less: complete
    filters. Slimming has the strength that its authors give, 1e-5, for 160 epochs: the 632 steps of
    the small protocol move a scale of 1 by less than 0.01 with it, so that its ranking there is
    mostly what training without it gives. AutoSlim's article starts from networks of 1.5 times the
    width; the paper prints it at 46 % of the parameters, which has a row of its own. L1-norm and
    Slimming are trained twice, so in all for twice as many steps as dense and SSC.
    """
    cells = []
    for network in ("MobileNetV2", "ShuffleNetV2"):
        plain = base(protocol, network, "cifar10", l2=5e-4, velocity="pytorch")
        sparse = dataclasses.replace(plain, method="ssc", variant=UNIFORM)
        runs = {"dense": plain, "SSC": sparse}
        runs["SSC, depthwise and pointwise in one"] = dataclasses.replace(
            sparse, variant=f"{UNIFORM}+fused"
        )
        for row in ("L1-norm", "Slimming", "AutoSlim"):
            fields = {"method": METHOD_OF[row], "keep": reached(sparse)}
            runs[row] = dataclasses.replace(plain, **fields)
        for row in tuple(runs):
            runs[f"{row}{FIRST_VELOCITY}"] = dataclasses.replace(runs[row], velocity="keras")
        printed = [row for name, row in PRINTED_TABLE_5 if name == network]
        if "AutoSlim" in printed:
            keep = round(AUTOSLIM_SHARE * dense_weights(plain))
            runs["AutoSlim, 46 % of the weights"] = dataclasses.replace(
                plain, method="AutoSlim", keep=keep
            )
        for row in dict.fromkeys([*runs, *printed]):
            settings = seeded(runs[row], seeds) if row in runs else ()
            share, accuracy = PRINTED_TABLE_5.get((network, row), ("", ""))
            text = f"{accuracy} at {share} % of the parameters" if share else ""
            past = row.endswith(FIRST_VELOCITY)
            cells.append(Cell(network, "cifar10", row, "", settings, text, past))
    return cells
