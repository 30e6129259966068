"""Plain arguments, checked: the message names the argument, the rule and the value."""

import operator


def integer(name, value, minimum):
    """Return `value` as an int of at least `minimum`."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if whole < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={value}")
    return whole


def number(name, value, minimum):
    """Return `value` as a float of at least `minimum`, within the range of float32."""
    real = _real(name, value)
    if not minimum <= real <= 1e38:
        raise ValueError(f"`{name}` must be in [{minimum}, 1e38]. Received: {name}={value}")
    return real


def fraction(name, value):
    """Return `value` as a float strictly between 0 and 1."""
    real = _real(name, value)
    if not 0 < real < 1:
        raise ValueError(f"`{name}` must lie strictly between 0 and 1. Received: {name}={value}")
    return real


def _real(name, value):
    try:
        refused = isinstance(value, (str, bytes)) or type(value).__name__ in ("bool", "bool_")
        real = None if refused else float(value)
    except (TypeError, ValueError, OverflowError):
        real = None
    if real is None:
        raise TypeError(f"`{name}` must be a number. Received: {name}={value!r}")
    return real


def boolean(name, value):
    """Return `value` as a bool if it is one."""
    if type(value).__name__ not in ("bool", "bool_"):  # of Python or NumPy
        raise TypeError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(value)


def names(name, value, rule="a list of names"):
    """Return `value` as a list, if it is a collection of strings; `rule` says so in words."""
    found = [None] if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") else value
    try:
        found = list(found)
    except TypeError:  # an array without dimensions
        found = [None]
    if not all(isinstance(one, str) for one in found):
        raise TypeError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return found


def numbers(name, value, minimum):
    """Return `value` as a tuple of floats of at least `minimum`."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"`{name}` must be a list of numbers. Received: {name}={value!r}")
    return tuple(number(name, one, minimum) for one in value)


def dictionary(name, value):
    """Return `value` if it is a dict."""
    if not isinstance(value, dict):
        raise TypeError(f"`{name}` must be a dict. Received: {name}={value!r}")
    return value


def pair(name, value):
    """Return (rows, columns) for a positive integer or two of them."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"`{name}` must be an integer or two. Received: {name}={value!r}")
        return tuple(integer(name, side, 1) for side in value)
    return (integer(name, value, 1),) * 2


def known(name, value, names):
    """Return `value` if it is one of `names`, such as those of networks, which keep their case."""
    names = tuple(names)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"`{name}` must be one of {names}. Received: {name}={value!r}")
    return value


def one_of(name, value, choices):
    """Return `value` in lower case, as Keras does with its words, if it is one of `choices`."""
    if not isinstance(value, str) or value.lower() not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")
    return value.lower()
