"""The order of channels, and the zeros around a map, as properties of a tensor that JAX traces.

A layer whose kernel gives its channels in an order of its own puts them back for whoever reads
them, and remembers what the result was made of. A layer that takes this very tensor reads that in
its place; if all do, nothing reads the tensor itself, and XLA leaves the permutation out of the
program. Whoever does not know of this reads the tensor: right by construction.
"""

import contextlib
import contextvars
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from keras_ssc.native.traced_tensors import Known

_kept = contextvars.ContextVar("keras_ssc_kept_orders", default=True)
_made_of = Known()  # a tensor -> (its channels in order, the Order)
_padded = Known()  # a tensor -> (what it was before zeros were put around it, the pads)
_makers = Known()  # a tensor -> function of an Order that makes its channels in that order


@dataclass(frozen=True)
class Order:
    """An order of channels, other than their own.

    Args:
        packed: bytes of an int32 array, the channel at each place.

    Example:

    >>> order = Order.of([0, 2, 1, 3])
    >>> order.channels.tolist(), order.inverse == order
    ([0, 2, 1, 3], True)
    """

    packed: bytes

    @classmethod
    def of(cls, channels):
        """Return the Order with these channels, one at each place."""
        return cls(np.asarray(channels, np.int32).tobytes())

    @cached_property
    def channels(self):
        """The channel at each place: int32 array."""
        return np.frombuffer(self.packed, np.int32)

    @cached_property
    def inverse(self):
        """The Order that puts channels in this order back into their own."""
        return Order.of(np.argsort(self.channels))

    def __repr__(self):
        channels = ", ".join(map(str, self.channels[:4]))
        return f"Order({channels}, ... of {len(self.channels)})"


@contextlib.contextmanager
def each_layer_alone():
    """Trace layers that bring their channels into order and back, each for itself: to compare.

    Example:

        with channel_order.each_layer_alone():
            compiled = jax.jit(step).lower(*arguments).compile()
    """
    token = _kept.set(False)
    try:
        yield
    finally:
        _kept.reset(token)


def are_kept():
    """Whether orders are kept from layer to layer: on JAX, but not inside of `each_layer_alone`."""
    return keras.backend.backend() == "jax" and _kept.get()


def order_of(x):
    """Return the Order in which the channels of `x` were made, or None: their own."""
    return _remembered(x)[1]


def in_order(x, order):
    """Return tensor `x` (..., channels) with its channels in `order`: as they were made, or anew.

    Where `can_be_made` told how, the tensor is made once more in this order: nothing reads the
    first one any more, and XLA leaves it out.

    What is made anew is not remembered, as it would keep `x` itself alive: XLA merges equal
    permutations of one tensor, or fuses them with what reads them.

    Args:
        x: JAX array, with the channels in their own order.
        order: Order, or None: their own.
    """
    from keras_ssc.native.jax_permutation import permuted

    ordered, first = _remembered(x)
    if order is None:
        return x
    if order == first:
        return ordered
    if first is None:
        make = _makers.find(x)
        return make(order) if make else permuted(x, order)
    return permuted(ordered, Order.of(first.inverse.channels[order.channels]))


def remember_padding(y, x, pads):
    """Remember that `y` is `x` with ((above, below), (left, right)) pixels of zeros around it."""
    if are_kept():
        _padded.remember(y, (x, pads))


def before_padding(y):
    """Return (x, pads) as they were given to `remember_padding`, or None."""
    return _padded.find(y)


def is_made_in_any_order(x):
    """Whether `can_be_made` told how `x` is made in an order of the reader's choice."""
    return _makers.find(x) is not None


def can_be_made(x, make):
    """Remember that `make(order)` is tensor `x` with its channels in that Order.

    It is used in place of a permutation of `x`, and must cost less, as long as nothing else reads
    `x` itself.
    """
    if are_kept():
        _makers.remember(x, make)


def restored(ordered, order):
    """Return the tensor whose channels in `order` are `ordered`, and remember that it was so."""
    from keras_ssc.native.jax_permutation import permuted

    x = permuted(ordered, order.inverse)
    if x is not ordered:
        _made_of.remember(x, (ordered, order))
    return x


def _remembered(x):
    return _made_of.find(x) or (None, None)
