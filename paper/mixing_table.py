"""Which share of the pairs of channels the sparse layers of each stage join, as tables."""

from keras_ssc.patterns import SSCPattern
from keras_ssc.sparsity import choose_network, stage_mixing, well_mixing
from paper.networks import builder_and_options, ssc_options
from paper.pattern_settings import CELLS, IMAGES, network_layers
from paper.shares import RULES


def mixing_table(cells=CELLS, distribution="uniform"):
    """Return which share of the pairs of channels the sparse layers of each stage join.

    Each stage from input to output, in percent (`keras_ssc.sparsity.stage_mixing`): with the
    pattern as it is chosen, with `set_offset="butterfly"`, and with the p of `mixing=True`, all
    three with equally many weights.

    Args:
        cells: list of `PaperCell`.
        distribution: `"uniform"` or `"per_filter"`, as for the builders.

    Example:

    >>> from paper.pattern_settings import paper_cell
    >>> print(mixing_table([paper_cell("ResNet32-cifar10-0.95")]).splitlines()[2])
    | ResNet32-cifar10-0.95 | (16, 8) | 100 / 100 / 100 | 100 / 100 / 100 | the same |
    """
    lines = [
        "| setting | (g, p) | joined inside each stage % | with butterfly | with another p |",
        "|---|---|---|---|---|",
    ]
    for cell in cells:
        layers, settings = cell.layers(), cell.choose(distribution).settings
        mixed = well_mixing(layers, settings)
        other = "the same"
        if mixed != settings:
            other = f"{_joined(stage_mixing(layers, mixed))} with {_patterns(mixed)}"
        plain, butterfly = (
            _joined(stage_mixing(layers, settings, set_offset=offset))
            for offset in (0, "butterfly")
        )
        lines.append(f"| {cell.name} | {_patterns(settings)} | {plain} | {butterfly} | {other} |")
    return "\n".join(lines)


def joined_table(cells):
    """Return the same of the SSC networks of an experiment, each pattern once.

    Args:
        cells: list of `Cell` with settings of method "ssc" or of `RULES`, by sparsity.
    """
    lines = ["| network | row | sparsity | (g, p) | joined inside each stage % |", "|---" * 5 + "|"]
    for cell in cells:
        setting = cell.settings[0]
        options = ssc_options(setting)
        offset = options.get("set_offset", 0)
        builder, own = builder_and_options(setting.network)
        shape = (setting.image_size, setting.image_size, 3)
        layers = network_layers(builder, shape, IMAGES[setting.dataset]["classes"], **own)
        choice = choose_network(
            layers,
            sparsity=setting.sparsity,
            distribution=options["distribution"],
            mixing=options.get("mixing", False),
        )
        settings = choice.settings | _by_rule(setting, layers, choice.settings)
        shares = _joined(stage_mixing(layers, settings, set_offset=offset))
        patterns = _patterns(settings)
        lines.append(
            f"| {setting.network} | {cell.row} | {setting.sparsity:g} | {patterns} | {shares} |"
        )
    return "\n".join(dict.fromkeys(lines))


def _by_rule(setting, layers, settings):
    """{layer: (g, p)} of a setting whose KxK layers have patterns by a rule of their own."""
    if setting.method not in RULES:
        return {}
    patterns = {
        one.name: SSCPattern(one.in_channels, one.filters, one.kernel_size, *settings[one.name])
        for one in layers
        if settings[one.name] and one.kernel_size != (1, 1)
    }
    return RULES[setting.method](patterns)


def _joined(shares):
    return " / ".join(f"{100 * shares[stage]:.0f}" for stage in sorted(shares))


def _patterns(settings):
    return ", ".join(map(str, dict.fromkeys(filter(None, settings.values()))))
