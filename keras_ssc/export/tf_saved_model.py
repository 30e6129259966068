"""format="tf_saved_model": a folder for TensorFlow, TensorFlow Serving and their relatives.

`tf.saved_model.load(path).serve` takes and returns what the model does, as that of Keras's
`model.export`; the signatures, where TensorFlow wants flat names, have input_0 and output_0.

The arrays are constants of the graph, not variables: TensorFlow then unpacks the kernels once,
when the model is first called, and not in every call.
"""

import keras

from keras_ssc.export.lowering import lower
from keras_ssc.export.pure_model import PureModel, by_name

SUFFIX = ""
PACKAGES = {"tensorflow": None}
NARROWEST_GROUP = 4  # measured with ResNet32 at g = 8, dense against grouped; so in all formats


def write(model, path):
    """Write the inference model of `model` into the folder `path`."""
    save(PureModel(*lower(model, NARROWEST_GROUP)), path)


def save(pure, path):
    """Write a `PureModel` into the folder `path`, with `serve` and the signatures."""
    import tensorflow as tf

    @tf.function(input_signature=[pure.in_structure(pure.signature())])
    def serve(inputs):
        arrays = [tf.constant(array) for array in pure.arrays]
        return pure.structured(keras.tree.flatten(inputs), arrays)

    @tf.function(input_signature=pure.signature())
    def by_names(*inputs):
        return by_name("output", keras.tree.flatten(serve(pure.in_structure(inputs))))

    module = tf.Module()
    module.serve = serve
    signatures = {"serve": by_names, "serving_default": by_names}  # as Keras names them
    tf.saved_model.save(module, str(path), signatures=signatures)


def load(path):
    """Return the saved model as a function of TensorFlow alone: list of arrays in, list out."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(inputs):
        tensors = by_name("input", [tf.constant(x) for x in inputs])
        outputs = loaded.signatures["serving_default"](**tensors)
        return [outputs[name].numpy() for name in by_name("output", outputs)]

    return run
