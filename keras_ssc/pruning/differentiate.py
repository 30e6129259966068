"""Derivatives of a model by its weights, first and second, on TensorFlow and on JAX.

A function of weights takes a list of tensors in place of the model's variables, and leaves the
model alone: BatchNormalization's moving moments and the seeds stay what they were.
"""

import keras


def function_of_weights(model, variables, objective):
    """Return a function (values, *arguments) -> scalar: `objective` with values for variables.

    Args:
        model: a built `keras.Model`.
        variables: list of its variables.
        objective: function (model, *arguments) -> scalar tensor, made of keras.ops.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    >>> f = function_of_weights(model, model.weights, lambda m, x: keras.ops.sum(m(x)))
    >>> float(f([np.ones((2, 1), "float32")], np.ones((1, 2), "float32")))
    2.0
    """

    def function(values, *arguments):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return objective(model, *arguments)

    return function


def compiled(function):
    """Return a compiled form of a function of tensors.

    Example:

    >>> double = compiled(lambda x: 2 * x)
    >>> float(double(keras.ops.convert_to_tensor(3.0)))
    6.0
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)


def gradients(function):
    """Return a compiled function (values, *arguments) -> list of gradients by the values.

    Args:
        function: (list of tensors, *arguments) -> scalar tensor.

    Example:

    >>> square = gradients(lambda values: keras.ops.sum(values[0] ** 2))
    >>> float(square([keras.ops.convert_to_tensor(3.0)])[0])
    6.0
    """
    if keras.backend.backend() == "jax":
        import jax

        return compiled(jax.grad(function))
    return compiled(lambda values, *arguments: _tape_gradients(function, values, arguments))


def hessian_times(function):
    """Return a compiled function (values, vector, *arguments) -> H v, a list like the values.

    H is the Hessian of `function` by the values; v is held constant.

    Example:

    >>> times = hessian_times(lambda values: keras.ops.sum(values[0] ** 3))
    >>> x, v = keras.ops.convert_to_tensor([1.0, 2.0]), keras.ops.convert_to_tensor([1.0, 1.0])
    >>> [float(value) for value in times([x], [v])[0]]
    [6.0, 12.0]
    """
    if keras.backend.backend() == "jax":
        import jax

        def product(values, vector, *arguments):
            gradient = jax.grad(lambda inner: function(inner, *arguments))
            return jax.jvp(gradient, (values,), (vector,))[1]

        return compiled(product)
    import tensorflow as tf

    def product(values, vector, *arguments):
        def dot(inner):
            own = _tape_gradients(function, inner, arguments)
            return tf.add_n([tf.reduce_sum(a * b) for a, b in zip(own, vector, strict=True)])

        return _tape_gradients(dot, values, ())

    return compiled(product)


def _tape_gradients(function, values, arguments):
    import tensorflow as tf

    values = [tf.convert_to_tensor(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = function(values, *arguments)
    return tape.gradient(result, values, unconnected_gradients="zero")
