"""The class of a functional or Sequential model: kept with other layers, or refused by name."""

import inspect
import warnings

import keras

from keras_ssc.layer_copy import copy_attributes


def made_like(model, *parts):
    """Return a graph of the class of `model`, made of other layers; its state is not copied.

    A class is kept, with its `train_step` and all, where its constructor takes (inputs, outputs),
    or a list of layers if it is a Sequential one; what else its `get_config` names is handed on.
    A class whose constructor makes the graph itself can't be made of other layers, nor could a
    file of the copy be loaded: it becomes a plain functional model, with a warning, or is refused
    where it overrides methods of Keras.

    Args:
        model: functional or Sequential model.
        *parts: inputs and outputs, or a list of layers.

    Raises:
        ValueError: the class can't be kept.

    Example:

    >>> class Mine(keras.Model):
    ...     pass
    >>> x = keras.Input((2,))
    >>> type(made_like(Mine(x, x), x, x)).__name__
    'Mine'
    """
    base = _keras_class(type(model))
    if type(model) is base:
        new = base(*parts, name=model.name)
    elif _takes_parts(type(model), base):
        new = _of_class(model, parts)
    else:
        new = base(*parts, name=model.name)
        _tell_that_it_is_plain(model)
    if new.dtype_policy != model.dtype_policy:
        new.dtype_policy = model.dtype_policy  # `compile` asks it whether to scale the loss
    return new


def overridden(model):
    """Return the names of Keras's public methods that the class of a graph overrides.

    Example:

    >>> class Mine(keras.Model):
    ...     def train_step(self, data):
    ...         return {}
    >>> x = keras.Input((2,))
    >>> overridden(Mine(x, x))
    ['train_step']
    """
    base, kind = _keras_class(type(model)), type(model)
    return [
        name
        for name in dir(base)
        if (not name.startswith("_") or name == "__call__")
        and name not in ("get_config", "from_config")
        and inspect.getattr_static(kind, name) is not inspect.getattr_static(base, name)
    ]


def _keras_class(kind):
    """Keras's class that a class of functional or Sequential models is made from."""
    return next(one for one in kind.__mro__ if one.__module__.split(".")[0] == "keras")


def _takes_parts(kind, base):
    """Whether the constructor of a class takes the parts of a graph as Keras's own does."""
    wanted = ["layers"] if issubclass(base, keras.Sequential) else ["inputs", "outputs"]
    arguments = list(inspect.signature(kind.__init__).parameters.values())[1:]
    kinds = {one.kind for one in arguments}
    anything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    return anything or [one.name for one in arguments[: len(wanted)]] == wanted


def _of_class(model, parts):
    """A graph of the class of `model`, made by its constructor of other parts."""
    known = {"name", "trainable", "dtype"}
    known |= {"layers", "input_layers", "output_layers", "build_input_shape"}
    try:
        more = {key: value for key, value in model.get_config().items() if key not in known}
        new = type(model)(*parts, name=model.name, **more)
        copy_attributes(model, new, known=vars(keras.Model(name=model.name)))
    except Exception as error:
        raise ValueError(
            f"Model {model.name!r} ({type(model).__name__}) can't be copied, because its "
            f"constructor does not take other layers and the rest of its config: {error}"
        ) from error
    made = parts if len(parts) == 2 else (parts[0][0].output, new.outputs)
    for ours, theirs in zip(made, (new.inputs, new.outputs), strict=True):
        if list(map(id, keras.tree.flatten(ours))) != list(map(id, theirs)):
            raise ValueError(
                f"Model {model.name!r} ({type(model).__name__}) can't be copied, because its "
                "constructor does not take the layers that it is given"
            )
    return new


def _tell_that_it_is_plain(model):
    """Warn that a class is lost, or refuse where that would change what the model does."""
    what = f"{model.name!r} is a {type(model).__name__}, whose constructor makes its layers itself"
    if lost := overridden(model):
        raise ValueError(
            f"`model` must be of a class that can be made of other layers. Received: {what}; a "
            f"plain copy would lose its {', '.join(lost)}. Let the constructor take (inputs, "
            "outputs, **kwargs) as that of keras.Model, or convert "
            "keras.Model(model.inputs, model.outputs)"
        )
    warnings.warn(
        f"The copy is a plain functional model: {what}, so that its class can't be kept",
        stacklevel=2,
    )
