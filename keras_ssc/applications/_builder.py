"""`@builder`: from the definition of a network to a function as in keras.applications."""

from __future__ import annotations  # the stub for editors repeats them as they are written

import functools
import inspect
import os
from collections.abc import Callable

import keras

from keras_ssc.applications._arguments import ARGUMENTS, RETURNS, check_arguments
from keras_ssc.applications._layer_builder import LayerBuilder
from keras_ssc.applications._pattern_choice import choose_settings
from keras_ssc.applications._pretrained import CLASSES, load_pretrained
from keras_ssc.applications._shape_recorder import ShapeRecorder
from keras_ssc.arguments import boolean, integer, one_of
from keras_ssc.layers.arguments import activation
from keras_ssc.layers.arguments import data_format as check_format
from keras_ssc.sparsity.layer import DEVICES


def builder(*, default_setting=None, **defaults):
    """Return a decorator that turns `network(build, x, *, its own arguments)` into a builder.

    The builder has all arguments of `make_model`, and those of the network. It runs the network
    twice: over a `ShapeRecorder`, to choose (g, p) for its layers, then over a `LayerBuilder`, to
    make them. The docstring of the network tells its own arguments; `{arguments}` and `{returns}`
    stand for what all builders share.

    Args:
        default_setting: function sparse `LayerShape` -> (g, p), for where neither a sparsity nor g
            and p are given; None for sparsity 0.9.
        **defaults: defaults of this network in place of those of `make_model`.
    """

    def decorate(network):
        signature = _signature(network, {"name": network.__name__.lower(), **defaults})

        @functools.wraps(network)
        def build(**arguments):
            bound = signature.bind(**arguments)
            bound.apply_defaults()
            own = inspect.signature(network).parameters.keys()
            options = {name: bound.kwargs[name] for name in own if name in bound.kwargs}
            for name, value in options.items():
                if isinstance(signature.parameters[name].default, bool):
                    boolean(name, value)
            common = {name: bound.kwargs[name] for name in bound.kwargs.keys() - options.keys()}
            return make_model(functools.partial(network, **options), default_setting, **common)

        build.__signature__ = signature
        words = inspect.cleandoc(network.__doc__ or "")
        words = words.replace("    {arguments}", ARGUMENTS)
        build.__doc__ = words.replace("{returns}", RETURNS)
        return build

    return decorate


def _signature(network, defaults):
    """`make_model`'s arguments, the network's own before the last three, all with defaults."""
    common = [
        parameter.replace(default=defaults.get(parameter.name, parameter.default))
        for parameter in inspect.signature(make_model).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    own = [
        parameter
        for parameter in inspect.signature(network).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    return inspect.Signature([*common[:-3], *own, *common[-3:]], return_annotation="keras.Model")


def make_model(
    network,
    default_setting,
    *,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int | None] = (32, 32, 3),
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | Callable | None = "softmax",
    sparsity: float | None = None,
    g: int | None = None,
    p: int | None = None,
    distribution: str = "auto",
    mixing: bool = False,
    pattern_for: str = "cpu",
    shift: str = "cyclic",
    parity: str = "halves",
    set_offset: int | str = 0,
    initial_scale: str = "dense",
    execution: str = "auto",
    sparse_classifier: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    name: str | None = None,
) -> keras.Model:
    """Return the `keras.Model` of a network.

    Args:
        network: `functools.partial` of a builder's function; called with (build, x), where `build`
            is a `ShapeRecorder` or `LayerBuilder`, it returns the last map.
        default_setting: as for `builder`. `_arguments.py` describes all others.
    """
    activation("classifier_activation", classifier_activation)
    if input_tensor is not None and not keras.backend.is_keras_tensor(input_tensor):
        raise TypeError(f"`input_tensor` must be a Keras tensor. Received: {input_tensor!r}")
    boolean("include_top", include_top)
    boolean("sparse_classifier", sparse_classifier)
    boolean("mixing", mixing)
    one_of("pattern_for", pattern_for, DEVICES)
    if set_offset != "butterfly" or not isinstance(set_offset, str):
        integer("set_offset", set_offset, 0)
    initial_scale = one_of("initial_scale", initial_scale, ("dense", "live"))
    pooling = None if pooling is None else one_of("pooling", pooling, ("avg", "max"))
    data_format = check_format(data_format)
    for key, value in (("g", g), ("p", p)):
        if value is not None:
            integer(key, value, 0)
    height, width, channels = check_arguments(
        input_shape, classes, weights, data_format, include_top
    )
    image_size = (height or 32, width or 32)
    recorder = ShapeRecorder(image_size, sparse_classifier)
    last = network(recorder, (*image_size, channels))
    # The classifier counts in the network's sparsity: trained weights have that of their image set.
    if include_top or weights in CLASSES:
        recorder.classifier(last, classes if include_top else CLASSES[weights])
    rules = (distribution, parity, default_setting, mixing, pattern_for)
    settings = choose_settings(recorder.shapes(), sparsity, g, p, *rules)
    rules = {"shift": shift, "parity": parity, "set_offset": set_offset, "execution": execution}
    build = LayerBuilder(image_size, settings, data_format, dtype, initial_scale, **rules)
    inputs = keras.Input(shape=tuple(input_shape)) if input_tensor is None else input_tensor
    x = network(build, inputs)
    if include_top:
        outputs = build.predictions(build.classifier(x, classes), classifier_activation)
    else:
        outputs = build.pooled(x, pooling)
    model = keras.Model(inputs, outputs, name=name)
    if weights in CLASSES:
        load_pretrained(model, network.func.__name__, weights)
    elif weights is not None:
        _load_weights(model, weights)
    return model


def _load_weights(model, weights):
    try:
        model.load_weights(weights)
    except Exception as error:
        raise ValueError(
            f"`weights` must be a weights file of this very network ({model.name}). "
            f"Received: weights={str(weights)!r}, which can't be loaded: {error}"
        ) from error
