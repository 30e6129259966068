"""A Keras model as a graph of layers: what is in it, and a way through it."""

from dataclasses import dataclass

import keras

# Activations that treat every entry alike.
ELEMENTWISE = ("linear", "relu", "relu6", "elu", "gelu", "silu", "hard_silu", "sigmoid", "tanh")


def is_graph(model):
    """True for a functional or Sequential model whose inputs and outputs are known."""
    return isinstance(model, keras.Model) and hasattr(model, "inputs") and hasattr(model, "outputs")


def ends(model):
    """Return (inputs, outputs) of a functional or Sequential model, in its own structure."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def walk(layer, inner):
    """Return a layer and all that is inside it: a layer before what it holds, each once.

    Args:
        layer: layer or model.
        inner: function (layer) -> the layers that it holds directly.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    >>> [layer.name for layer in walk(model, held_layers)][1:]
    ['one']
    """
    found = {}

    def visit(one):
        if id(one) not in found:
            found[id(one)] = one
            for part in inner(one):
                visit(part)

    visit(layer)
    return list(found.values())


def held_by_model(layer):
    """Return the layers of any keras.Model, none for all other layers."""
    return layer.layers if isinstance(layer, keras.Model) else []


def held_layers(layer):
    """Return the layers that a model, a wrapper or a layer of layers holds directly, in order."""
    if isinstance(layer, keras.Model):
        return layer.layers
    return [one for value in vars(layer).values() for one in _layers_in(value)]


def _layers_in(value):
    if isinstance(value, keras.layers.Layer):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _layers_in(one)


def graph_layers(model):
    """Return the layers of a graph in order, those of nested graphs in their place, each once.

    These are the layers that `copy_graph` can exchange; it can't reach into other layers.

    Example:

    >>> inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="inside")])
    >>> model = keras.Sequential([keras.Input((2,)), inner])
    >>> [layer.name for layer in graph_layers(model)]
    ['inside']
    """
    return [one for one in walk(model, held_by_graph) if not is_graph(one)]


def held_by_graph(layer):
    """Return the layers of a functional or Sequential model, none for all other layers."""
    return layer.layers if is_graph(layer) else []


def flat_layers(model):
    """Return all layers of a model, also those inside models, wrappers and layers, each once.

    Example:

    >>> inner = keras.layers.TimeDistributed(keras.layers.Dense(1, name="inside"), name="steps")
    >>> model = keras.Sequential([keras.Input((3, 2)), inner])
    >>> [layer.name for layer in flat_layers(model)]
    ['steps', 'inside']
    """
    return [one for one in walk(model, held_layers) if not isinstance(one, keras.Model)]


def check_graph(model):
    """Refuse what can't be copied layer by layer.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is subclassed or not built, or two of its layers share a weight.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a functional or Sequential keras.Model. Received: {model!r}"
        )
    if not is_graph(model):
        what = f"{model.name!r} of class {type(model).__name__}"
        if isinstance(model, keras.Sequential):
            raise ValueError(
                f"`model` must be built: call it, or give it an Input. Received: {what}"
            )
        raise ValueError(
            "`model` must be functional or Sequential: the layers of a subclassed model can't be "
            f"exchanged from outside. Received: {what}"
        )
    owners = {}
    for layer in graph_layers(model):
        for variable in layer.weights:
            owner = owners.setdefault(id(variable), layer)
            if owner is not layer:
                raise ValueError(
                    "`model` must have every weight in one layer only. Received: layers "
                    f"{owner.name!r} and {layer.name!r} share {variable.path!r}"
                )


def call_graph(model, copy, call=None):
    """Run through a graph on new inputs, with a layer of your own in the place of each.

    Args:
        model: functional or Sequential model; it is only read.
        copy: function (layer) -> the layer that is called in its place; also of input layers.
        call: function (layer, *args, **kwargs) -> output, or None to call the layer.

    Returns:
        (inputs, outputs): symbolic tensors in the structure of the model's.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="one")])
    >>> inputs, outputs = call_graph(model, lambda one: type(one).from_config(one.get_config()))
    >>> inputs.shape, outputs.shape
    ((None, 2), (None, 1))
    """
    inputs, outputs = ends(model)
    # A plain model over the same tensors: of Sequential too, not compiled, of no class of its own.
    plain = keras.Model(keras.tree.flatten(inputs), keras.tree.flatten(outputs))
    entries = {id(one.output): one for one in plain.layers if is_input(one)}
    tensors = [copy(entries[id(x)]).output for x in plain.inputs]
    walked = keras.models.clone_model(
        plain, input_tensors=tensors, clone_function=copy, call_function=call
    )
    # The outputs as they came: an output that is an input, or stands twice, is found again.
    return (
        keras.tree.pack_sequence_as(inputs, tensors),
        keras.tree.pack_sequence_as(outputs, walked.outputs),
    )


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Args:
        layer: layer or operation.
        args: tuple.
        kwargs: dict.
        result: symbolic tensors, in the structure that the layer gives.
    """

    layer: keras.Operation
    args: tuple
    kwargs: dict
    result: object

    @property
    def inputs(self):
        """The symbolic tensors among the arguments, in order."""
        everything = keras.tree.flatten((self.args, self.kwargs))
        return [x for x in everything if isinstance(x, keras.KerasTensor)]

    @property
    def outputs(self):
        """The symbolic tensors of the result, in order."""
        return keras.tree.flatten(self.result)


def calls_of(model, change=lambda *call: call):
    """Call the layers of a graph once more, on new inputs, and say what was called.

    Args:
        model: functional or Sequential model.
        change: function (layer, args, kwargs) -> the layer and arguments to call it with instead.

    Returns:
        (inputs, outputs, calls): symbolic tensors in the structure of the model's, and a list of
        `Call`, each behind those that it needs.
    """
    calls = []

    def call(layer, *args, **kwargs):
        layer, args, kwargs = change(layer, args, kwargs)
        calls.append(Call(layer, args, kwargs, layer(*args, **kwargs)))
        return calls[-1].result

    def layer_for(one):
        return type(one).from_config(one.get_config()) if is_input(one) else one

    inputs, outputs = call_graph(model, layer_for, call)
    return inputs, outputs, calls


def is_input(layer):
    """True for an input layer."""
    return isinstance(layer, keras.layers.InputLayer)
