"""The order of channels as a property of a tensor, while JAX traces a program.

A layer whose kernel gives its channels in an order of its own puts them back for whoever reads
them, and remembers what the result was made of. A layer that takes this very tensor reads that in
its place; if all do, nothing reads the tensor itself, and XLA leaves the permutation out of the
program. Whoever does not know of this reads the tensor: right by construction.
"""

import contextlib
import contextvars
import weakref
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_kept = contextvars.ContextVar("keras_ssc_kept_orders", default=True)
_made_of = {}  # id of a tensor -> (weak reference to it, {Order: its channels in that order})


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
    """Whether orders are kept from layer to layer: not inside of `each_layer_alone`."""
    return _kept.get()


def order_of(x):
    """Return the Order in which the channels of `x` were made, or None: their own."""
    return next(iter(_orders(x)), None)


def in_order(x, order):
    """Return tensor `x` (..., channels) with its channels in `order`: the remembered one, or anew.

    Args:
        x: JAX array, with the channels in their own order.
        order: Order, or None: their own.
    """
    if order is None:
        return x
    known = _orders(x)
    if order in known:
        return known[order]
    from keras_ssc.native.jax_permutation import permuted

    first = order_of(x)
    if first is None:
        found = permuted(x, order)
    else:
        found = permuted(known[first], Order.of(first.inverse.channels[order.channels]))
    _remember(x, found, order)
    return found


def restored(ordered, order):
    """Return the tensor whose channels in `order` are `ordered`, and remember that it was so."""
    from keras_ssc.native.jax_permutation import permuted

    x = permuted(ordered, order.inverse)
    _remember(x, ordered, order)
    return x


def _orders(x):
    reference, orders = _made_of.get(id(x), (None, {}))
    return orders if reference is not None and reference() is x else {}


def _remember(x, ordered, order):
    """Only where both belong to one trace: so no tensor outlives the trace that it belongs to."""
    trace = getattr(x, "_trace", None)
    if trace is None or trace is not getattr(ordered, "_trace", None):
        return
    if _orders(x):
        _made_of[id(x)][1][order] = ordered
        return
    key, table = id(x), _made_of  # the name is gone when Python ends
    _made_of[key] = (weakref.ref(x, lambda _: table.pop(key, None)), {order: ordered})
