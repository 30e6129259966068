"""Masks: exact zeros through any training, saved, read, taken off."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import pruning
from keras_ssc.pruning.budget import keep_largest, share_counts, weights_to_keep
from keras_ssc.pruning.masks import kernels

pytestmark = pytest.mark.jax_long

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "lion": lambda: keras.optimizers.Lion(0.001),
    "coupled": lambda: keras_ssc.training.CoupledSGD(0.1, momentum=0.9, l2=1e-2),
}


def network():
    """One layer of each kind, a nested model among them."""
    inner = keras.Sequential(
        [keras.Input((4, 4, 6)), keras.layers.Conv2D(8, 1, activation="relu", name="inside")]
    )
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(6, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise"),
            inner,
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", name="classifier"),
        ]
    )


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(12, 4, 4, 3)).astype("float32"), random.integers(0, 3, 12)


def random_masks(model, density=0.4):
    random = np.random.default_rng(1)
    layers = pruning.prunable_layers(model)
    return {name: random.random(layer.kernel.shape) < density for name, layer in layers.items()}


# With XLA, test_stay_zero.py trains by other optimizers.
COMPILED = [
    pytest.param(name, True, marks=[] if name == "coupled" else pytest.mark.campaign)
    for name in OPTIMIZERS
]


@pytest.mark.parametrize(
    ("optimizer", "jit_compile"), [*((name, False) for name in OPTIMIZERS), *COMPILED]
)
def test_pruned_weights_stay_exactly_zero(optimizer, jit_compile):
    model = network()
    masks = random_masks(model)
    sparse = pruning.apply_masks(model, masks)
    before = kernels(sparse)
    sparse.compile(
        OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy", jit_compile=jit_compile
    )
    sparse.fit(*data(), batch_size=4, epochs=3, verbose=0)
    for name, layer in pruning.prunable_layers(sparse).items():
        stored = np.asarray(layer.kernel)
        assert (stored[~masks[name]] == 0).all()
        assert (stored[masks[name]] != before[name][masks[name]]).any()


@pytest.mark.parametrize("interspace", [False, True])
def test_a_masked_model_is_saved_with_its_masks(tmp_path, interspace):
    model = network()
    masks = random_masks(model)
    sparse = pruning.apply_masks(model, masks, interspace=interspace)
    sparse.compile("sgd", "sparse_categorical_crossentropy")
    sparse.fit(*data(), verbose=0)
    sparse.save(tmp_path / "sparse.keras")
    again = keras.models.load_model(tmp_path / "sparse.keras")
    found = pruning.read_masks(again)
    assert set(found) == set(masks)
    assert all((found[name] == masks[name]).all() for name in masks)
    expected = sparse.predict(data()[0], verbose=0)
    np.testing.assert_array_equal(again.predict(data()[0], verbose=0), expected)
    again.fit(*data(), verbose=0)
    assert pruning.live_weights(again) == sum(mask.sum() for mask in masks.values())


def test_masked_outputs_are_those_of_a_model_with_zeros():
    model = network()
    masks = random_masks(model)
    x, _ = data()
    sparse = pruning.apply_masks(model, masks)
    by_hand = keras.models.clone_model(model)
    by_hand.set_weights(model.get_weights())
    for name, layer in pruning.prunable_layers(by_hand).items():
        layer.kernel.assign(np.asarray(layer.kernel) * masks[name])
    expected = by_hand.predict(x, verbose=0)
    np.testing.assert_allclose(sparse.predict(x, verbose=0), expected, atol=1e-6)
    basis = pruning.apply_masks(model, masks, interspace=True)
    np.testing.assert_allclose(basis.predict(x, verbose=0), expected, atol=1e-6)
    assert type(pruning.prunable_layers(basis)["conv"]).__name__ == "InterspaceConv2D"
    plain = pruning.remove_masks(sparse)
    np.testing.assert_allclose(plain.predict(x, verbose=0), expected, atol=1e-6)
    assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)


def test_the_basis_trains_and_moves_the_kernel():
    sparse = pruning.apply_masks(network(), random_masks(network()), interspace=True)
    layer = pruning.prunable_layers(sparse)["conv"]
    sparse.compile("sgd", "sparse_categorical_crossentropy")
    sparse.fit(*data(), verbose=0)
    basis = np.asarray(layer.basis)
    assert (basis != np.eye(9)).any()
    coefficients = np.asarray(layer.kernel) * np.asarray(layer.kernel_mask)
    kernel = np.zeros((3, 3, 3, 6))
    for i in range(9):
        kernel += basis[i].reshape(3, 3)[:, :, None, None] * coefficients[i // 3, i % 3]
    np.testing.assert_allclose(np.asarray(layer.live_kernel()), kernel, atol=1e-6)


def test_the_model_itself_is_not_touched():
    model = network()
    before = [array.copy() for array in model.get_weights()]
    sparse = pruning.apply_masks(model, random_masks(model))
    sparse.compile("sgd", "sparse_categorical_crossentropy")
    sparse.fit(*data(), verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert pruning.read_masks(model) == {}


def test_masks_change_in_place():
    model = network()
    sparse = pruning.apply_masks(model, random_masks(model))
    mask = np.zeros((128, 3), bool)
    mask[5, 1] = True
    pruning.set_masks(sparse, {"classifier": mask})
    assert (pruning.read_masks(sparse)["classifier"] == mask).all()
    assert np.count_nonzero(kernels(sparse)["classifier"]) <= 1
    with pytest.raises(ValueError, match="shaped"):
        pruning.set_masks(sparse, {"classifier": mask[1:]})
    with pytest.raises(TypeError, match="bool"):
        pruning.set_masks(sparse, {"classifier": mask.astype("float32")})
    with pytest.raises(ValueError, match=r"Unknown: \['other'\]"):
        pruning.set_masks(sparse, {"other": mask})


def test_summary_counts_what_lives():
    model = network()
    masks = random_masks(model)
    sizes = keras_ssc.summary(pruning.apply_masks(model, masks))
    assert sizes.live_weights == sum(mask.sum() for mask in masks.values())
    assert sizes.dense_weights == keras_ssc.summary(model).live_weights
    rows = {row["name"]: row for row in sizes.rows}
    assert rows["conv"]["macs"] == 16 * masks["conv"].sum()


def test_refusals():
    with pytest.raises(TypeError, match=r"keras\.Model"):
        pruning.apply_masks("model", {})
    with pytest.raises(ValueError, match="must have masks"):
        pruning.remove_masks(network())
    with pytest.raises(ValueError, match="to prune"):
        pruning.prunable_layers(keras.Sequential([keras.Input((3,)), keras.layers.ReLU()]))


@pytest.mark.parametrize("sparsity", [0, 0.5, 0.9, 0.999])
def test_the_budget_is_that_of_the_network(sparsity):
    model = network()
    total = pruning.live_weights(model)
    keep, names = weights_to_keep(model, sparsity)
    assert keep == round((1 - sparsity) * total)
    assert names == list(pruning.prunable_layers(model))
    if sparsity == 0.5:
        kept, names = weights_to_keep(model, sparsity, dense=("conv",))
        assert kept == keep - 162
        assert "conv" not in names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either `sparsity` or `keep`"),
        ({"sparsity": 0.5, "keep": 3}, "either `sparsity` or `keep`"),
        ({"sparsity": 1.0}, "sparsity"),
        ({"keep": 0}, "`keep`"),
        ({"keep": True}, "`keep`"),
        ({"sparsity": 0.5, "dense": ("no",)}, "Unknown"),
        ({"keep": 10, "dense": ("conv",)}, "leaves nothing"),
    ],
    ids=str,
)
def test_budgets_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        weights_to_keep(network(), **arguments)


def test_the_largest_stay_and_ties_go_by_index():
    scores = {"a": np.array([[1.0, 5.0], [5.0, 0.0]]), "b": np.array([5.0, 5.0, np.inf])}
    for keep in range(8):
        masks = keep_largest(scores, keep)
        assert sum(mask.sum() for mask in masks.values()) == keep
    masks = keep_largest(scores, 3)
    assert masks["a"].tolist() == [[False, True], [True, False]]
    assert masks["b"].tolist() == [False, False, True]
    with pytest.raises(ValueError, match="NaN"):
        keep_largest({"a": np.array([np.nan])}, 1)


def test_shares_become_whole_numbers_that_add_up():
    random = np.random.default_rng(0)
    for _ in range(200):
        sizes = {name: int(random.integers(1, 50)) for name in "abcdef"}
        shares = {name: float(random.random() + 1e-3) for name in sizes}
        keep = int(random.integers(0, sum(sizes.values()) + 1))
        counts = share_counts(shares, sizes, keep)
        assert sum(counts.values()) == keep
        assert all(0 <= counts[name] <= sizes[name] for name in sizes)
