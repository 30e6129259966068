"""Command-line flags made from the fields and the docstring of `TrainingConfig`."""

import argparse
import dataclasses
import re
import types
import typing

from keras_ssc.training.config import TrainingConfig

_SWITCH = {"auto": "auto", "yes": True, "no": False}


def add_config_arguments(parser, names, **defaults):
    """Add a flag for each of some fields of `TrainingConfig`.

    A flag that is not given leaves nothing in the namespace: the config's own default, or that of a
    run to resume, stands then.

    Args:
        parser: `argparse.ArgumentParser`.
        names: list of str, fields.
        **defaults: str, what the help says is the default, where the program has another.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_config_arguments(parser, ["epochs", "batch_size"])
    >>> given(parser.parse_args(["--batch-size", "8"]))
    {'batch_size': 8}
    """
    hints, texts = typing.get_type_hints(TrainingConfig), _texts(TrainingConfig.__doc__)
    fields = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    for name in names:
        flags = [f"--{name.replace('_', '-')}"]
        if name == "dataset":
            flags.insert(0, "--data")
        default = defaults.get(name, fields[name].default)
        shown = "" if default in (None, False) else f" (default: {default})"
        options = {"dest": name, "default": argparse.SUPPRESS}
        options["help"] = (texts[name] + shown).replace("%", "%%")
        parser.add_argument(*flags, **options, **_kind(hints[name]))


def given(namespace):
    """Return the fields of `TrainingConfig` that were given, as a dict."""
    fields = {field.name for field in dataclasses.fields(TrainingConfig)}
    return {name: value for name, value in vars(namespace).items() if name in fields}


def _kind(hint):
    """How argparse reads a field of this type."""
    several = isinstance(hint, (types.UnionType, typing.Union.__class__))
    kinds = [
        one for one in (typing.get_args(hint) if several else (hint,)) if one is not type(None)
    ]
    if kinds == [bool]:
        return {"action": "store_true"}
    if bool in kinds:
        return {"type": _switch, "metavar": "{" + ",".join(_SWITCH) + "}"}
    return {"type": kinds[0]}


def _switch(word):
    if word not in _SWITCH:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_SWITCH)}. Received: {word!r}")
    return _SWITCH[word]


def _texts(docstring):
    """What the section `Args:` says of each field."""
    section = re.search(r"\n    Args:\n(.*?)\n\n", docstring, re.DOTALL)[1]
    entries = re.findall(
        r"^ {8}(\w+): (.*?)(?=^ {8}\w|\Z)", section + "\n", re.DOTALL | re.MULTILINE
    )
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries}
