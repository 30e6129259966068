"""format="tf_saved_model": a folder for TensorFlow, TensorFlow Serving and their relatives.

The arrays are constants of the graph, not variables: TensorFlow then unpacks the kernels once,
when the model is first called, and not in every call.
"""

from keras_ssc.export.graph import PureModel, by_name
from keras_ssc.export.graph_twin import graph_twin

SUFFIX = ""
PACKAGES = {"tensorflow": None}
NARROWEST_GROUP = 4  # measured with ResNet32 at g = 8, dense against grouped; so in all formats


def write(model, path):
    """Write the inference twin of `model` into the folder `path`."""
    save(PureModel(*graph_twin(model, NARROWEST_GROUP)), path)


def save(pure, path):
    """Write a `PureModel` into the folder `path`, with the signature `serving_default`."""
    import tensorflow as tf

    @tf.function(input_signature=pure.signature())
    def serve(*inputs):
        return by_name("output", pure(inputs, [tf.constant(array) for array in pure.arrays]))

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})


def load(path):
    """Return the saved model as a function of TensorFlow alone: list of arrays in, list out."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(inputs):
        tensors = by_name("input", [tf.constant(x) for x in inputs])
        outputs = loaded.signatures["serving_default"](**tensors)
        return [outputs[name].numpy() for name in by_name("output", outputs)]

    return run
