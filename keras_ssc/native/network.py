"""A whole network for inference as one native operation."""

import ctypes
import logging

import keras

from keras_ssc.native import build

NO_GRADIENTS = (
    "A network of `keras_ssc.optimize_for_inference` has no gradients: train the model that it was "
    "made of."
)


def native_network(program, layers, variables):
    """Return what computes a network: function (list of inputs) -> list of outputs.

    Inputs are tensors (batch, height, width, channels), float32.

    Args:
        program: list of ints, as `source/network_program.cc` reads it.
        layers: functional `keras.Model` that computes the same.
        variables: list of variables, the weights in the order of the steps that use them.
    """
    if keras.backend.backend() == "jax":
        from keras_ssc.native.jax_network import JaxNetwork

        return JaxNetwork(program, layers, variables)
    return TensorFlowNetwork(program, layers, variables)


class TensorFlowNetwork:
    """A network on TensorFlow. Arguments as for `native_network`."""

    def __init__(self, program, layers, variables):
        self.program = program
        self.shapes = [y.shape for y in keras.tree.flatten(layers.outputs)]
        self.variables = variables
        self._function = self._held = None

    def __call__(self, inputs):
        """Return the outputs."""
        import tensorflow as tf

        if not tf.executing_eagerly() or not self._read_as_they_are():
            return self._call(inputs)
        if self._function is None:  # the program is then read once, not at every call
            self._function = tf.function(self._call, reduce_retracing=True, autograph=False)
        return self._function(inputs)

    def _read_as_they_are(self):
        """Whether the weights are TensorFlow's variables here: no `StatelessScope`, no replicas."""
        import tensorflow as tf

        own = not self.variables or isinstance(self.variables[0].value, tf.Variable)
        return own and not tf.distribute.has_strategy()

    def _call(self, inputs):
        weights, held = [], []
        if self.variables and self._read_as_they_are():
            held = [self._handle()]
        else:
            weights = [keras.ops.convert_to_tensor(one) for one in self.variables]
        outputs = _operations().KerasSscNetwork(
            inputs=inputs,
            weights=weights,
            held=held,
            program=self.program,
            output_count=len(self.shapes),
        )
        for y, shape in zip(outputs, self.shapes, strict=True):
            y.set_shape(shape)
        return outputs

    def _handle(self):
        """Return one handle for all variables: a call is sooner done than with each of them."""
        import tensorflow as tf

        if self._held is None:
            with tf.init_scope():
                handles = [one.value.handle for one in self.variables]
                self._held = _operations().KerasSscNetworkWeights(variables=handles)
        return self._held


@build.once
def _operations():
    """Load the operations and tell TensorFlow that this one has no gradient, once."""
    import tensorflow as tf

    @tf.RegisterGradient("KerasSscNetwork")
    def _(op, *_gradients):
        raise LookupError(NO_GRADIENTS)

    return build.operations()


@build.once
def multiplies_bfloat16():
    """Whether native networks can multiply bfloat16 here; says so, once, where they can't."""
    build.operations()  # the library is there
    library = ctypes.CDLL(str(build.find().library))
    if library.keras_ssc_multiplies_bfloat16():
        return True
    logging.getLogger("keras_ssc").warning(
        "keras-ssc multiplies float32 in place of bfloat16: no AVX512_BF16 in this CPU or compiler"
    )
    return False
