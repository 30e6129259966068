"""The size of a model: live weights and multiply-adds, beside those of its dense counterpart."""

import math
from collections import Counter
from dataclasses import dataclass

import keras

from keras_ssc.model_graph import flat_layers
from keras_ssc.summary_rows import layer_rows, report_of, where_it_computes
from keras_ssc.tables import text_table


@dataclass(frozen=True)
class ModelSummary:
    """Weights, bytes and multiply-adds of a model; `str()` gives a table.

    Attributes:
        rows: list of dicts, as `pandas.DataFrame` takes them, one for each convolution and Dense
            layer (two for a separable one): name, type, kernel_shape (as of a dense layer), g, p
            (None where dense), output_shape, live_weights, dense_weights, sparsity, macs,
            dense_macs (None where the map's size is unknown), bytes, dense_bytes, execution,
            why_not_native, inference_speed, training_speed, speed_source, speed_basis (None where
            dense; see `SSCConv2D.execution_report`).
        parameters, trainable_parameters: all variables of the model.
        dense_trainable_parameters: the trainable parameters of the dense counterpart.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> found = keras_ssc.summary(model)
    >>> found.parameters, found.live_weights, found.rows[0]["macs"]
    (15, 12, 12)
    """

    rows: list[dict]
    parameters: int
    trainable_parameters: int
    dense_trainable_parameters: int

    def _total(self, key):
        values = [row[key] for row in self.rows]
        return None if None in values else sum(values)

    @property
    def live_weights(self) -> int:
        """Live weights of all Conv and Dense kernels."""
        return self._total("live_weights")

    @property
    def dense_weights(self) -> int:
        """Weights of all Conv and Dense kernels of the dense counterpart."""
        return self._total("dense_weights")

    @property
    def network_sparsity(self) -> float:
        """1 - live / dense over all Conv and Dense kernels (GraSP's definition)."""
        return 1 - self.live_weights / self.dense_weights if self.dense_weights else 0.0

    @property
    def layer_sparsity(self) -> float:
        """1 - live / dense over the SSCConv2D layers alone (R_p)."""
        sparse = [row for row in self.rows if row["g"] is not None]
        dense = sum(row["dense_weights"] for row in sparse)
        return 1 - sum(row["live_weights"] for row in sparse) / dense if dense else 0.0

    @property
    def macs(self) -> int | None:
        """Multiply-adds for one image, None where a map's size is unknown."""
        return self._total("macs")

    @property
    def dense_macs(self) -> int | None:
        """Multiply-adds of the dense counterpart for one image."""
        return self._total("dense_macs")

    @property
    def bytes(self) -> int:
        """Bytes of all Conv and Dense kernels, as stored."""
        return self._total("bytes")

    @property
    def dense_bytes(self) -> int:
        """Bytes of all Conv and Dense kernels of the dense counterpart."""
        return self._total("dense_bytes")

    @property
    def totals(self) -> dict:
        """The totals as a dict."""
        names = (
            "live_weights", "dense_weights", "network_sparsity", "layer_sparsity", "macs",
            "dense_macs", "bytes", "dense_bytes", "parameters", "trainable_parameters",
            "dense_trainable_parameters",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def __str__(self):
        head = ("layer", "type", "kernel", "g", "p", "output", "live", "dense", "sparsity",
                "multiply-adds", "bytes", "execution", "beside Conv2D")  # fmt: skip
        table = text_table(head, [_cells(row) for row in self.rows], left=(0, 1, len(head) - 2))
        totals = [
            f"Conv and Dense kernels   {self.live_weights:,} live of {self.dense_weights:,}",
            f"Bytes of these kernels   {self.bytes:,} of {self.dense_bytes:,}",
            f"Network sparsity         {self.network_sparsity:.4f}",
            f"Sparsity of SSC layers   {self.layer_sparsity:.4f}",
            f"Multiply-adds            {_count(self.macs)} of {_count(self.dense_macs)}",
            f"Trainable parameters     {self.trainable_parameters:,} "
            f"of {self.dense_trainable_parameters:,}",
            f"All parameters           {self.parameters:,}",
        ]
        totals += _notes(self.rows)
        return "\n".join([table, "", *totals])


def _notes(rows):
    """Why layers are not native, and what stands behind the speeds."""
    reasons = Counter(row["why_not_native"] for row in rows if row["why_not_native"])
    notes = [
        f"Not native               {n} layer{'s' * (n > 1)}: {why}" for why, n in reasons.items()
    ]
    known = {row["speed_source"] for row in rows} & {"measured", "estimate"}
    if known:
        (one, *_) = (row["speed_basis"] for row in rows if row["speed_source"] in known)
        notes.append(
            "Beside Conv2D            times as fast as a dense layer: inference, training; "
            f"~ is an estimate, ? unknown; {one.split('; ')[-1]}"
        )
    return notes


def _beside_dense(row):
    """Such as "5.2x, 5.1x": inference and training; "~" before an estimate, "?" where unknown."""
    if row["speed_source"] is None:
        return "-"
    if row["speed_source"] == "unknown":
        return "?"
    about = "~" if row["speed_source"] == "estimate" else ""
    return f"{about}{row['inference_speed']}x, {about}{row['training_speed']}x"


def _count(value):
    return "?" if value is None else f"{value:,}"


def _cells(row):
    def text(value):
        return "-" if value is None else str(value)

    def shape(sizes):
        return "x".join("?" if size is None else str(size) for size in sizes)

    return (
        row["name"], row["type"], shape(row["kernel_shape"]), text(row["g"]), text(row["p"]),
        shape(row["output_shape"]), _count(row["live_weights"]), _count(row["dense_weights"]),
        f"{row['sparsity']:.4f}", _count(row["macs"]), _count(row["bytes"]),
        text(row["execution"]), _beside_dense(row),
    )  # fmt: skip


def summary(model: keras.Model) -> ModelSummary:
    """Return weights, bytes and multiply-adds of every convolution and Dense layer of a model.

    Counted are the kernels of SSCConv2D, Dense and Keras's convolutions (grouped, depthwise,
    separable and transposed ones too), also those inside models, wrappers such as TimeDistributed
    and layers of your own; of a masked layer what its mask lets live (in memory and in the file
    its zeros remain). A shared layer counts once, also its multiply-adds, and one in
    TimeDistributed as for one step; biases and BatchNormalization count as parameters only.

    The last column says how many times as fast as a Conv2D of its size an SSCConv2D is, where that
    was measured or can be estimated; below the table it says why layers are not native.

    Args:
        model: a built `keras.Model`.

    Returns:
        `ModelSummary`: `print` it, or use its `rows` and totals.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is not built.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((8, 8, 64)), keras_ssc.SSCConv2D(64, 3, g=8, p=3, use_bias=False)])
    >>> result = summary(model)
    >>> result.network_sparsity, result.macs, result.rows[0]["bytes"]
    (0.90625, 124416, 13824)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model!r}")
    if not model.built:
        raise ValueError(
            f"`model` must be built. Received: {model.name!r}, which has no weights yet"
        )
    layers = flat_layers(model)
    reports = where_it_computes(model, lambda: [report_of(layer) for layer in layers])
    rows = [
        row
        for layer, report in zip(layers, reports, strict=True)
        for row in layer_rows(layer, report)
    ]
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    removed = sum(row["dense_weights"] - row["live_weights"] for row in rows)
    return ModelSummary(rows, model.count_params(), trainable, trainable + removed)
