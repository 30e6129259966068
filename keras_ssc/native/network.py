"""A whole network for inference as one native operation."""

import ctypes
import logging

import keras

from keras_ssc.native import build


class NativeNetwork:
    """What computes one network.

    Args:
        program: list of ints, as `source/network_program.cc` reads it.
        outputs: int, how many there are.
        weights: function () -> list of tensors, in the order of the steps that use them.
    """

    def __init__(self, program, outputs, weights):
        self.program = program
        self.outputs = outputs
        self.weights = weights
        self._function = None

    def __call__(self, inputs):
        """Return the outputs, a list of tensors.

        Args:
            inputs: list of tensors (batch, height, width, channels), float32.
        """
        import tensorflow as tf

        if not tf.executing_eagerly():
            return self._call(inputs)
        if self._function is None:  # the program is then read once, not at every call
            self._function = tf.function(self._call, reduce_retracing=True, autograph=False)
        return self._function(inputs)

    def _call(self, inputs):
        return _operations().KerasSscNetwork(
            inputs=inputs,
            weights=self.weights(),
            program=self.program,
            output_count=self.outputs,
        )


@build.once
def _operations():
    """Load the operations and tell TensorFlow that this one has no gradient, once."""
    import tensorflow as tf

    @tf.RegisterGradient("KerasSscNetwork")
    def _(op, *_gradients):
        raise LookupError(
            "A network of `keras_ssc.optimize_for_inference` has no gradients: train the model "
            "that it was made of."
        )

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


def serves_networks():
    """Whether there are native networks for Keras's backend."""
    return keras.backend.backend() == "tensorflow"
