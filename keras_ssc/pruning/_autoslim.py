"""AutoSlim: the widths of all layers at once, step by step from a network trained at many."""

import numpy as np
from keras import ops

from keras_ssc._summary import summary
from keras_ssc.arguments import integer
from keras_ssc.model_copy import copy_graph
from keras_ssc.model_graph import is_input
from keras_ssc.pruning._slimmable import kernels_of, slimmable
from keras_ssc.pruning.differentiate import compiled, function_of_weights
from keras_ssc.pruning.filters import remove_filters
from keras_ssc.pruning.log_probabilities import log_probabilities
from keras_ssc.pruning.samples import check_samples


def autoslim(
    model, train, images, labels, keep=None, *, macs=None, steps=10, narrowest=0.25, samples=2,
    batch_size=1000, from_logits=False, seed=0, progress=None,
):  # fmt: skip
    """Return a new, untrained network of the widths that AutoSlim finds, for a budget.

    A copy of the model is trained at many widths (`slimmable`), then slimmed one step at a time
    (`autoslim_filters`). The network of the widths found starts from new random weights.

    Args:
        model: a built functional or Sequential `keras.Model`, as for `slimmable`.
        train: function that compiles and fits the `Slimmable` it is given, in place.
        images, labels: arrays, for the search: images that it was not trained on.
        keep: int, live weights of Conv and Dense kernels, or
        macs: int, multiply-adds for one image; the network has at most so many.
        steps, narrowest, samples, from_logits, seed: as for `slimmable`.
        batch_size, progress: as for `autoslim_filters`.

    Returns:
        `keras.Model` of the same layers, narrower.

    Raises:
        TypeError, ValueError: as `slimmable` and `autoslim_filters`.

    Example:

        def train(wide):
            wide.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
            wide.fit(x_train, y_train, epochs=20)

        narrow = autoslim(applications.MobileNetV2(sparsity=0), train, x_val, y_val, keep=1_000_000)

    Reference: Yu and Huang, "AutoSlim", arXiv 1903.11728.
    """
    options = {"samples": samples, "from_logits": from_logits, "seed": seed}
    wide = slimmable(model, steps, narrowest, **options)
    train(wide)
    search = {"batch_size": batch_size, "progress": progress}
    kept = autoslim_filters(wide, images, labels, keep, macs=macs, **search)
    return _drawn_anew(remove_filters(model, kept))


def autoslim_filters(
    model, images, labels, keep=None, *, macs=None, batch_size=1000, progress=None
):
    """Return the filters that stay when a slimmable network is slimmed to a budget.

        while the network is over the budget:
            the group whose next step raises the error least gets that step narrower

    The error is that on the images, BatchNormalization with the moments of each batch; of equal
    errors the smaller loss decides, then the order of the layers. What a step saves is not weighed.

    Args:
        model: a trained `Slimmable`; it is not touched.
        images, labels: arrays, as `fit` takes them.
        keep, macs: as for `autoslim`; one of them.
        batch_size: int, images at a time.
        progress: function (cost, budget) that is called after each step, or None. The search takes
            groups times steps passes over the images: minutes to hours.

    Returns:
        dict, layer name -> indices of the filters that stay, for `remove_filters` of the model
        that `slimmable` was given; always the first of each layer.

    Raises:
        ValueError: both or none of `keep` and `macs` are given, or the narrowest network is over
            it; images and labels are not as many.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="one"),
    ...                           keras.layers.Dense(2, "softmax")])
    >>> wide = slimmable(model, steps=4)
    >>> autoslim_filters(wide, np.ones((6, 3), "float32"), np.arange(6) % 2, keep=10)
    {'one': array([0, 1])}

    Reference: Yu and Huang, 2019, section 3.
    """
    if (keep is None) == (macs is None):
        raise ValueError(f"Give either `keep` or `macs`. Received: keep={keep}, macs={macs}")
    name, budget = ("keep", keep) if macs is None else ("macs", macs)
    budget = integer(name, budget, 1)
    check_samples(images, labels)
    batch_size = integer("batch_size", batch_size, 1)
    cost = costs(model, name)
    least = cost([one[0] for one in model.widths.choices])
    if least > budget:
        raise ValueError(
            f"`{name}` must be at least {least}, of the narrowest network. Received: {budget}"
        )
    measure = errors(model, images, np.reshape(labels, -1), batch_size)
    widths = slimmed(model.widths.choices, cost, measure, budget, progress)
    stays = {
        layer: model.widths.staying(model.channels.written[layer], widths)
        for layer in model.channels.makers
    }
    return {layer: np.flatnonzero(one) for layer, one in stays.items() if not one.all()}


def slimmed(choices, cost, measure, budget, progress=None):
    """Return the widths at which the greedy search is within the budget: list of ints.

    Args:
        choices: list, for each group an ascending list of widths.
        cost: function (widths) -> number.
        measure: function (widths) -> (error, loss).
        budget: number, at least the cost of the narrowest.
        progress: function (cost, budget), or None.

    Example:

    >>> slimmed([[1, 2], [3, 6]], sum, lambda widths: (-widths[0], 0.0), 5)
    [2, 3]
    """
    widths = [one[-1] for one in choices]
    while cost(widths) > budget:
        narrower = []
        for group, own in enumerate(choices):
            step = own.index(widths[group])
            if step:
                narrower.append([*widths[:group], own[step - 1], *widths[group + 1 :]])
        widths = min(narrower, key=measure)  # of equals the first
        if progress is not None:
            progress(cost(widths), budget)
    return widths


def costs(model, name):
    """Return a function: widths -> what the narrow network has of live weights or multiply-adds.

    Args:
        model: `Slimmable`.
        name: `"keep"` or `"macs"`.
    """
    channels, layers = model.channels, kernels_of(model)
    rows = {row["name"]: row for row in summary(model).rows}
    per_weight = {
        layer: 1 if name == "keep" else row["macs"] / row["live_weights"]
        for layer, row in rows.items()
    }

    def cost(widths):
        total = 0
        for layer, row in rows.items():
            weights = row["live_weights"]
            if layer in channels.read:
                into, out = (
                    int(model.widths.staying(part[layer], widths).sum())
                    for part in (channels.read, channels.written)
                )
                taps = np.prod(layers[layer].kernel.shape[:-2], dtype=int)
                # A depthwise layer has one kernel for each channel that it gives.
                weights = taps * (into * out if layer in channels.makers else out)
            total += weights * per_weight[layer]
        return round(total)

    return cost


def errors(model, images, labels, batch_size):
    """Return a function: widths -> (share of images classified wrongly, mean loss).

    Args:
        model: `Slimmable`; its weights, moving moments and seeds stay.
        images, labels: arrays, labels flat.
        batch_size: int.
    """
    variables = model.variables

    def objective(model, widths, x, y):
        with model.widths.set(widths):
            logs = log_probabilities(model(x, training=True), model.from_logits)
        wrong = ops.cast(ops.not_equal(ops.argmax(logs, axis=-1), ops.cast(y, "int32")), "float32")
        own = ops.take_along_axis(logs, ops.cast(y, "int32")[:, None], axis=-1)
        return ops.stack([ops.sum(wrong), -ops.sum(own)])

    function = compiled(function_of_weights(model, variables, objective))
    values = [ops.convert_to_tensor(variable) for variable in variables]

    def measure(widths):
        total = np.zeros(2)
        for start in range(0, len(images), batch_size):
            x, y = images[start : start + batch_size], labels[start : start + batch_size]
            found = function(values, ops.convert_to_tensor(np.array(widths, "int32")), x, y)
            total += ops.convert_to_numpy(found)
        return tuple((total / len(images)).tolist())

    return measure


def _drawn_anew(model):
    """A copy of a model whose layers with weights are new: their own draws, by their own sizes."""

    def exchange(layer):
        if is_input(layer) or not getattr(layer, "weights", ()):
            return None
        return type(layer).from_config(layer.get_config())

    return copy_graph(model, exchange)[0]
