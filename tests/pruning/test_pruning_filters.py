"""Whole filters removed: the smaller model computes what the large one does with zeros there."""

import keras
import numpy as np
import pytest
from keras import layers
from thin_models import clear, filters, images, outputs, with_random_weights

import keras_ssc
from keras_ssc.pruning.channel_groups import follow_channels
from keras_ssc.pruning.filter_norms import l1_filters
from keras_ssc.pruning.filters import remove_filters

pytestmark = pytest.mark.jax_long


def everything():
    """All kinds of layers that can be followed."""
    x = keras.Input((8, 8, 3))
    a = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(x)
    b = layers.Conv2D(6, 1, name="b")(a)
    b = layers.BatchNormalization(name="b_norm")(b)
    c = layers.ZeroPadding2D()(a)
    c = layers.Conv2D(6, 3, use_bias=False, name="c")(c)
    c = keras_ssc.layers.FusedBatchNormalization(activation="relu", name="c_norm")(c, residual=b)
    d = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="d")(layers.ReLU()(a))
    d = layers.Activation("relu")(d)
    e = layers.Conv2D(5, 1, name="e")(layers.Concatenate()([c, d]))
    e = layers.MaxPooling2D()(layers.LeakyReLU()(e))
    f = layers.Conv2D(5, 1, name="f")(e)
    f = layers.Dropout(0.5)(layers.Add()([e, f]))
    flat = layers.Flatten()(layers.AveragePooling2D(2)(f))
    pooled = layers.GlobalAveragePooling2D()(c)
    y = layers.Concatenate()([flat, pooled])
    y = layers.Dense(7, activation="relu", name="hidden")(y)
    return keras.Model(x, layers.Dense(4, activation="softmax", name="classifier")(y))


def test_outputs_are_those_of_a_model_with_zeros():
    model = with_random_weights(everything())
    for name in ("a",):
        clear(model.get_layer(name), [1, 4])
    clear(model.get_layer("d"), [2, 3, 8, 9])
    for name in ("b", "b_norm", "c", "c_norm"):
        clear(model.get_layer(name), [0, 5])
    for name in ("e", "f"):
        clear(model.get_layer(name), [3])
    clear(model.get_layer("hidden"), [2, 6])
    before = [weight.copy() for weight in model.get_weights()]
    kept = {"a": [0, 2, 3, 5], "b": [1, 2, 3, 4], "f": [0, 1, 2, 4], "hidden": [0, 1, 3, 4, 5]}
    small = remove_filters(model, kept)
    assert filters(small) == {"a": 4, "b": 4, "c": 4, "e": 4, "f": 4}
    shapes = {layer.name: [tuple(w.shape) for w in layer.weights] for layer in small.layers}
    assert shapes["c"] == [(3, 3, 4, 4)]
    assert shapes["c_norm"] == [(4,)] * 4
    assert shapes["d"] == [(3, 3, 4, 2), (8,)]
    assert shapes["e"] == [(1, 1, 4 + 8, 4), (4,)]
    assert shapes["hidden"] == [(2 * 2 * 4 + 4, 5), (5,)]
    assert shapes["classifier"] == [(5, 4), (4,)]
    x = images(3, 8, 8, 3)
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-4, atol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_each_kept_weight_is_at_its_place():
    model = with_random_weights(everything())
    small = remove_filters(model, {"a": [0, 2, 3, 5], "c": [1, 2]})
    old, new = ({layer.name: layer.get_weights() for layer in one.layers} for one in (model, small))
    np.testing.assert_array_equal(new["c"][0], old["c"][0][:, :, [0, 2, 3, 5]][..., [1, 2]])
    np.testing.assert_array_equal(new["d"][0], old["d"][0][:, :, [0, 2, 3, 5]])
    np.testing.assert_array_equal(new["d"][1], old["d"][1][[0, 1, 4, 5, 6, 7, 10, 11]])
    lines = [1, 2, 6, 7, 10, 11, 12, 13, 16, 17]
    np.testing.assert_array_equal(new["e"][0], old["e"][0][:, :, lines])
    lines = [*range(20), 21, 22]
    np.testing.assert_array_equal(new["hidden"][0], old["hidden"][0][lines])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_flatten_in_both_formats(data_format):
    last = data_format == "channels_last"
    x = keras.Input((4, 6, 2) if last else (2, 4, 6))
    y = layers.Conv2D(5, 1, data_format=data_format, name="conv")(x)
    y = layers.Flatten(data_format=data_format)(y)
    model = with_random_weights(keras.Model(x, layers.Dense(3)(y)))
    clear(model.get_layer("conv"), [1, 2])
    small = remove_filters(model, {"conv": [0, 3, 4]})
    expected = model.layers[-1].get_weights()[0]
    grid = np.arange(4 * 6 * 5).reshape(4, 6, 5)  # Flatten writes channels last in both
    np.testing.assert_array_equal(
        small.layers[-1].get_weights()[0], expected[grid[..., [0, 3, 4]].ravel()]
    )
    if last or keras.backend.backend() != "tensorflow":  # TensorFlow on CPU: channels last only
        inputs = images(2, *x.shape[1:])
        np.testing.assert_allclose(outputs(small, inputs), outputs(model, inputs), rtol=1e-4)


def test_sequential_stays_sequential_and_compiled():
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(),
         layers.Dense(2, name="classifier")]
    )  # fmt: skip
    model.compile("sgd", "mse")
    small = remove_filters(model, {"conv": [2]})
    assert isinstance(small, keras.Sequential)
    assert small.count_params() == 27 + 1 + 16 * 2 + 2
    small.fit(images(2, 6, 6, 3), np.zeros((2, 2)), verbose=0)


def test_a_shared_layer_is_cut_once():
    conv, shared = layers.Conv2D(4, 1, name="conv"), layers.Conv2D(5, 1, name="shared")
    x, y = keras.Input((4, 4, 3)), keras.Input((4, 4, 3))
    both = [shared(conv(x)), shared(layers.Conv2D(4, 1, name="other")(y))]
    z = layers.GlobalAveragePooling2D()(layers.Concatenate()(both))
    model = keras.Model([x, y], layers.Dense(2)(z))
    small = remove_filters(model, {"conv": [0, 1, 3], "shared": [1, 4]})
    assert filters(small) == {"conv": 3, "other": 3, "shared": 2}
    assert tuple(small.layers[-1].kernel.shape) == (4, 2)


def test_layers_that_meet_must_agree():
    model = everything()
    assert filters(remove_filters(model, {"e": [0, 1], "f": [0, 1]}))["f"] == 2
    with pytest.raises(ValueError, match=r"different filters of '[ef]' and '[ef]'"):
        remove_filters(model, {"e": [0, 1], "f": [0, 2]})


class Mine(layers.Layer):
    """A layer of the user's own."""

    def call(self, x):
        return x * 2

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config()


class Subclassed(keras.Model):
    def build(self, shape):
        self.built = True

    def call(self, x):
        return x * 2


OBSTACLES = {
    "Reshape": lambda: layers.Reshape((64, 8)),
    "Conv2D": lambda: layers.Conv2D(8, 1, groups=2),
    "SSCConv2D": lambda: keras_ssc.SSCConv2D(8, 3, padding="same", g=4, p=3),
    "Mine": Mine,
    "Softmax": layers.Softmax,
    "Subclassed": Subclassed,
}


@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_cannot_be_followed_keeps_its_channels(kind):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(6, 1, name="first")(x)
    y = OBSTACLES[kind]()(layers.Conv2D(8, 1, name="before")(y))
    axis = len(y.shape) - 1
    y = layers.Dense(6, name="after")(layers.Flatten()(y)) if axis < 3 else y
    y = layers.Conv2D(6, 1, name="after")(y) if axis == 3 else y
    model = with_random_weights(keras.Model(x, layers.Dense(2, name="last")(y)))
    with pytest.raises(ValueError, match=rf"'before': .*\({kind}\) reads them, and can't be foll"):
        remove_filters(model, {"before": [0, 1, 2]})
    kept = l1_filters(model, 0.5)
    assert {name: len(indices) for name, indices in kept.items()} == {"first": 3, "after": 3}
    small = remove_filters(model, kept)
    assert small.get_layer("before").get_weights()[0].shape == (1, 1, 3, 8)
    inside = model.layers[3].get_weights()
    for old, new in zip(inside, small.layers[3].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def nested_and_plain(inner):
    """A network whose middle is a nested model, called twice, or the same layers without it."""

    def middle(x):
        y = layers.Conv2D(8, 3, padding="same", name="first_inside")(x)
        y = layers.BatchNormalization(name="norm_inside")(y)
        return layers.Add(name="sum_inside")([x, layers.Conv2D(8, 1, name="last_inside")(y)])

    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(8, 3, name="before", activation="relu")(x)
    if inner:
        entry = keras.Input((6, 6, 8))
        y = keras.Model(entry, middle(entry), name="inner")(y)
    else:
        y = middle(y)
    y = layers.Conv2D(6, 1, name="after")(layers.ReLU()(y))
    return keras.Model(x, layers.Dense(2, name="last")(layers.GlobalAveragePooling2D()(y)))


def test_a_nested_model_loses_the_filters_that_it_would_lose_outside():
    nested, plain = nested_and_plain(True), nested_and_plain(False)
    with_random_weights(plain)
    nested.set_weights(plain.get_weights())
    kept = l1_filters(nested, 0.5)
    assert {name: len(stay) for name, stay in kept.items()} == {
        "before": 4, "first_inside": 4, "last_inside": 4, "after": 3,
    }  # fmt: skip
    for name, stay in l1_filters(plain, 0.5).items():
        np.testing.assert_array_equal(kept[name], stay)
    small, same = remove_filters(nested, kept), remove_filters(plain, kept)
    assert small.get_layer("inner").inputs[0].shape == (None, 6, 6, 4)
    x = images(3, 8, 8, 3)
    np.testing.assert_allclose(outputs(small, x), outputs(same, x), atol=1e-5)
    slim = keras_ssc.pruning.slim_filters(nested, 0.5)
    for name, stay in keras_ssc.pruning.slim_filters(plain, 0.5).items():
        np.testing.assert_array_equal(slim[name], stay)


def test_where_nothing_can_be_removed_the_message_says_why():
    x = keras.Input((8, 8, 3))
    y = layers.Reshape((64, 8))(layers.Conv2D(8, 1, name="conv")(x))
    model = keras.Model(x, layers.Dense(2, name="last")(layers.Flatten()(y)))
    with pytest.raises(ValueError, match=r"'conv': 'reshape\w*' \(Reshape\) reads them, .*'last'"):
        l1_filters(model, 0.5)
    assert l1_filters(small_net(), 0.5, dense=["free"]) == {}


def small_net():
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(3, 1, name="to_input")(x)
    y = layers.Conv2D(4, 1, name="mixed", activation="softmax")(layers.Add()([x, y]))
    y = layers.Conv2D(4, 1, name="free")(y)
    y = layers.Dense(2, name="last")(layers.GlobalMaxPooling2D()(y))
    return keras.Model(x, y)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"no": [0]}, "`kept` must name .* Received: 'no', but these are"),
        ({"free": [0, 4]}, r"`kept\['free'\]` must be indices .* in 0 ... 3. Received: \[0, 4\]"),
        ({"free": [-1, 2]}, "must be indices"),
        ({"free": [1, 0]}, "ascending"),
        ({"free": [1, 1]}, "ascending"),
        ({"free": []}, "must be indices"),
        ({"free": [0.5]}, "must be indices"),
        ({"free": [True, False]}, "must be indices"),
        ({"last": [0]}, "'last': they are outputs of the model"),
        ({"to_input": [0]}, "'to_input': they meet channels of the model's inputs"),
        ({"mixed": [0]}, "'mixed': the activation of 'mixed'"),
    ],
    ids=str,
)
def test_refusals(kept, words):
    with pytest.raises(ValueError, match=words):
        remove_filters(small_net(), kept)


def test_models_that_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="subclassed"):
        remove_filters(Own(), {})
    with pytest.raises(TypeError, match=r"keras\.Model"):
        follow_channels("model")
    with pytest.raises(ValueError, match="must be built"):
        l1_filters(keras.Sequential([layers.Conv2D(2, 1)]), 0.5)


def test_the_model_forgets_the_walk():
    model = small_net()
    follow_channels(model)
    assert model.get_layer("free").output.shape == (None, 8, 8, 4)  # one call, one output


def reference_l1(kernels, count):
    """Indices of all but the `count` filters of smallest sum, one filter at a time."""
    sums = [sum(abs(k[..., n]).sum() for k in kernels) for n in range(kernels[0].shape[-1])]
    for _ in range(count):
        sums[int(np.argmin(sums))] = np.inf
    return [n for n, one in enumerate(sums) if one < np.inf]


def test_l1_filters_against_the_reference():
    model = with_random_weights(everything())
    kernels = {layer.name: layer.get_weights()[0] for layer in model.layers if layer.weights}
    kept = l1_filters(model, 0.4, dense=("hidden",))
    assert set(kept) == {"a", "b", "c", "e", "f"}
    assert kept["a"].tolist() == reference_l1([kernels["a"]], 2)
    assert kept["b"].tolist() == kept["c"].tolist()
    assert kept["c"].tolist() == reference_l1([kernels["b"], kernels["c"]], 2)
    assert kept["f"].tolist() == reference_l1([kernels["e"], kernels["f"]], 2)
    assert len(l1_filters(model, 0.99)["hidden"]) == 1
    with pytest.raises(ValueError, match=r"Unknown: \['d'\]"):
        l1_filters(model, 0.4, dense=("d",))
    with pytest.raises(ValueError, match="`fraction`"):
        l1_filters(model, 1.0)
