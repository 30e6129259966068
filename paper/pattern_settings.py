"""Every (network, sparsity) cell of the paper's tables 1 to 4, as arguments of a builder."""

from dataclasses import dataclass, field

from keras_ssc import applications
from keras_ssc.applications._shape_recorder import ShapeRecorder
from keras_ssc.datasets.facts import FACTS
from keras_ssc.sparsity import choose_network

IMAGES = {
    name.removesuffix("2012"): {"input_shape": facts.input_shape, "classes": facts.classes}
    for name, facts in FACTS.items()
}
SPARSE_CLASSIFIER = {"sparse_classifier": True}
ALL_SPARSE = {"sparse_classifier": True, "sparse_shortcuts": True}


def network_layers(network, input_shape, classes, sparse_classifier=False, **options):
    """Return the table of a network's layers, without building it: list of `LayerShape`.

    Args:
        network: str, a builder of `keras_ssc.applications`.
        input_shape: (height, width, channels).
        classes: int.
        sparse_classifier: bool.
        **options: the builder's own arguments, such as sparse_shortcuts.

    Example:

    >>> len(network_layers("ResNet32", (32, 32, 3), 10))
    34
    """
    table = ShapeRecorder(input_shape[:2], sparse_classifier)
    last = getattr(applications, network).__wrapped__(table, input_shape, **options)
    table.classifier(last, classes)
    return table.shapes()


@dataclass(frozen=True)
class PaperCell:
    """One network of the paper's tables at one sparsity.

    Args:
        table: int, the paper's table.
        network: str, a builder of `keras_ssc.applications`.
        dataset: str, a key of `IMAGES`.
        sparsity: float, the network sparsity the table names.
        options: dict, further arguments of the builder; shortcuts or classifier are sparse where
            the other layers alone would have to give too much.

    Example:

    >>> cell = PaperCell(1, "VGG19", "cifar10", 0.9)
    >>> cell.name, cell.arguments["classes"]
    ('VGG19-cifar10-0.9', 10)
    >>> round(cell.choose().sparsity, 2)
    0.9
    """

    table: int
    network: str
    dataset: str
    sparsity: float
    options: dict = field(default_factory=dict)

    @property
    def name(self):
        """The name of the setting: network, data and sparsity."""
        return f"{self.network}-{self.dataset}-{self.sparsity}"

    @property
    def arguments(self):
        """Arguments of the builder: `getattr(applications, cell.network)(**cell.arguments)`."""
        common = {"sparsity": self.sparsity, "distribution": "uniform"}
        return common | IMAGES[self.dataset] | self.options

    def layers(self):
        """Return the table of the network's layers, without building it: list of `LayerShape`."""
        return network_layers(self.network, **IMAGES[self.dataset], **self.options)

    def choose(self, distribution="uniform"):
        """Return the `NetworkChoice`: (g, p) of every layer, and what they reach."""
        return choose_network(self.layers(), sparsity=self.sparsity, distribution=distribution)


CELLS = (
    *(
        PaperCell(1, network, dataset, sparsity)
        for network in ("VGG19", "ResNet32")
        for dataset in ("cifar10", "cifar100")
        for sparsity in (0.9, 0.95, 0.98)
        if (network, dataset, sparsity) != ("ResNet32", "cifar100", 0.98)
    ),
    PaperCell(1, "ResNet32", "cifar100", 0.98, ALL_SPARSE),
    *(PaperCell(2, "VGG19", "tiny_imagenet", sparsity) for sparsity in (0.9, 0.95, 0.98)),
    *(PaperCell(2, "ResNet32", "tiny_imagenet", sparsity) for sparsity in (0.85, 0.9, 0.95)),
    *(PaperCell(3, "ResNet50", "imagenet", sparsity, SPARSE_CLASSIFIER) for sparsity in (0.6, 0.8)),
    *(PaperCell(4, "ResNet18", "imagenet", sparsity) for sparsity in (0.6, 0.75)),
)


def paper_cell(name):
    """Return the cell of a name.

    Args:
        name: str, `network-dataset-sparsity`.

    Raises:
        ValueError: no cell has this name; the message lists them.

    Example:

    >>> paper_cell("ResNet50-imagenet-0.8").table
    3
    """
    for cell in CELLS:
        if cell.name == name:
            return cell
    names = ", ".join(cell.name for cell in CELLS)
    raise ValueError(f"`name` must be one of {names}. Received: name={name!r}")


def paper_table(distribution="uniform"):
    """Return all cells with what is asked and reached, as a Markdown table.

    Args:
        distribution: `"uniform"` or `"per_filter"`, as for the builders.

    Example:

        print(paper_table())
    """
    lines = [
        "| table | setting | asked % | reached % | sparse layers % | kernels left | "
        "multiply-adds % | (g, p) x layers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in CELLS:
        choice = cell.choose(distribution)
        dense = sum(layer.dense_weight_count for layer in cell.layers())
        found = [setting for setting in choice.settings.values() if setting]
        counts = ", ".join(f"{one} x {found.count(one)}" for one in dict.fromkeys(found))
        lines.append(
            f"| {cell.table} | {cell.name} | {100 * cell.sparsity:g} | "
            f"{100 * choice.sparsity:.2f} | {100 * choice.layer_sparsity:.2f} | "
            f"{round(dense * (1 - choice.sparsity)):,} | {100 * choice.mac_share:.2f} | {counts} |"
        )
    return "\n".join(lines)
