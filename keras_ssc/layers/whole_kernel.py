"""A kernel regularizer that has to see the whole dense kernel of a sparse layer."""

import keras


def matrix_regularizer(layer, is_first):
    """Return the regularizer for one of the compact matrices of an SSCConv2D.

    A regularizer with the attribute `whole_kernel` is about filters as they stand in the dense
    kernel (orthogonality). It is hung on the first matrix alone, and sees `layer.kernel` in its
    place: so it counts once, in `losses` like that of a Conv2D, with gradients for all matrices.

    Args:
        layer: SSCConv2D.
        is_first: bool, whether the matrix is the first of the layer.
    """
    regularizer = layer.kernel_regularizer
    if not getattr(regularizer, "whole_kernel", False):
        return regularizer
    return _OfTheLayer(layer) if is_first else None


class _OfTheLayer(keras.regularizers.Regularizer):
    """Calls the layer's regularizer with its dense kernel; never saved, the layer makes it."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, matrix):
        return self.layer.kernel_regularizer(self.layer.kernel)
