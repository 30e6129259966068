"""Fine-tuning on real CIFAR-10 after `sparsify(dense, from_dense=True)`, by `make campaign`."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc.datasets import Batches
from keras_ssc.datasets.prepare.cifar import read_images

BATCH, STEPS = 64, 200


def network():
    x = inputs = keras.Input((32, 32, 3))
    for filters, strides in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        x = keras.layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(128, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def train(model, x, y, learning_rate):
    """Train `STEPS` steps; returns the loss of each."""
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    batches = Batches(x, y, BATCH, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
    losses = []
    for step in range(STEPS):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(*batches[step])))
    return losses


@pytest.mark.campaign
@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.95])
def test_loss_goes_down(real_images, sparsity):
    x, y = read_images(real_images / "cifar10", "cifar10", "train", limit=2 * STEPS * BATCH)
    half = STEPS * BATCH
    dense = network()
    train(dense, x[:half], y[:half], 0.05)
    losses = {}
    for from_dense in (True, False):
        keras.utils.set_random_seed(1)
        sparse = keras_ssc.sparsify(dense, sparsity, from_dense=from_dense)
        losses[from_dense] = np.array(train(sparse, x[half:], y[half:], 0.02))
    tuned, anew = (losses[one].reshape(-1, 20).mean(axis=1).round(3) for one in (True, False))
    print(f"\n{sparsity}: mean loss of every 20 steps, from dense {tuned}, drawn anew {anew}")
    assert tuned[-1] < 0.8 * tuned[0]
    assert tuned[-1] < anew[-1]
