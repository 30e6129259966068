"""The layers of a network, noted from its definition without building it."""

import dataclasses

from keras_ssc.sparsity import LayerShape


class ShapeRecorder:
    """Stands in for `LayerBuilder` and notes every Conv and Dense layer, for the choice of (g, p).

    Where `LayerBuilder` has Keras tensors, `ShapeRecorder` has shapes (height, width, channels).
    Layers on maps of one size share a stage.

    Args:
        image_size: (height, width) of the images.
        sparse_classifier: bool, whether the classifier is sparse.
    """

    def __init__(self, image_size, sparse_classifier=False):
        self.image_size = image_size
        self.sparse_classifier = sparse_classifier
        self._layers = []

    def shapes(self):
        """Return all layers, with their stages: list of `LayerShape`."""
        sizes = list(dict.fromkeys(layer.output_size for layer in self._layers))
        return [
            dataclasses.replace(layer, stage=sizes.index(layer.output_size))
            for layer in self._layers
        ]

    def conv_bn_relu(
        self, x, name, filters, kernel_size=3, strides=1, *, sparse=True, relu=True, residual=None
    ):
        """As `LayerBuilder.conv_bn_relu`."""
        height, width = (-(-size // strides) for size in x[:2])
        kernel = (kernel_size, kernel_size)
        self._layers.append(LayerShape(name, x[2], filters, kernel, (height, width), sparse))
        return (height, width, filters)

    def depthwise_bn_relu(self, x, name, strides=1, *, relu=True):
        """As `LayerBuilder.depthwise_bn_relu`."""
        height, width = (-(-size // strides) for size in x[:2])
        shape = (name, x[2], x[2], (3, 3), (height, width))
        self._layers.append(LayerShape(*shape, sparse=False, groups=x[2]))
        return (height, width, x[2])

    def max_pool(self, x, name, size=2, strides=2, padding=0):
        """As `LayerBuilder.max_pool`."""
        height, width = ((side + 2 * padding - size) // strides + 1 for side in x[:2])
        if min(height, width) < 1:
            raise ValueError(
                f"`input_shape` is too small for this network: `{name}` would have no pixel left"
            )
        return (height, width, x[2])

    def shuffle_split(self, x, name):
        """As `LayerBuilder.shuffle_split`."""
        half = (*x[:2], x[2] // 2)
        return half, half

    def concatenate(self, x, y, name):
        """As `LayerBuilder.concatenate`."""
        return (*x[:2], x[2] + y[2])

    def classifier(self, x, classes):
        """As `LayerBuilder.classifier`."""
        shape = ("logits", x[2], classes, (1, 1))
        self._layers.append(LayerShape(*shape, sparse=self.sparse_classifier))
        return (1, 1, classes)
