"""The user's own classes and functions in a model, which Keras finds by name in a scope only."""

import contextlib
import types

import keras


def own_objects(model):
    """Return {name: class or function} of all in `model` that Keras does not know by itself.

    They are the layers' classes, also of layers inside layers, and what layers hold: activations,
    initializers, regularizers, constraints. Functions without a name of their own are left out.

    Args:
        model: `keras.Model`.

    Example:

    >>> def twice(x):
    ...     return 2 * x
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation=twice)])
    >>> list(own_objects(model))
    ['twice']
    """
    found, seen = {}, set()

    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, (list, tuple, dict)):
            for part in value.values() if isinstance(value, dict) else value:
                visit(part)
        elif isinstance(value, types.FunctionType) or hasattr(type(value), "get_config"):
            one = value if isinstance(value, types.FunctionType) else type(value)
            if _is_unknown(one):
                found[one.__name__] = one
            if isinstance(value, keras.layers.Layer):
                visit(value.layers if isinstance(value, keras.Model) else vars(value))

    visit(model)
    return found


def _is_unknown(one):
    """Whether Keras does not find a class or function by itself."""
    if one.__module__.split(".")[0] == "keras" or not one.__name__.isidentifier():
        return False
    return all(one is not registered for registered in keras.saving.get_custom_objects().values())


def own_scope(model):
    """Return a scope to use in a `with` block, in which Keras finds the `own_objects` of `model`.

    A scope hides the one around it, so where there is nothing to add there is none.
    """
    objects = own_objects(model)
    return keras.saving.custom_object_scope(objects) if objects else contextlib.nullcontext()
