"""What an optimizer remembers of single weights: momentum, moments, averages."""

import keras


def inner_optimizers(optimizer):
    """Return the optimizers that make the steps: those inside one, or itself.

    Example:

    >>> adam = keras.optimizers.Adam()
    >>> inner_optimizers(keras.optimizers.LossScaleOptimizer(adam)) == [adam]
    True
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return inner_optimizers(optimizer.inner_optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))  # MultiOptimizer, of Keras 3.15


def clear_slots(model, entries):
    """Set what a model's optimizer remembers of some entries of its kernels to where it began.

    That is 0, and `initial_accumulator_value` for the accumulators of Adagrad and Ftrl. Keras names
    a slot after its variable: `conv_kernel_momentum` belongs to `conv/kernel`.

    Args:
        model: a compiled `keras.Model`.
        entries: dict, path of a kernel -> bool array of its shape.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    >>> losses = model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    >>> clear_slots(model, {model.layers[0].kernel.path: np.array([[True], [False]])})
    >>> bool(np.array(model.optimizer.variables[2])[0] == 0)
    True
    """
    entries = {_prefix(path): entry for path, entry in entries.items() if entry.any()}
    prefixes = [_prefix(variable.path) for variable in model.trainable_variables]
    for optimizer in inner_optimizers(model.optimizer):
        first = getattr(optimizer, "initial_accumulator_value", 0)
        for slot in optimizer.variables:
            # The longest: `a_kernel_` is also how the slots of a layer named a_kernel begin.
            owner = max((p for p in prefixes if slot.name.startswith(p)), key=len, default=None)
            entry = entries.get(owner)
            if entry is not None and tuple(slot.shape) == entry.shape:
                value = keras.ops.convert_to_tensor(slot)
                start = first if slot.name == f"{owner}accumulator" else 0
                slot.assign(keras.ops.where(entry, keras.ops.full_like(value, start), value))


def _prefix(path):
    return path.replace("/", "_") + "_"
