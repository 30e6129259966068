"""Models as graphs of layers: what is in them, and a copy with some layers exchanged."""

import keras


def is_graph(model):
    """True for a functional or Sequential model whose inputs and outputs are known."""
    return isinstance(model, keras.Model) and hasattr(model, "inputs") and hasattr(model, "outputs")


def check_graph(model):
    """Refuse what can't be copied layer by layer."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a functional or Sequential keras.Model. Received: {model!r}"
        )
    if not is_graph(model):
        what = f"{model.name!r} of class {type(model).__name__}"
        if isinstance(model, keras.Sequential):
            raise ValueError(
                f"`model` must be built: call it, or give it an Input. Received: {what}"
            )
        raise ValueError(
            "`model` must be functional or Sequential: the layers of a subclassed model can't be "
            f"exchanged from outside. Received: {what}"
        )
    owners = {}
    for layer in graph_layers(model):
        for variable in layer.weights:
            owner = owners.setdefault(id(variable), layer)
            if owner is not layer:
                raise ValueError(
                    "`model` must have every weight in one layer only. Received: layers "
                    f"{owner.name!r} and {layer.name!r} share {variable.path!r}"
                )


def graph_layers(model):
    """Return the layers of a model in order, those of nested graphs in their place, each once."""
    found = {}
    for layer in model.layers:
        inner = graph_layers(layer) if is_graph(layer) else [layer]
        found.update((id(one), one) for one in inner)
    return list(found.values())


def copy_graph(model, exchange):
    """Return a copy of `model` in which some layers are others; all other weights are copied.

    Shared layers stay shared, names and `compile` settings stay; the model itself is not touched.

    Args:
        model: functional or Sequential model, nested ones included.
        exchange: function (layer) -> new, unbuilt layer, or None to copy the layer as it is.

    Returns:
        (copy, exchanged): the new model, and a list of pairs (old layer, new layer).

    Raises:
        ValueError: a layer, or what the model was compiled with, can't be made from its config.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    >>> copy, exchanged = copy_graph(model, lambda layer: None)
    >>> [layer.name for layer in copy.layers], exchanged
    (['one'], [])
    """
    _check_compile_settings(model)
    exchanged, copied = [], []

    def copy_layer(layer):
        new, is_exchanged = _new_layer(layer, exchange)
        (exchanged if is_exchanged else copied).append((layer, new))
        return new

    copy = keras.models.clone_model(model, clone_function=copy_layer, recursive=True)
    for old, new in copied:
        if isinstance(old, keras.layers.Layer) and old.weights:  # operations have none
            new.set_weights(old.get_weights())
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with constants made from its weights
    return copy, exchanged


def _new_layer(layer, exchange):
    """(new layer, whether it is another one)."""
    try:
        other = exchange(layer)
        if other is not None:
            return other, True
        return type(layer).from_config(layer.get_config()), False
    except Exception as error:
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) can't be copied, because it can't be "
            f"made anew from its config: {error}"
        ) from error


def _check_compile_settings(model):
    if not model.compiled:
        return
    try:
        keras.saving.deserialize_keras_object(model.get_compile_config())
    except Exception as error:
        raise ValueError(
            "The optimizer, loss or metrics that `model` was compiled with can't be copied. "
            "Register them with keras.saving.register_keras_serializable, or convert the model "
            f"before you compile it. {error}"
        ) from error
