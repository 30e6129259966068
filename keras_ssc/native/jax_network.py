"""A whole network for inference on JAX: one primitive, a custom call on CPU.

Where the call can't serve, the layers that it was made of compute.
"""

import functools
import itertools
import weakref
from dataclasses import dataclass

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
        self.layers = layers
        self.variables = variables
        # By this number the library finds what it has packed, for as long as this object lives.
        number = next(_numbers)
        weakref.finalize(self, build.operations().KerasSscForgetNetwork, number)
        known = _Network(np.array(program, "int32"), number, weakref.ref(self))
        self._function = jax.jit(functools.partial(_outputs, known))

    def __call__(self, inputs):
        """Return the outputs."""
        weights = [keras.ops.convert_to_tensor(one) for one in self.variables]
        return self._function(inputs, weights)

    def sizes(self, inputs):
        """Return the shapes of the outputs but for their batch."""
        one = [keras.KerasTensor((None, *x.shape[1:]), "float32") for x in inputs]
        outputs = self.layers.compute_output_spec(self._packed(one))
        return tuple(y.shape[1:] for y in keras.tree.flatten(outputs))

    def by_layers(self, arrays):
        """Return what the layers make of inputs, then weights."""
        count = len(self.layers.inputs)
        values = zip(self.variables, arrays[count:], strict=True)
        with keras.StatelessScope(state_mapping=list(values)):
            outputs = self.layers(self._packed(arrays[:count]), training=False)
        return keras.tree.flatten(outputs)

    def _packed(self, inputs):
        return keras.tree.pack_sequence_as(self.layers.input, list(inputs))


@dataclass(frozen=True, eq=False)
class _Network:
    """What the primitive knows of a network.

    JAX keeps the parameters of primitives for long, so this must not keep a model alive.

    Args:
        program: int32 array.
        number: int, the network's.
        reference: weak reference to the `JaxNetwork`.
    """

    program: np.ndarray
    number: int
    reference: weakref.ref

    @property
    def owner(self):
        """The `JaxNetwork`."""
        found = self.reference()
        if found is None:
            raise RuntimeError(
                "The model of this traced program is gone: keep it until the program is compiled "
                "or exported."
            )
        return found


def _outputs(network, inputs, weights):
    sizes = network.owner.sizes(inputs)
    return call(_network, [*inputs, *weights], network=network, inputs=len(inputs), sizes=sizes)


def _no_gradients(arrays, tangents, **_):
    raise LookupError(NO_GRADIENTS)


_network = primitive(
    "keras_ssc_network",
    shapes=lambda x, *_, sizes, **__: [(x.shape[0], *size) for size in sizes],
    portable=lambda *arrays, network, **_: network.owner.by_layers(arrays),
    target="KerasSscNetwork",
    attributes=lambda network, **_: {
        "program": network.program,
        "number": np.int64(network.number),
    },
    jvp=_no_gradients,
    fold=lambda inputs, **_: range(inputs),
)
