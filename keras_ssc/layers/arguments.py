"""Arguments of a convolution layer, checked at the door."""

import functools

import keras

from keras_ssc.arguments import fraction, integer, one_of

FLOATS = ("float32", "float64", "float16", "bfloat16")


def data_format(value):
    """Return `"channels_last"` or `"channels_first"`; None is Keras's setting."""
    value = keras.config.image_data_format() if value is None else value
    return one_of("data_format", value, ("channels_last", "channels_first"))


def _known_to_keras(get, name, value):
    """Return what `get`, such as `keras.initializers.get`, makes of `value`."""
    try:
        return get(value)
    except Exception as error:
        raise ValueError(f"`{name}` is not known to Keras: {error}") from None


activation = functools.partial(_known_to_keras, keras.activations.get)
initializer = functools.partial(_known_to_keras, keras.initializers.get)
regularizer = functools.partial(_known_to_keras, keras.regularizers.get)
constraint = functools.partial(_known_to_keras, keras.constraints.get)


def pattern_choice(g, p, sparsity):
    """Return (g, p, sparsity) with either g and p or the sparsity; 0.9 if none is given."""
    received = f"Received: g={g}, p={p}, sparsity={sparsity}"
    if sparsity is not None:
        if g is not None or p is not None:
            raise ValueError(f"Give either `g` and `p` or `sparsity`, not both. {received}")
        return None, None, fraction("sparsity", sparsity)
    if g is None and p is None:
        return None, None, 0.9
    if g is None or p is None:
        raise ValueError(
            "`g` and `p` go together (0 means no KxK kernels, or no 1x1 kernels). " + received
        )
    return integer("g", g, 0), integer("p", p, 0), None
