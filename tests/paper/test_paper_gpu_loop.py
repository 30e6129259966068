"""The loop for a GPU, small and in float32 on the CPU: step by step what `fit` computes."""

import dataclasses

import keras
import numpy as np
import pytest
from tiny_networks import Two

from keras_ssc import SSCConv2D, applications, datasets
from paper import Setting, inputs

if keras.backend.backend() != "jax":
    pytest.skip("the loop is JAX's", allow_module_level=True)

from paper.counterpart import as_masks, check_equal, unmask
from paper.fit import fit
from paper.gpu_loop import MaskedNetwork, Training, cut
from paper.gpu_run import check_fixed, looked_at
from paper.methods import METHODS

pytestmark = pytest.mark.jax_long
SSC = Setting(
    "Two", "cifar10", "ssc", "dense_scale", g=4, p=3, epochs=2, batch_size=8, image_size=8,
    l2=1e-3, learning_rate=0.05,
)  # fmt: skip
DENSE = dataclasses.replace(SSC, method="dense", variant="", g=None, p=None)
SNIP = dataclasses.replace(DENSE, method="SNIP", sparsity=0.8)
random = np.random.default_rng(0)
X, Y = random.integers(0, 256, (20, 8, 8, 3), "uint8"), np.arange(20, dtype="int32") % 10
FIELDS = {"class_names": tuple("abcdefghij"), "mean": (0.5, 0.4, 0.3), "std": (0.3,) * 3}
DATA = datasets.Dataset("cifar10", X, Y, X[:12], Y[:12], flip=True, **FIELDS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A builder of two layers."""
    monkeypatch.setattr(applications, "Two", Two, raising=False)


@pytest.fixture(scope="module")
def network():
    """The compiled step of all tests, whatever the masks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applications, "Two", Two, raising=False)
        return MaskedNetwork("Two", 8, 10, "float32")


class Steps(keras.callbacks.Callback):
    """The weights and statistics after each step of `fit`."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(weights_of(self.model))


def weights_of(model):
    return [np.array(variable) for variable in model.variables]


def begun(setting):
    keras.utils.set_random_seed(0)
    return METHODS[setting.method](setting, DATA).model


TORCH = dataclasses.replace(SSC, velocity="pytorch")


@pytest.mark.parametrize(
    "setting", [SSC, SNIP, DENSE, TORCH], ids=["ssc", "SNIP", "dense", "velocity of pytorch"]
)
def test_each_step_is_that_of_fit(network, setting):
    ours = begun(setting)
    masked = as_masks(ours, setting, 10)
    training = Training(network, setting, DATA, masked)
    assert training.steps == 3  # the last one of 4 images
    seen, losses = [], []
    for epoch in range(setting.epochs):
        for step in range(training.steps):
            losses += [training.run(epoch, step, step + 1)[0]]
            training.put(masked)
            unmask(masked, ours)
            seen.append(weights_of(ours))
    theirs, steps, epochs = begun(setting), Steps(), keras.callbacks.History()
    fit(theirs, setting, DATA, [steps, epochs])
    for one, other in zip(seen, steps.seen, strict=True):
        for mine, its in zip(one, other[: len(one)], strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    sums = np.concatenate(losses).reshape(2, 3).sum(1) / len(X)
    np.testing.assert_allclose(sums, epochs.history["loss"], rtol=1e-5)
    found = training.test(inputs.test_batches(setting, DATA))
    expected = theirs.evaluate(inputs.test_batches(setting, DATA), verbose=0, return_dict=True)
    assert found == pytest.approx([expected["loss"], expected["accuracy"]], rel=1e-4)
    check_equal(masked, ours, inputs.test_batches(setting, DATA)[0][0])


def test_an_epoch_in_one_call_is_its_steps_and_all_masks_share_the_program(network):
    results = []
    for setting in (SNIP, SSC):
        masked = as_masks(begun(setting), setting, 10)
        whole, apart = (Training(network, setting, DATA, masked) for _ in range(2))
        found = whole.epoch(1)
        traced = network.traced
        sums = np.array([apart.run(1, step, step + 1) for step in range(3)]).sum((0, 2)) / len(X)
        assert found == pytest.approx(tuple(sums), rel=1e-6)
        for one, other in zip(whole.state.trainable, apart.state.trainable, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
        results.append(traced)
    assert results[1] == network.traced  # nothing was compiled for the masks of SSC


def test_images_are_cut_on_the_device_as_batches_cut_them():
    batches = inputs.training_batches(SSC, DATA)
    batches.epoch = 5
    draws = [np.asarray(one) for one in batches.draws()]
    pad = batches.pad
    padded = np.pad(X, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    found = (np.asarray(cut(padded, *draws, 8)).astype("float32") - batches.mean) * batches.scale
    expected = np.concatenate([batches[step][0] for step in range(len(batches))])
    assert draws[3].any()
    assert not draws[3].all()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(Y[draws[0]], np.concatenate([one[1] for one in batches]))


def test_other_outputs_are_refused():
    model = begun(SSC)
    masked = as_masks(model, SSC, 10)
    images = inputs.test_batches(SSC, DATA)[0][0]
    check_equal(masked, model, images)
    sparse = next(layer for layer in model.layers if isinstance(layer, SSCConv2D))
    sparse.trainable_weights[0].assign(sparse.trainable_weights[0] * -1)
    with pytest.raises(FloatingPointError, match="other outputs than its counterpart"):
        check_equal(masked, model, images)


@pytest.mark.parametrize(
    "change",
    [{"method": "RigL"}, {"method": "IP-SNIP"}, {"method": "dense", "regularizer": "SO"}],
    ids=["changing masks", "a basis", "a regularizer"],
)
def test_what_the_loop_can_not_train_is_refused(change):
    setting = dataclasses.replace(SNIP, **change)
    start = METHODS[setting.method](setting, DATA)
    with pytest.raises(ValueError, match="`setting` must be of a method with fixed masks"):
        check_fixed(setting, start, DATA)


def test_every_tenth_epoch_and_the_last_ten_are_looked_at():
    looked = [epoch + 1 for epoch in range(160) if looked_at(epoch, 160)]
    assert looked == [*range(10, 151, 10), *range(151, 161)]
