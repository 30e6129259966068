"""format="keras": a .keras file of the inference twin, SSC layers as they are.

It holds the live weights only; loading it needs `import keras_ssc`.
"""

import keras

from keras_ssc.export.twin import TwinBuilder

SUFFIX = ".keras"
PACKAGES = {}


def write(model, path):
    """Write the inference twin of `model` to the file `path`."""
    TwinBuilder().build(model).save(path)


def run(path, inputs):
    """Return the outputs of the saved model: list of arrays."""
    model = keras.models.load_model(path, compile=False)
    outputs = model(keras.tree.pack_sequence_as(model.input, inputs), training=False)
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]
