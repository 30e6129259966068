"""What an optimizer remembers of single weights: momentum, moments."""

import keras

from keras_ssc.pruning.masks import prunable_layers


def clear_slots(model, entries):
    """Set to zero what a model's optimizer remembers of some entries of its kernels.

    Keras names a slot after its variable: `conv_kernel_momentum` belongs to `conv/kernel`.

    Args:
        model: a compiled `keras.Model`.
        entries: dict, layer name -> bool array shaped like the layer's kernel.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    >>> model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    >>> losses = model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    >>> clear_slots(model, {"one": np.array([[True], [False]])})
    >>> bool(np.array(model.optimizer.variables[2])[0] == 0)
    True
    """
    layers = prunable_layers(model)
    names = {_prefix(layers[name].kernel): name for name in entries if entries[name].any()}
    prefixes = [_prefix(variable) for variable in model.trainable_variables]
    for slot in model.optimizer.variables:
        # The longest: `a_kernel_` is also how the slots of a layer named a_kernel begin.
        owner = max((p for p in prefixes if slot.name.startswith(p)), key=len, default=None)
        entry = entries.get(names.get(owner))
        if entry is not None and tuple(slot.shape) == entry.shape:
            value = keras.ops.convert_to_tensor(slot)
            slot.assign(keras.ops.where(entry, keras.ops.zeros_like(value), value))


def _prefix(variable):
    return variable.path.replace("/", "_") + "_"
