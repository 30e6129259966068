"""Masks that change while a model trains: what holds for every method."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import pruning
from keras_ssc.pruning.deep_r import DeepR
from keras_ssc.pruning.dsr import DSR
from keras_ssc.pruning.gradual_magnitude import GradualMagnitude
from keras_ssc.pruning.optimizer_slots import clear_slots
from keras_ssc.pruning.rewiring import Rewiring
from keras_ssc.pruning.rigl import RigL
from keras_ssc.pruning.set import SET

pytestmark = pytest.mark.jax_long

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "coupled": lambda: keras_ssc.training.CoupledSGD(0.05, momentum=0.9, l2=1e-2),
}
METHODS = {
    "rigl": lambda every, **more: RigL(data(), update_every=every, batch_size=8, **more),
    "set": lambda every, **more: SET(update_every=every, **more),
    "dsr": lambda every, threshold=0.05, **more: DSR(threshold, 0.2, every, slow_down=(), **more),
    "deep_r": lambda every, **more: DeepR(update_every=every, l1=0.1, **more),
    "gmp": lambda every, **more: GradualMagnitude(0.8, update_every=every, **more),
}


def data():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 32)
    x = random.normal(size=(32, 4, 4, 2)).astype("float32") + y[:, None, None, None]
    return x, y


def network(density=0.3):
    """Kernels of different shapes, so that a slot's shape says whose it is."""
    layers = [
        keras.Input((4, 4, 2)),
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, activation="softmax", name="classifier"),
    ]
    model = keras.Sequential(layers)
    random = np.random.default_rng(1)
    masks = {
        name: random.random(layer.kernel.shape) < density
        for name, layer in pruning.prunable_layers(model).items()
    }
    return pruning.apply_masks(model, masks)


def compiled(optimizer="sgd", jit_compile=False, **options):
    sparse = network(1.0 if options.pop("dense", False) else 0.3)
    sparse.compile(
        OPTIMIZERS[optimizer](),
        "sparse_categorical_crossentropy",
        jit_compile=jit_compile,
        **options,
    )
    return sparse


class Watch(keras.callbacks.Callback):
    """Looks at the model after each update of another callback, listed before this one."""

    def __init__(self, method):
        super().__init__()
        self.method, self.seen = method, 0

    def on_train_begin(self, logs=None):
        self.masks = pruning.read_masks(self.model)

    def on_train_batch_end(self, batch, logs=None):
        if len(self.method.history) == self.seen:
            return
        self.seen += 1
        update, old = self.method.history[-1], self.masks
        self.masks = pruning.read_masks(self.model)
        assert update["live"] == pruning.live_weights(self.model)
        assert update["dropped"] == sum((old[n] & ~self.masks[n]).sum() for n in old)
        assert update["grown"] == sum((self.masks[n] & ~old[n]).sum() for n in old)
        for name, layer in pruning.prunable_layers(self.model).items():
            assert (np.array(layer.kernel)[~self.masks[name]] == 0).all()
            slots = [s for s in self.model.optimizer.variables if s.shape == layer.kernel.shape]
            assert slots
            for slot in slots:
                assert (np.array(slot)[old[name] != self.masks[name]] == 0).all()
                assert (np.array(slot)[old[name] & self.masks[name]] != 0).any()


@pytest.mark.parametrize(("optimizer", "jit_compile"), [("coupled", True), ("adam", False)])
@pytest.mark.parametrize("name", METHODS)
def test_every_update_holds_the_count_and_clears_the_slots(name, optimizer, jit_compile):
    sparse = compiled(optimizer, jit_compile, dense=name == "gmp")
    before = pruning.read_masks(sparse)
    method = METHODS[name](3)
    watch = Watch(method)
    sparse.fit(*data(), batch_size=4, epochs=4, callbacks=[method, watch], verbose=0)
    steps = [update["step"] for update in method.history]
    if name == "gmp":
        assert steps == [3, 6, 9, 12, 15, 16]
        assert method.history[-1]["live"] == round(0.2 * sum(m.size for m in before.values()))
        assert all(update["grown"] == 0 for update in method.history)
    else:
        assert steps == list(range(3, round(method.stop * 32), 3))
        assert {update["live"] for update in method.history} == {pruning.live_weights(sparse)}
        assert sum(m.sum() for m in before.values()) == pruning.live_weights(sparse)
        assert all(update["dropped"] == update["grown"] for update in method.history)
    assert watch.seen == len(steps)
    after = pruning.read_masks(sparse)
    assert any((before[layer] != after[layer]).any() for layer in before)
    for layer_name, layer in pruning.prunable_layers(sparse).items():
        # Steps were made after the last update.
        assert (np.array(layer.kernel)[~after[layer_name]] == 0).all()
        assert (watch.masks[layer_name] == after[layer_name]).all()


@pytest.mark.parametrize("name", METHODS)
def test_a_training_taken_up_again_ends_like_one_that_never_stopped(name, tmp_path):
    common = {"batch_size": 4, "shuffle": False, "verbose": 0}
    whole = compiled("sgd", dense=name == "gmp")
    one = METHODS[name](4, total_steps=32)
    start = whole.get_weights()
    whole.fit(*data(), epochs=4, callbacks=[one], **common)

    first = compiled("sgd", dense=name == "gmp")
    first.set_weights(start)
    two = METHODS[name](4, total_steps=32)
    first.fit(*data(), epochs=2, callbacks=[two], **common)
    first.save(tmp_path / "half.keras")
    second = keras.models.load_model(tmp_path / "half.keras")
    masks, found = pruning.read_masks(first), pruning.read_masks(second)
    assert all((masks[layer] == found[layer]).all() for layer in masks)
    state = {"threshold": two.threshold} if name == "dsr" else {}
    three = METHODS[name](4, total_steps=32, **state)
    second.fit(*data(), epochs=4, initial_epoch=2, callbacks=[three], **common)

    assert two.history + three.history == one.history
    for expected, got in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


SLOTS = OPTIMIZERS | {
    "adamw": lambda: keras.optimizers.AdamW(0.01, amsgrad=True),
    "nadam": lambda: keras.optimizers.Nadam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "lion": lambda: keras.optimizers.Lion(0.001),
    "accumulating": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "average": lambda: keras.optimizers.SGD(0.01, use_ema=True),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}


@pytest.mark.parametrize("optimizer", SLOTS)
def test_only_the_slots_of_the_named_layer_are_cleared(optimizer):
    """Names that begin alike, shapes that are equal."""
    names = ("a", "a_kernel", "a_kernel_a")
    layers = [keras.layers.Dense(3, name=name) for name in names]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model = pruning.apply_masks(model, {name: np.ones((3, 3), bool) for name in names})
    model.compile(SLOTS[optimizer](), "mse")
    model.optimizer.build(model.trainable_variables)
    slots = [slot for slot in model.optimizer.variables if tuple(slot.shape) == (3, 3)]
    assert slots
    assert len(slots) % 3 == 0
    for slot in slots:
        slot.assign(np.ones((3, 3)))
    path = {layer.name: layer.kernel.path for layer in model.layers}
    none = np.zeros((3, 3), bool)
    clear_slots(model, {path["a"]: np.eye(3, dtype=bool), path["a_kernel_a"]: none})
    found = [np.array(slot) for slot in slots]
    cleared = [slot for slot in found if (slot == 0).any()]
    assert len(cleared) == len(slots) // 3
    assert all((slot == 1 - np.eye(3)).all() for slot in cleared)


def test_updates_between_steps_that_run_together_come_after_them():
    sparse = compiled(steps_per_execution=4)
    method = SET(update_every=3)
    sparse.fit(*data(), batch_size=4, epochs=1, callbacks=[method], verbose=0)
    assert [update["step"] for update in method.history] == [4, 8]


def test_accumulated_gradients_count_as_one_step():
    sparse = network()
    sparse.compile(
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "sparse_categorical_crossentropy"
    )
    method = SET(update_every=2, total_steps=8)
    sparse.fit(*data(), batch_size=4, epochs=2, callbacks=[method], verbose=0)
    assert [update["step"] for update in method.history] == [2, 4, 6]


def test_validation_in_between_a_basis_and_layers_without_masks():
    x, y = data()
    mask = np.random.default_rng(0).random((3, 3, 2, 4)) < 0.5
    sparse = pruning.apply_masks(pruning.remove_masks(network()), {"conv": mask}, interspace=True)
    sparse.compile("adam", "sparse_categorical_crossentropy")
    method = METHODS["rigl"](3)
    live = pruning.live_weights(sparse)
    sparse.fit(x, y, 4, epochs=2, validation_data=(x, y), callbacks=[method], verbose=0)
    assert [update["step"] for update in method.history] == [3, 6, 9]
    assert pruning.live_weights(sparse) == live
    assert (pruning.read_masks(sparse)["conv"] != mask).any()


def test_refusals():
    x, y = data()
    plain = pruning.remove_masks(network())
    plain.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="must have masks"):
        plain.fit(x, y, callbacks=[SET()], verbose=0)
    sparse = compiled()
    with pytest.raises(ValueError, match="`total_steps` and `update_every`"):
        sparse.fit(((x, y) for _ in range(3)), shuffle=False, callbacks=[SET()], verbose=0)
    sparse.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="`total_steps` must be given, or the model compiled anew"):
        sparse.fit(x, y, callbacks=[SET()], verbose=0)
    # 72 of 120 weights have no mask.
    half = pruning.apply_masks(plain, {"classifier": np.ones((16, 3), bool)})
    half.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="leaves nothing to prune"):
        half.fit(x, y, callbacks=[GradualMagnitude(0.9)], verbose=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rewiring(update_every=0), "`update_every`"),
        (lambda: Rewiring(update_every=2.5), "`update_every`"),
        (lambda: Rewiring(total_steps=True), "`total_steps`"),
        (lambda: Rewiring(stop=0), "`stop`"),
        (lambda: RigL("images"), "`data`"),
        (lambda: RigL(data(), drop_fraction=1), "`drop_fraction`"),
        (lambda: SET(drop_fraction=0), "`drop_fraction`"),
        (lambda: DSR(threshold=0), "`threshold`"),
        (lambda: DSR(slow_down=(1.5,)), "`slow_down`"),
        (lambda: DeepR(l1=-1), "`l1`"),
        (lambda: DeepR(cooling=()), "`temperatures`"),
        (lambda: GradualMagnitude(1.0), "`sparsity`"),
        (lambda: GradualMagnitude(0.5, initial_sparsity=0.6), "`initial_sparsity`"),
        (lambda: GradualMagnitude(0.5, start=0.5), "`start`"),
    ],
)
def test_arguments_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
