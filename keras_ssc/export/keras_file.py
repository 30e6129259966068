"""format="keras": a .keras file of the inference model, SSC layers as they are.

It holds the live weights only; loading it needs `import keras_ssc`.
"""

import keras

from keras_ssc.export._fold import fold

SUFFIX = ".keras"
PACKAGES = {}


def write(model, path):
    """Write the inference model of `model` to the file `path`."""
    fold(model).save(path)


def load(path):
    """Return the saved model as a function: list of arrays in, list of arrays out."""
    model = keras.models.load_model(path, compile=False)

    def run(inputs):
        outputs = model.predict_on_batch(keras.tree.pack_sequence_as(model.input, inputs))
        return keras.tree.flatten(outputs)

    return run
