"""The TensorFlow operations of a function as its callers get it."""


def called_operations(function, *arguments, **named):
    """Return the types of the operations in a `tf.function` that is called, as a set.

    It is called first: `get_concrete_function` alone makes a graph to be saved, which has none of
    the native operations.
    """
    function(*arguments, **named)
    graph = function.get_concrete_function(*arguments, **named).graph
    return {operation.type for operation in graph.get_operations()}
