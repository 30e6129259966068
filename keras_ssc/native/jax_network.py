"""A whole network for inference on JAX: one primitive, a custom call on CPU.

Where the call can't serve, the layers that it was made of compute.
"""

import itertools
import weakref

import jax
import keras
import numpy as np

from keras_ssc.native import build
from keras_ssc.native.jax_primitive import call, primitive
from keras_ssc.native.network import NO_GRADIENTS

_numbers = itertools.count()


class JaxNetwork:
    """A network on JAX. Arguments as for `native_network`."""

    def __init__(self, program, layers, variables):
        self.variables = variables
        # One function for all calls, also inside of others: JAX's caches hold on to what its
        # programs need for as long as the function lives.
        self._function = jax.jit(_Network(program, layers, variables).outputs)

    def __call__(self, inputs):
        """Return the outputs."""
        weights = [keras.ops.convert_to_tensor(one) for one in self.variables]
        return self._function(inputs, weights)


class _Network:
    """The parameter of the primitive; arguments as for `native_network`."""

    def __init__(self, program, layers, variables):
        self.program = np.array(program, "int32")
        self.layers = layers
        self.variables = variables
        # By this the library finds the weights that it has packed, for as long as this object lives.
        self.number = next(_numbers)
        weakref.finalize(self, build.operations().KerasSscForgetNetwork, self.number)

    def outputs(self, inputs, weights):
        """Return the outputs for lists of arrays."""
        one = [keras.KerasTensor((None, *x.shape[1:]), "float32") for x in inputs]
        outputs = self.layers.compute_output_spec(self._packed(one))
        sizes = tuple(y.shape[1:] for y in keras.tree.flatten(outputs))
        return call(_network, [*inputs, *weights], network=self, sizes=sizes)

    def by_layers(self, arrays):
        """Return what the layers make of inputs, then weights."""
        count = len(self.layers.inputs)
        values = zip(self.variables, arrays[count:], strict=True)
        with keras.StatelessScope(state_mapping=list(values)):
            outputs = self.layers(self._packed(arrays[:count]), training=False)
        return keras.tree.flatten(outputs)

    def _packed(self, inputs):
        return keras.tree.pack_sequence_as(self.layers.input, list(inputs))


def _no_gradients(arrays, tangents, **_):
    raise LookupError(NO_GRADIENTS)


_network = primitive(
    "keras_ssc_network",
    shapes=lambda x, *_, sizes, **__: [(x.shape[0], *size) for size in sizes],
    portable=lambda *arrays, network, **_: network.by_layers(arrays),
    target="KerasSscNetwork",
    attributes=lambda network, **_: {
        "program": network.program,
        "number": np.int64(network.number),
    },
    jvp=_no_gradients,
    fold=lambda network, **_: range(len(network.layers.inputs)),
)
