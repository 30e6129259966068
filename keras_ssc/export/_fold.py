"""The inference model in Keras: BatchNormalization, sum and ReLU inside the convolutions."""

import functools

from keras_ssc.export.inference_model import InferenceModelBuilder, folded_weights
from keras_ssc.layers import SSCConv2D
from keras_ssc.model_graph import check_graph


def fold(model):
    """Return a copy of a trained model for inference, with fewer passes over its activations.

    A BatchNormalization behind a convolution becomes part of its weights and bias:

        w' = w * gamma / sqrt(variance + epsilon),    b' = beta + (b - mean) * gamma / sqrt(...)

    and the residual sum and the ReLU that `layers.FusedBatchNormalization` computes are done
    by the convolution itself where that is an SSCConv2D. The outputs are those of
    `model(x, training=False)`, to rounding. The copy is not meant for training.

    Args:
        model: a built functional or Sequential `keras.Model`; it is only read. Models inside it
            are folded too.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        TypeError: `model` is no Keras model.
        ValueError: it is subclassed, not built, or holds a layer that its config can't make anew.

    Example:

    >>> model = keras_ssc.applications.ResNet20(sparsity=0.9)
    >>> folded = keras_ssc.fold(model)
    >>> sum("bn" in layer.name for layer in model.layers), len(folded.layers) < len(model.layers)
    (21, True)

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 3.2.
    """
    check_graph(model)
    return _FoldingBuilder().build(model)


class _FoldingBuilder(InferenceModelBuilder):
    """An inference model whose sums and ReLUs are part of the convolutions too."""

    def _in_steps(self, layer, x, residual):
        if id(x) in self._sources:
            _, source, inputs = self._sources[id(x)]
            takes_sum = residual is None or type(source) is SSCConv2D
            if takes_sum and self.on_channels(layer, source):
                values = functools.partial(folded_weights, source, layer)
                finish = {"activation": layer.activation or "linear"}
                return self.alike(source, layer, inputs, values, residual=residual, **finish)
        return super()._in_steps(layer, x, residual)
