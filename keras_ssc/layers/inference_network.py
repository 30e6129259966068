"""A network for inference in one layer, computed by one native operation."""

import keras

from keras_ssc.arguments import one_of
from keras_ssc.layers.network_program import NetworkProgram
from keras_ssc.layers.network_steps import append
from keras_ssc.model_graph import calls_of
from keras_ssc.native import why_not_native_operations
from keras_ssc.native.network import multiplies_bfloat16, native_network

PRODUCTS = ("float32", "bfloat16")


@keras.saving.register_keras_serializable(package="keras_ssc")
class InferenceNetwork(keras.layers.Layer):
    """A functional model as one layer, which the native library computes as a whole.

    Images go through all steps in pieces that stay in the cache, on one thread each; nothing is
    scheduled between the steps, and the weights are put into the order of use once. Where the
    native library can't serve (another device or backend, XLA, exported files), the layers of the
    model compute, with equal results to rounding. `keras_ssc.optimize_for_inference` makes it. It
    has no gradients, and its weights are not trainable.

    Args:
        network: functional `keras.Model` for inference, of layers that have a step in
            `network_steps`.
        products: "float32", or "bfloat16": convolutions may round inputs and weights to bfloat16
            before they multiply them, where that is faster. Sums and all arrays are float32. Where
            the CPU has no AVX512_BF16 (one line is logged), or the layers compute: float32.
        **kwargs: name, dtype.

    Input shape, output shape:
        Those of the model.

    Example:

    >>> model = keras_ssc.applications.ResNet20(sparsity=0.9)
    >>> _, network, _ = keras_ssc.optimize_for_inference(model).layers
    >>> type(network).__name__, type(network.network.layers[1]).__name__
    ('InferenceNetwork', 'Conv2D')
    """

    def __init__(self, network: keras.Model, products="float32", **kwargs):
        super().__init__(**{"trainable": False, **kwargs})
        self.network = network
        self.network.trainable = self.trainable
        self.products = one_of("products", products, PRODUCTS)
        self._native = None

    def build(self, *input_shapes):
        """Create nothing: the weights are the model's."""
        self.built = True

    def call(self, inputs):
        """Return the outputs of the model."""
        if why_not_native_operations():
            return self.network(inputs, training=False)
        if self._native is None:
            self._native = self._make_native()
        tensors = [keras.ops.cast(x, "float32") for x in keras.tree.flatten(inputs)]
        outputs = self._native(tensors)
        return keras.tree.pack_sequence_as(self.network.output, list(outputs))

    def _make_native(self):
        inputs, outputs, calls = calls_of(self.network)
        ends = keras.tree.flatten(inputs), keras.tree.flatten(outputs)
        bfloat16 = self.products == "bfloat16" and multiplies_bfloat16()
        program = NetworkProgram(*ends, calls, append, bfloat16)
        return native_network(program.integers, self.network, program.weights)

    def compute_output_spec(self, inputs):
        """Return the outputs of the model, symbolic."""
        return self.network.compute_output_spec(inputs)

    def get_config(self):
        """Return the arguments."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "products": self.products}

    @classmethod
    def from_config(cls, config):
        """Return the layer of a config."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
