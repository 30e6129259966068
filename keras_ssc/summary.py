"""What a model weighs: live weights and multiply-adds, beside those of its dense twin."""

import math
from dataclasses import dataclass

import keras

from keras_ssc.layers import SSCConv2D


def flat_layers(model):
    """Return the layers of a model, those of nested models in their place, each once.

    Example:

    >>> inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="inside")])
    >>> model = keras.Sequential([keras.Input((2,)), inner])
    >>> [layer.name for layer in flat_layers(model)]
    ['inside']
    """
    found = {}
    for layer in model.layers:
        inner = flat_layers(layer) if isinstance(layer, keras.Model) else [layer]
        found.update((id(one), one) for one in inner)
    return list(found.values())


@dataclass(frozen=True)
class ModelSummary:
    """Weights and multiply-adds of a model; `str()` gives a table.

    Attributes:
        rows: list of dicts, one for each convolution and Dense layer: name, type, g, p (None where
            dense), output_shape, live_weights, dense_weights, sparsity, macs, dense_macs (None
            where the map's size is unknown), execution.
        parameters, trainable_parameters: all variables of the model.
        dense_trainable_parameters: the trainable parameters of the dense twin.
    """

    rows: list
    parameters: int
    trainable_parameters: int
    dense_trainable_parameters: int

    def _total(self, key):
        values = [row[key] for row in self.rows]
        return None if None in values else sum(values)

    @property
    def live_weights(self):
        """Live weights of all Conv and Dense kernels."""
        return self._total("live_weights")

    @property
    def dense_weights(self):
        """Weights of all Conv and Dense kernels of the dense twin."""
        return self._total("dense_weights")

    @property
    def network_sparsity(self):
        """1 - live / dense over all Conv and Dense kernels (GraSP's definition)."""
        return 1 - self.live_weights / self.dense_weights if self.dense_weights else 0.0

    @property
    def layer_sparsity(self):
        """1 - live / dense over the SSCConv2D layers alone (R_p)."""
        sparse = [row for row in self.rows if row["g"] is not None]
        dense = sum(row["dense_weights"] for row in sparse)
        return 1 - sum(row["live_weights"] for row in sparse) / dense if dense else 0.0

    @property
    def macs(self):
        """Multiply-adds for one image, None where a map's size is unknown."""
        return self._total("macs")

    @property
    def dense_macs(self):
        """Multiply-adds of the dense twin for one image."""
        return self._total("dense_macs")

    def __str__(self):
        head = ("layer", "type", "g", "p", "output", "live", "dense", "sparsity", "multiply-adds",
                "dense", "execution")  # fmt: skip
        lines = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        left = (0, 1, len(head) - 1)
        table = [
            "  ".join(
                cell.ljust(width) if column in left else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        table.insert(1, "-" * max(len(line) for line in table))
        totals = [
            f"Conv and Dense kernels   {self.live_weights:,} live of {self.dense_weights:,}",
            f"Network sparsity         {self.network_sparsity:.4f}",
            f"Sparsity of SSC layers   {self.layer_sparsity:.4f}",
            f"Multiply-adds            {_count(self.macs)} of {_count(self.dense_macs)}",
            f"Trainable parameters     {self.trainable_parameters:,} "
            f"of {self.dense_trainable_parameters:,}",
            f"All parameters           {self.parameters:,}",
        ]
        return "\n".join([*table, "", *totals])


def _count(value):
    return "?" if value is None else f"{value:,}"


def _cells(row):
    def text(value):
        return "-" if value is None else str(value)

    shape = " x ".join("?" if size is None else str(size) for size in row["output_shape"])
    return (
        row["name"], row["type"], text(row["g"]), text(row["p"]), shape,
        _count(row["live_weights"]), _count(row["dense_weights"]), f"{row['sparsity']:.4f}",
        _count(row["macs"]), _count(row["dense_macs"]), text(row["execution"]),
    )  # fmt: skip


def summary(model):
    """Return the weights and multiply-adds of every convolution and Dense layer of a model.

    Counted are Conv2D (also grouped), DepthwiseConv2D, SeparableConv2D, Dense and SSCConv2D
    kernels, nested models included; biases and BatchNormalization count as parameters only.

    Args:
        model: a built `keras.Model`.

    Returns:
        `ModelSummary`: `print` it, or use its `rows` and totals.

    Raises:
        ValueError: the model is not built.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3, g=8, p=3, use_bias=False)])
    >>> result = summary(model)
    >>> result.network_sparsity, result.macs
    (0.90625, 124416)
    """
    if not model.built:
        raise ValueError(
            f"`model` must be built. Received: {model.name!r}, which has no weights yet"
        )
    rows = [row for layer in flat_layers(model) for row in _rows(layer)]
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    removed = sum(row["dense_weights"] - row["live_weights"] for row in rows)
    return ModelSummary(rows, model.count_params(), trainable, trainable + removed)


def _rows(layer):
    """The rows of one layer: none, one, or two for a separable convolution."""
    kernels = []
    if isinstance(layer, SSCConv2D):
        kernels = [(layer.pattern.weight_count, layer.pattern.dense_weight_count)]
    elif isinstance(layer, keras.layers.SeparableConv2D):
        both = (layer.depthwise_kernel, layer.pointwise_kernel)
        kernels = [(math.prod(kernel.shape),) * 2 for kernel in both]
    elif isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)):
        kernels = [(math.prod(layer.kernel.shape),) * 2]
    return [_row(layer, live, dense) for live, dense in kernels]


def _row(layer, live, dense):
    sparse = isinstance(layer, SSCConv2D)
    input_shape = tuple(layer.get_build_config()["input_shape"])
    output_shape = tuple(layer.compute_output_shape(input_shape))[1:]
    pixels = _sizes(layer, output_shape)
    known = None not in pixels
    input_size = _sizes(layer, input_shape[1:])
    return {
        "name": layer.name,
        "type": type(layer).__name__,
        "g": layer.pattern.g if sparse else None,
        "p": layer.pattern.p if sparse else None,
        "output_shape": output_shape,
        "live_weights": live,
        "dense_weights": dense,
        "sparsity": 1 - live / dense,
        "macs": math.prod(pixels) * live if known else None,
        "dense_macs": math.prod(pixels) * dense if known else None,
        "execution": layer.execution_report(input_size)["used"] if sparse else None,
    }


def _sizes(layer, shape):
    """The sizes of a map without its channels, () for a vector."""
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return shape[1:]
    return shape[:-1]
