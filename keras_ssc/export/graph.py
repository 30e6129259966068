"""The twin as a pure function: inputs and arrays in, outputs out."""

import keras


class PureModel:
    """What the graph formats write: `outputs = pure(inputs, arrays)`.

    Args:
        twin: functional model.
        packed: dict, id of a variable -> `PackedKernel`; other variables are arrays as they are.

    Attributes:
        arrays: list of NumPy arrays, all that a file has to hold.
        inputs: list of the twin's input tensors.
    """

    def __init__(self, twin, packed):
        self.twin = twin
        self.inputs = keras.tree.flatten(twin.input)
        self.arrays = []
        self._kernels = []  # for every variable: (PackedKernel or None, how many arrays it takes)
        for variable in twin.trainable_variables + twin.non_trainable_variables:
            kernel = packed.get(id(variable))
            leaves = kernel.leaves if kernel else [keras.ops.convert_to_numpy(variable)]
            self.arrays += leaves
            self._kernels.append((kernel, len(leaves)))

    def __call__(self, inputs, arrays):
        """Return the list of outputs for a list of inputs; `arrays` stand for the weights."""
        values, rest = [], list(arrays)
        for kernel, count in self._kernels:
            leaves, rest = rest[:count], rest[count:]
            values.append(kernel.unpack(leaves) if kernel else leaves[0])
        trainable = len(self.twin.trainable_variables)
        outputs, _ = self.twin.stateless_call(
            values[:trainable],
            values[trainable:],
            keras.tree.pack_sequence_as(self.twin.input, list(inputs)),
            training=False,
        )
        return keras.tree.flatten(outputs)

    def signature(self):
        """Return a `tf.TensorSpec` for every input."""
        import tensorflow as tf

        return [tf.TensorSpec(x.shape, x.dtype, name=x.name) for x in self.inputs]
