"""A copy of a model in which some layers are others: all else is as it was."""

import warnings

import keras

from keras_ssc.layer_copy import copied_as, copy_state, copy_trainable, refusing
from keras_ssc.layers.channel_wise import keras_class
from keras_ssc.model_class import made_like, overridden
from keras_ssc.model_graph import (
    call_graph,
    check_graph,
    held_by_graph,
    held_layers,
    is_graph,
    walk,
)


def copy_graph(model, exchange=lambda layer: None, kind=type):
    """Return a copy of `model` in which some layers are others; all other state is copied.

    Weights, states of random seeds, vocabularies and statistics of preprocessing layers, LoRA,
    quantization, dtypes, `trainable` of models and layers, names, the class of each model and
    `compile` settings stay (the optimizer starts anew). Shared layers stay shared; the model
    itself is only read.

    Args:
        model: functional or Sequential model, nested ones included.
        exchange: function (layer) -> new, unbuilt layer, a list of such layers that are called one
            after the other, or None to copy the layer as it is; it is asked for input layers too.
        kind: function (layer) -> class of the copy of a layer that is not exchanged.

    Returns:
        (copy, exchanged): the new model, and a list of pairs (old layer, what it became).

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is subclassed or not built; a layer, or what the model was compiled with,
            can't be made from its config; or the class of a model can't be kept (see `made_like`).

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    >>> copy, exchanged = copy_graph(model)
    >>> [layer.name for layer in copy.layers], exchanged
    (['one'], [])
    """
    check_graph(model)
    settings = _compile_settings(model)
    copier = _Copier(exchange, kind)
    copy = copier.copy(model)
    copier.copy_states(model)
    _compile(copy, model, settings)
    if isinstance(copy, keras.Sequential) and not {"call", "__call__"} & set(overridden(copy)):
        copy(copy.inputs[0])  # a Sequential model has `input` and `output` once it was called
    return copy, copier.exchanged


class _Copier:
    """Copies layers and graphs, each once, and remembers which became which."""

    def __init__(self, exchange, kind):
        self.exchanged = []
        self._exchange = exchange
        self._kind = kind
        self._copies = {}  # by id of a layer: (layer, its copy)

    def copy(self, layer):
        """Return the copy of a layer, an operation or a graph."""
        if id(layer) not in self._copies:
            new = self._graph(layer) if is_graph(layer) else self._layer(layer)
            self._copies[id(layer)] = (layer, new)
        return self._copies[id(layer)][1]

    def _layer(self, layer):
        with refusing(layer):
            other = self._exchange(layer)
        if other is None:
            return copied_as(self._kind(layer), layer)
        self.exchanged.append((layer, other))
        return other

    def _graph(self, model):
        if isinstance(model, keras.Sequential):
            # With its input layer, which `model.layers` leaves out.
            copies = [self.copy(layer) for layer in keras.Model.layers.fget(model)]
            return made_like(model, [layer for copy in copies for layer in _as_list(copy)])
        return made_like(model, *call_graph(model, self.copy, _call_in_turn))

    def copy_states(self, model):
        """Give all copies what their originals hold beside their config."""
        others = {id(old) for old, _ in self.exchanged}
        pairs = []  # parents first
        for old in walk(model, held_by_graph):
            new = self.copy(old)
            if is_graph(old) or id(old) in others:
                pairs.extend((old, one) for one in _as_list(new))
            else:
                copy_state(old, new)
                pairs.extend(zip(walk(old, held_layers), walk(new, held_layers), strict=True))
        copy_trainable(pairs)


def _as_list(copy):
    return copy if isinstance(copy, list) else [copy]


def _call_in_turn(copy, *args, **kwargs):
    first, *others = _as_list(copy)
    if kwargs.get("residual") is not None and keras_class(first) is keras.layers.Conv2D:
        raise ValueError(
            "`model` must not be folded: a Conv2D can't add what its layers add. Make it dense "
            f"before: fold(densify(model)). Received: {first.name!r} called with a residual"
        )
    x = first(*args, **kwargs)
    for layer in others:
        x = layer(x)
    return x


def _compile_settings(model):
    """New optimizer, loss, metrics and so on, like those that a model was compiled with."""
    if not model.compiled or "compile" in overridden(model):
        return {}
    try:
        return keras.saving.deserialize_keras_object(model.get_compile_config())
    except Exception as error:
        raise ValueError(
            "The optimizer, loss or metrics that `model` was compiled with can't be copied. "
            "Register them with keras.saving.register_keras_serializable, or convert the model "
            f"before you compile it. {error}"
        ) from error


def _compile(copy, model, settings):
    if settings:
        copy.compile(**settings)  # the optimizer not built: layers may be frozen or thawed first
    elif model.compiled:
        warnings.warn(
            f"The copy of {model.name!r} is not compiled, because {type(model).__name__} has a "
            "compile of its own: compile it anew",
            stacklevel=3,
        )
