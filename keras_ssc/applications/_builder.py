"""`@builder`: from the definition of a network to a function as in keras.applications."""

import functools
import inspect

import keras

from keras_ssc.applications._arguments import ARGUMENTS, RETURNS, check_arguments
from keras_ssc.applications._layers import Layers
from keras_ssc.applications._pretrained import CLASSES, load_pretrained
from keras_ssc.applications._settings import choose_settings
from keras_ssc.applications._table import Table
from keras_ssc.arguments import boolean, integer, one_of
from keras_ssc.layers.arguments import activation
from keras_ssc.layers.arguments import data_format as check_format


def builder(*, default_setting=None, **defaults):
    """Return a decorator that turns `network(build, x, *, its own arguments)` into a builder.

    The builder has all arguments of `make_model`, and those of the network. It runs the network
    twice: over a `Table`, to choose (g, p) for its layers, then over `Layers`, to make them. The
    docstring of the network tells its own arguments; `{arguments}` and `{returns}` stand for what
    all builders share.

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
    return inspect.Signature([*common[:-3], *own, *common[-3:]])


def make_model(
    network,
    default_setting,
    *,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=(32, 32, 3),
    pooling=None,
    classes=10,
    classifier_activation="softmax",
    sparsity=None,
    g=None,
    p=None,
    distribution="auto",
    shift="cyclic",
    parity="halves",
    set_offset=0,
    initial_scale="dense",
    execution="auto",
    sparse_classifier=False,
    data_format=None,
    dtype=None,
    name=None,
):
    """Return the `keras.Model` of a network.

    Args:
        network: `functools.partial` of a builder's function; called with (build, x), where `build`
            is a `Table` or `Layers`, it returns the last map.
        default_setting: as for `builder`. All other arguments are told in `_arguments.py`.
    """
    activation("classifier_activation", classifier_activation)
    if input_tensor is not None and not keras.backend.is_keras_tensor(input_tensor):
        raise TypeError(f"`input_tensor` must be a Keras tensor. Received: {input_tensor!r}")
    boolean("include_top", include_top)
    boolean("sparse_classifier", sparse_classifier)
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
    table = Table(image_size, sparse_classifier)
    last = network(table, (*image_size, channels))
    # The classifier counts in the network's sparsity: trained weights have that of their image set.
    if include_top or weights in CLASSES:
        table.classifier(last, classes if include_top else CLASSES[weights])
    settings = choose_settings(
        table.shapes(), sparsity, g, p, distribution, parity, default_setting
    )
    rules = {"shift": shift, "parity": parity, "set_offset": set_offset, "execution": execution}
    build = Layers(image_size, settings, data_format, dtype, initial_scale, **rules)
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
