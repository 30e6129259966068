"""A copy of a layer: made from its config, and given all that the config does not hold.

Weights, states of random seeds, vocabularies and other assets, statistics that a layer adapts,
plain attributes, and which of its variables and inner layers are trainable.
"""

import contextlib
import copy
import tempfile

import keras
import numpy as np

from keras_ssc.model_graph import held_layers, is_input, walk


def copied(layer, **changes):
    """Return `copied_as` for the class of the layer itself.

    Example:

    >>> copied(keras.layers.Dense(3, name="one"), units=2).get_config()["units"]
    2
    """
    return copied_as(type(layer), layer, **changes)


def copied_as(kind, layer, **changes):
    """Return a new layer, or operation, with the config of `layer`; not yet its state.

    Args:
        kind: class of the new one, with the arguments of that of `layer`.
        layer: Keras layer or operation.
        **changes: entries of the config that differ; None takes the entry out.

    Raises:
        ValueError: it can't be made from its config.

    Example:

    >>> copied_as(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D(3)).pool_size
    (3, 3)
    """
    with refusing(layer):
        if is_input(layer):
            return _copied_input(layer, **changes)
        config = layer.get_config() | changes
        gone = [name for name, value in changes.items() if value is None]
        return kind.from_config({k: v for k, v in config.items() if k not in gone})


def _copied_input(layer, **changes):
    """A new input layer; also its tensor has the old name, under which a dict may name it."""
    x, config = layer.output, layer.get_config() | changes
    kinds = {name: config[name] for name in ("sparse", "ragged") if config.get(name)}
    tensor = keras.KerasTensor(config["batch_shape"], x.dtype, name=x.name, **kinds)
    return keras.layers.InputLayer(
        input_tensor=tensor, name=layer.name, optional=layer.optional, **kinds
    )


@contextlib.contextmanager
def refusing(layer):
    """Turn an error while a layer is made from its config into one that names the layer."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) can't be copied, because it can't be "
            f"made anew from its config: {error}"
        ) from error


def copy_state(old, new):
    """Give `new`, a built copy, all that `old` holds beside its config.

    Raises:
        ValueError: the copy does not hold the same layers or variables.
    """
    inside, copies = walk(old, held_layers), walk(new, held_layers)
    ours, theirs = _variables(old), _variables(new)
    alike = len(inside) == len(copies) and all(map(_are_akin, inside, copies))
    if not alike or [tuple(one.shape) for one in ours] != [tuple(one.shape) for one in theirs]:
        raise ValueError(
            f"Layer {old.name!r} ({type(old).__name__}) can't be copied: made anew from its "
            "config, it does not have the same layers and weights"
        )
    for one, other in zip(inside, copies, strict=True):
        copy_attributes(one, other)
        _copy_stored(one, other)
    for one, other in zip(ours, theirs, strict=True):
        other.assign(_array(one))
    for one in copies:
        if hasattr(one, "finalize_state"):
            one.finalize_state()  # what it computes with is made from its weights


def copy_trainable(pairs):
    """Make layers and their variables trainable as their originals are.

    Args:
        pairs: list of (old, new), layers and models, each before what it holds: to set
            `trainable` also sets it for everything inside.
    """
    for old, new in pairs:
        if new.trainable != old.trainable:
            new.trainable = old.trainable
    for old, new in pairs:
        ours, theirs = _variables(old), _variables(new)
        if _are_akin(old, new) and len(ours) == len(theirs):
            for one, other in zip(ours, theirs, strict=True):
                if other.trainable != one.trainable:
                    other.trainable = one.trainable


def copy_attributes(old, new, known=()):
    """Copy plain public attributes that were set after a layer was made, as `layer.rate = 0.1`.

    Args:
        old, new: layers or models.
        known: names of attributes that are left alone.
    """
    for name, value in vars(old).items():
        if name.startswith("_") or name in known or name == "name" or not _is_plain(value):
            continue
        if name not in vars(new) or not _equal(vars(new)[name], value):
            setattr(new, name, copy.deepcopy(value))


def why_no_plain_kernel(layer):
    """Say why the kernel of a layer is no single weight of floats; "" where it is one."""
    if getattr(layer, "lora_enabled", False):
        return "LoRA"
    return "quantized" if layer.dtype_policy.quantization_mode else ""


def merged_lora(layer):
    """Return (changes of the config, weights) of a layer without LoRA, its kernel merged.

    ({}, None) for a layer without LoRA, and for a quantized one, whose kernel would be rounded.
    """
    if why_no_plain_kernel(layer) != "LoRA" or layer.dtype_policy.quantization_mode:
        return {}, None
    store = {}
    layer.save_own_variables(store)  # Keras merges the kernel for its files
    weights = [_array(store[str(index)]) for index in range(len(store))]
    return {"lora_rank": None, "lora_alpha": None}, weights


def _are_akin(old, new):
    """Whether both are of one class, or one of a class that extends the other's."""
    return isinstance(new, type(old)) or isinstance(old, type(new))


def _variables(layer):
    """Weights, and the states of seeds; not those of metrics."""
    metrics = {id(one) for one in layer.metrics_variables}
    return [one for one in layer.variables if id(one) not in metrics]


def _array(value):
    """A NumPy copy: JAX gives the buffers of a model that trains to its next step."""
    return np.array(keras.ops.convert_to_numpy(value))


def _copy_stored(old, new):
    """What a layer of its own kind writes to a file and reads from it."""
    if type(old).save_own_variables is not keras.layers.Layer.save_own_variables:
        store = {}
        old.save_own_variables(store)
        for name, value in store.items():
            store[name] = _array(value) if keras.ops.is_tensor(value) else copy.copy(value)
        new.load_own_variables(store)
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(_is_plain(one) for one in value.values())
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray, np.generic))


def _equal(one, other):
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    return type(one) is type(other) and one == other
