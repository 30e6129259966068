"""AutoSlim: a gated network is the narrow one, a step is that of four networks, the search."""

import keras
import numpy as np
import pytest
from keras import layers
from thin_models import images, with_random_weights

from keras_ssc import pruning, summary
from keras_ssc.pruning._autoslim import costs, errors, slimmed
from keras_ssc.pruning.differentiate import function_of_weights, gradients

pytestmark = pytest.mark.jax_long


@pytest.fixture(scope="module")
def model():
    """A stem, a residual sum, a depthwise layer with stride 2, a shortcut, a classifier."""

    def conv(x, name, filters, size=3, strides=1):
        y = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(name=f"{name}_norm")(y)

    x = keras.Input((8, 8, 3))
    y = layers.ReLU()(conv(x, "stem", 8))
    y = layers.Add()([y, conv(layers.ReLU()(conv(y, "inner", 6)), "outer", 8)])
    z = layers.DepthwiseConv2D(3, 2, "same", use_bias=False, name="deep")(layers.ReLU()(y))
    z = conv(layers.BatchNormalization(name="deep_norm")(z), "point", 10, 1)
    y = layers.Add()([z, conv(y, "shortcut", 10, 1, 2)])
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(y))
    outputs = layers.Dense(3, "softmax", name="classifier")(y)
    return with_random_weights(keras.Model(x, outputs))


@pytest.fixture(scope="module")
def wide(model):
    """The same, slimmable."""
    return pruning.slimmable(model, steps=5)


@pytest.fixture(scope="module")
def data():
    """Images and labels."""
    return images(12, 8, 8, 3), np.arange(12) % 3


def groups(wide):
    """{layer name: its group} of the layers that can lose filters."""
    return {
        name: wide.widths.of[wide.channels.written[name][0]][0]
        for name in wide.channels.makers
        if wide.channels.written[name][0] in wide.widths.of
    }


def narrow(model, wide, widths):
    """The network that has these widths, cut out."""
    kept = {name: np.arange(widths[group]) for name, group in groups(wide).items()}
    return pruning.remove_filters(model, kept)


def any_widths(wide, seed):
    random = np.random.default_rng(seed)
    return [int(random.choice(one)) for one in wide.widths.choices]


def test_channels_that_meet_have_one_width(wide):
    own = groups(wide)
    assert own["stem"] == own["outer"] != own["inner"]
    assert own["point"] == own["shortcut"]
    assert set(own) == {"stem", "inner", "outer", "point", "shortcut"}
    # ceil(8 k / 5) from ceil(8 / 4) on, and so for 6 and 10.
    expected = {"stem": [2, 4, 5, 7, 8], "inner": [2, 3, 4, 5, 6], "point": [3, 4, 6, 8, 10]}
    assert {name: wide.widths.choices[own[name]] for name in expected} == expected


@pytest.mark.parametrize("training", [False, True])
def test_the_gated_network_is_the_narrow_one(model, wide, data, training):
    widths = any_widths(wide, 3)
    small = narrow(model, wide, widths)
    assert pruning.live_weights(small) < pruning.live_weights(model)

    def loss(network, x):
        return keras.ops.sum(network(x, training=training) ** 3)

    def gated(network, x):
        with network.widths.set(widths):
            return loss(network, x)

    slopes = {}
    for network, own in ((small, loss), (wide, gated)):
        kernels = {one.name: one.kernel for one in network.layers if hasattr(one, "kernel")}
        function = function_of_weights(network, list(kernels.values()), own)
        values = [keras.ops.convert_to_tensor(kernel) for kernel in kernels.values()]
        found = map(keras.ops.convert_to_numpy, gradients(function)(values, data[0]))
        value = float(function(values, data[0]))
        slopes[own] = (value, dict(zip(kernels, found, strict=True)))
    assert slopes[gated][0] == pytest.approx(slopes[loss][0], rel=1e-5)
    for name, whole in slopes[gated][1].items():
        part = slopes[loss][1][name]
        into, out = (
            wide.widths.staying(numbers[name], widths)
            for numbers in (wide.channels.read, wide.channels.written)
        )
        if name == "deep":
            out = np.ones(1, bool)
        stays = np.broadcast_to(into[:, None] & out, whole.shape)
        size = np.abs(part).max()
        np.testing.assert_allclose(whole[stays].ravel(), part.ravel(), atol=2e-5 * size)
        assert (whole[~stays] == 0).all()


def test_a_step_is_cross_entropy_and_distillation_from_a_constant():
    first, second = np.random.default_rng(0).normal(size=(2, 4, 4))
    second = second[:, :3]
    x, y = np.random.default_rng(1).normal(size=(5, 4)), np.arange(5) % 3
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, "tanh", use_bias=False, name="one"),
            layers.Dense(3, "softmax", use_bias=False, name="two"),
        ]
    )
    model.set_weights([first, second])
    wide = pruning.slimmable(model, steps=2, narrowest=0.5, samples=0)
    wide.compile("sgd", "sparse_categorical_crossentropy")

    def probabilities(first, second, width):
        logits = np.tanh(x @ first)[:, :width] @ second[:width]
        e = np.exp(logits - logits.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def slow(first, second, p=None):
        full = probabilities(first, second, 4)
        p = full if p is None else p
        labels = -np.log(full[np.arange(5), y]).mean()
        return labels - (p * np.log(probabilities(first, second, 2))).sum(1).mean()

    def differences(**constant):
        found = np.zeros((4, 4))
        for place in np.ndindex(4, 4):
            step = np.zeros((4, 4))
            step[place] = 1e-5
            ends = [slow(first + sign * step, second, **constant) for sign in (1, -1)]
            found[place] = (ends[0] - ends[1]) / 2e-5
        return found

    def loss(network, x, y):
        return network.compute_loss(x, y, network(x, training=True), training=True)

    function = function_of_weights(wide, [wide.get_layer("one").kernel], loss)
    values = [keras.ops.convert_to_tensor(first.astype("float32"))]
    batch = x.astype("float32"), y
    assert float(function(values, *batch)) == pytest.approx(slow(first, second), rel=1e-5)
    slope = keras.ops.convert_to_numpy(gradients(function)(values, *batch)[0])
    p = probabilities(first, second, 4)
    np.testing.assert_allclose(slope, differences(p=p), atol=2e-5)
    assert np.abs(slope - differences()).max() > 1e-2  # p with a gradient


def test_the_search_is_the_one_worked_out_by_hand():
    """Two groups of three widths: costs 8, 6, 4, 3, 2."""
    table = {
        (2, 4): (0.3, 1.0), (4, 2): (0.2, 1.0),  # the second group first
        (2, 2): (0.4, 2.0), (4, 1): (0.4, 1.5),  # equal errors: the smaller loss
        (2, 1): (0.5, 1.0),
        (1, 1): (0.6, 1.0),
    }  # fmt: skip
    choices, seen = [[1, 2, 4], [1, 2, 4]], []

    def measure(widths):
        seen.append(tuple(widths))
        return table[tuple(widths)]

    assert slimmed(choices, sum, measure, 8) == [4, 4]
    steps = []
    assert slimmed(choices, sum, measure, 7, lambda *found: steps.append(found)) == [4, 2]
    assert steps == [(6, 7)]
    assert slimmed(choices, sum, measure, 5) == [4, 1]
    assert slimmed(choices, sum, measure, 4) == [2, 1]
    assert slimmed(choices, sum, measure, 2) == [1, 1]
    assert set(seen) == set(table)
    # All equal: the first group.
    assert slimmed(choices, sum, lambda widths: (0.0, 0.0), 6) == [2, 4]
    assert slimmed(choices, sum, lambda widths: (0.0, 0.0), 3) == [1, 2]


def test_costs_are_those_of_the_narrow_network(model, wide):
    for seed in range(4):
        widths = any_widths(wide, seed)
        small = narrow(model, wide, widths)
        assert costs(wide, "keep")(widths) == pruning.live_weights(small)
        assert costs(wide, "macs")(widths) == summary(small).macs


def test_the_error_is_the_narrow_networks_with_moments_of_the_batch(model, wide, data):
    x, y = data
    widths = any_widths(wide, 1)
    small = narrow(model, wide, widths)
    outputs = [keras.ops.convert_to_numpy(small(part, training=True)) for part in (x[:8], x[8:])]
    outputs = np.concatenate(outputs)
    error, loss = errors(wide, x, y, 8)(widths)
    assert error == pytest.approx((outputs.argmax(1) != y).mean())
    assert loss == pytest.approx(-np.log(outputs[np.arange(12), y]).mean(), rel=1e-4)


def test_a_search_meets_the_budget_and_leaves_the_model_alone(model, wide, data):
    before = [np.array(weight) for weight in wide.get_weights()]
    full = pruning.live_weights(model)
    found = [pruning.autoslim_filters(wide, *data, keep=full // 2) for _ in range(2)]
    for name, indices in found[0].items():
        np.testing.assert_array_equal(indices, found[1][name])
        np.testing.assert_array_equal(indices, np.arange(len(indices)))
    live = pruning.live_weights(pruning.remove_filters(model, found[0]))
    assert 0.3 * full < live <= full // 2
    for old, new in zip(before, wide.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert pruning.autoslim_filters(wide, *data, keep=full) == {}
    macs = pruning.autoslim_filters(wide, *data, macs=summary(model).macs // 2)
    assert summary(pruning.remove_filters(model, macs)).macs <= summary(model).macs // 2


def test_every_choice_of_every_group_is_drawn(wide):
    times = 300
    drawn = np.concatenate([keras.ops.convert_to_numpy(wide.drawn()) for _ in range(times)])
    assert drawn.shape == (2 * times, len(wide.widths.choices))
    for column, choices in zip(drawn.T, wide.widths.choices, strict=True):
        assert set(column.tolist()) == set(choices)
        share = 1 / len(choices)
        spread = 5 * (2 * times * share * (1 - share)) ** 0.5
        for choice in choices:
            assert abs((column == choice).sum() - 2 * times * share) < spread
    both = np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]
    assert abs(both) < 5 / (2 * times) ** 0.5  # each group draws by itself


def test_autoslim_trains_and_gives_a_narrow_network_of_new_weights(model, data):
    seen = []

    def train(wide):
        wide.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        seen.append(wide.fit(*data, batch_size=6, epochs=2, verbose=0).history["loss"])

    keep = pruning.live_weights(model) // 2
    small = pruning.autoslim(model, train, *data, keep, steps=5, batch_size=12)
    assert np.isfinite(seen[0]).all()
    assert pruning.live_weights(small) <= keep
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    kernel, old = (
        keras.ops.convert_to_numpy(one.get_layer("outer").kernel) for one in (small, model)
    )
    into, out = kernel.shape[2:]
    assert np.abs(kernel - old[:, :, :into, :out]).min() > 0
    limit = (6 / (9 * (into + out))) ** 0.5  # Glorot's, of the narrow layer
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    variance = keras.ops.convert_to_numpy(small.get_layer("outer_norm").moving_variance)
    assert (variance == 1).all()


def test_what_can_not_be_slimmed_is_refused(wide, data):
    with pytest.raises(ValueError, match=r"`keep` must be at least .* Received: 10"):
        pruning.autoslim_filters(wide, *data, keep=10)
    with pytest.raises(ValueError, match="Give either `keep` or `macs`"):
        pruning.autoslim_filters(wide, *data)
    with pytest.raises(ValueError, match="`narrowest`"):
        pruning.slimmable(wide, narrowest=0.0)
    one = keras.Sequential([keras.Input((3,)), layers.Dense(2, "softmax")])
    with pytest.raises(ValueError, match="must have a layer whose filters can be removed"):
        pruning.slimmable(one)
