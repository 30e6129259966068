"""The model as a pure function: inputs and arrays in, outputs out."""

import keras


class PureModel:
    """What the graph formats write: `outputs = pure(inputs, arrays)`.

    Args:
        model: functional model.
        packed: dict, id of a variable -> `PackedKernel`; other variables are arrays as they are.

    Attributes:
        arrays: list of NumPy arrays, all that a file has to hold.
        inputs: list of the model's input tensors; files name them input_0, input_1, ...
    """

    def __init__(self, model, packed):
        self.model = model
        self.inputs = keras.tree.flatten(model.input)
        self.arrays = []
        self._kernels = []  # for every variable: (PackedKernel or None, places in `arrays`)
        places = {}
        for variable in model.trainable_variables + model.non_trainable_variables:
            kernel = packed.get(id(variable))
            arrays = [keras.ops.convert_to_numpy(variable)]
            if kernel:
                arrays = [kernel.rows, kernel.values]
            self._kernels.append((kernel, [self._place(array, places) for array in arrays]))

    def _place(self, array, places):
        """The place of `array` in `arrays`; lists of places that layers share are held once."""
        key = (array.shape, array.tobytes()) if array.dtype == "int32" else id(array)
        if key not in places:
            places[key] = len(self.arrays)
            self.arrays.append(array)
        return places[key]

    def __call__(self, inputs, arrays):
        """Return the list of outputs for a list of inputs; `arrays` stand for the weights."""
        return keras.tree.flatten(self.structured(inputs, arrays))

    def structured(self, inputs, arrays):
        """Return the outputs as the model does: one, a list or a dict; otherwise as a call."""
        values = [
            kernel.unpack(*(arrays[place] for place in places)) if kernel else arrays[places[0]]
            for kernel, places in self._kernels
        ]
        trainable = len(self.model.trainable_variables)
        outputs, _ = self.model.stateless_call(
            values[:trainable],
            values[trainable:],
            self.in_structure(inputs),
            training=False,
        )
        return outputs

    def in_structure(self, tensors):
        """Return a flat list of the inputs as the model takes them: one, a list or a dict."""
        return keras.tree.pack_sequence_as(self.model.input, list(tensors))

    def signature(self):
        """Return a `tf.TensorSpec` for every input: input_0, input_1, ..."""
        import tensorflow as tf

        return [
            tf.TensorSpec(x.shape, x.dtype, name=f"input_{i}") for i, x in enumerate(self.inputs)
        ]


def by_name(kind, tensors):
    """Return {"input_0": tensor, ...}, or "output_0" and so on, after `kind`."""
    return {f"{kind}_{i}": tensor for i, tensor in enumerate(tensors)}
