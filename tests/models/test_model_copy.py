"""What a copy of a model keeps, where that is more than equal outputs, and what it refuses."""

import keras
import numpy as np
import pytest

import keras_ssc
from keras_ssc import pruning
from keras_ssc.model_copy import copy_graph

pytestmark = pytest.mark.jax_long

L = keras.layers


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def array(x):
    return keras.ops.convert_to_numpy(x)


def on_frozen_backbone():
    """A classifier on a frozen backbone of two convolutions, and the backbone."""
    x = inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(32, 3, name="b")(L.Conv2D(16, 3, name="a")(x))
    backbone = keras.Model(inputs, L.GlobalAveragePooling2D()(x), name="backbone")
    backbone.trainable = False
    x = inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, L.Dense(5)(backbone(x, training=False)))


ROUTES = {
    "sparsify": lambda model: keras_ssc.sparsify(model, 0.8),
    "densify": lambda model: keras_ssc.densify(keras_ssc.sparsify(model, 0.8)),
    "apply_masks": lambda model: pruning.apply_masks(model, pruning.magnitude(model, 0.5)),
    "remove_filters": lambda model: pruning.remove_filters(model, {"a": range(4)}),
    "fold": keras_ssc.fold,
}


@pytest.mark.parametrize("route", ROUTES)
def test_a_frozen_backbone_is_frozen_and_can_be_unfrozen(route):
    copy = ROUTES[route](on_frozen_backbone())
    backbone = copy.get_layer("backbone")
    assert not backbone.trainable
    assert len(copy.trainable_variables) == 2
    backbone.trainable = True
    masks = sum("kernel_mask" in one.name for one in copy.weights)
    assert len(copy.trainable_variables) == len(copy.weights) - masks
    before = [np.array(array(one)) for one in copy.trainable_variables]
    copy.compile("sgd", "mse")
    copy.fit(numbers(4, 8, 8, 3), np.ones((4, 5)), verbose=0)
    for one, other in zip(copy.trainable_variables, before, strict=True):
        assert (array(one) != other).any()


@pytest.mark.parametrize("route", ROUTES)
def test_a_sequential_copy_has_an_input_and_an_output(route):
    """Keras has them on a Sequential model once it was called; so must a copy, made by calls."""
    layers = [L.Conv2D(16, 3, name="a"), L.Conv2D(32, 3, name="b"), L.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Dense(5, name="last")])
    model(model.inputs[0])
    copy = ROUTES[route](model)
    assert copy.output.shape == model.output.shape
    features = keras.Model(copy.input, copy.layers[-2].output)
    x = numbers(2, 8, 8, 3)
    whole = keras.Model(copy.input, copy.output)
    np.testing.assert_allclose(array(whole(x)), array(copy(x)), rtol=1e-5, atol=1e-6)
    dense = copy.get_layer("last")
    np.testing.assert_allclose(array(dense(features(x))), array(copy(x)), rtol=1e-5, atol=1e-6)


def test_a_compiled_copy_can_be_unfrozen_before_it_trains():
    model = on_frozen_backbone()
    model.compile("adam", "mse", metrics=["mae"])
    copy, _ = copy_graph(model)
    assert copy.optimizer.get_config() == model.optimizer.get_config()
    copy.get_layer("backbone").trainable = True
    history = copy.fit(numbers(4, 8, 8, 3), np.ones((4, 5)), verbose=0).history
    assert set(history) == {"loss", "mae"}
    assert len(copy.optimizer.variables) == 2 + 2 * 6  # count, rate; two moments of each weight


def test_a_model_with_a_compile_of_its_own_is_to_be_compiled_anew():
    class Student(keras.Model):
        def compile(self, optimizer, distillation_loss):
            super().compile(optimizer=optimizer)
            self.distillation_loss = distillation_loss

    plain = on_frozen_backbone()
    model = Student(plain.input, plain.output, name="student")
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="copy of 'student' is not compiled, because Student has"):
        copy, _ = copy_graph(model)
    assert type(copy) is Student
    assert not copy.compiled


def test_an_input_keeps_the_name_that_keras_gave_it():
    model = on_frozen_backbone()
    copy = keras_ssc.sparsify(model, 0.8)
    assert [one.name for one in copy.layers] == [one.name for one in model.layers]
    inner, old = copy.get_layer("backbone"), model.get_layer("backbone")
    assert [one.name for one in inner.layers] == [one.name for one in old.layers]
    for one, other in zip((copy, inner), (model, old), strict=True):
        assert one.inputs[0].name == other.inputs[0].name


def test_an_adapted_normalization_is_folded_with_its_statistics():
    x = numbers(64, 8, 8, 3) * 20 + 50
    norm = L.Normalization()
    norm.adapt(x)
    model = keras.Sequential([keras.Input((8, 8, 3)), norm, L.Conv2D(4, 1, use_bias=False)])
    kernel = array(model.layers[1].kernel)[0, 0]
    folded = array(keras_ssc.fold(model)(x))
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    expected = (x - mean) / np.sqrt(variance) @ kernel
    np.testing.assert_allclose(folded, expected, atol=1e-4)


def test_a_merged_lora_kernel_is_folded():
    """kernel + alpha / rank * A B, times the scale of BatchNormalization."""
    layers = [L.Conv2D(6, 1, name="conv"), L.BatchNormalization(name="norm"), L.Dense(4)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    for layer in (layers[0], layers[2]):
        layer.enable_lora(2, lora_alpha=6)
        layer.lora_kernel_b.assign(numbers(*layer.lora_kernel_b.shape))
    layers[1].set_weights([numbers(6) + 3, numbers(6), numbers(6), numbers(6) ** 2 + 1])
    folded = keras_ssc.fold(model)
    assert not any("lora" in one.name for one in folded.weights)
    frozen, bias, a, b = (array(one) for one in (
        layers[0]._kernel, layers[0].bias, layers[0].lora_kernel_a, layers[0].lora_kernel_b
    ))  # fmt: skip
    gamma, beta, mean, variance = layers[1].get_weights()
    scale = gamma / np.sqrt(variance + layers[1].epsilon)
    conv = folded.get_layer("norm")
    np.testing.assert_allclose(array(conv.kernel), (frozen + 3 * a @ b) * scale, rtol=1e-5)
    np.testing.assert_allclose(array(conv.bias), (bias - mean) * scale + beta, rtol=1e-4)
    x = numbers(2, 8, 8, 3)
    np.testing.assert_allclose(array(folded(x)), array(model(x)), atol=1e-4)


@pytest.mark.parametrize("how", ["LoRA", "quantized"])
def test_a_layer_without_a_plain_kernel_is_not_pruned(how):
    model = keras.Sequential([keras.Input((8,)), L.Dense(16, name="one"), L.Dense(4, name="two")])
    one = model.layers[0]
    one.enable_lora(2) if how == "LoRA" else one.quantize("int8")
    images, labels = np.ones((8, 8), "float32"), np.arange(8) % 4
    for prune in (
        lambda: pruning.magnitude(model, 0.5),
        lambda: pruning.snip(model, images, labels, 0.5),
        lambda: pruning.random_uniform(model, 0.5, seed=0),
        lambda: pruning.apply_masks(model, {"one": np.ones((8, 16), bool)}),
    ):
        with pytest.raises(ValueError, match=rf"{how} in a layer that is pruned.*'one' \(Dense\)"):
            prune()
    masks = pruning.magnitude(model, 0.1, dense=["one"])
    assert list(masks) == ["two"]
    copy = pruning.apply_masks(model, masks)
    assert copy.layers[0].lora_enabled == one.lora_enabled
    assert copy.layers[0].dtype_policy == one.dtype_policy


def test_a_class_that_makes_its_own_layers():
    class Net(keras.Model):
        def __init__(self, **kwargs):
            inputs = keras.Input((8, 8, 3))
            y = L.Conv2D(16, 3)(L.Conv2D(16, 3)(inputs))
            super().__init__(inputs, L.GlobalAveragePooling2D()(y), **kwargs)

        def get_config(self):
            return {"name": self.name}

    class Trained(Net):
        def train_step(self, data):
            return {"mine": 1.0}

    with pytest.warns(UserWarning, match="plain functional model: 'net' is a Net, whose constr"):
        copy = keras_ssc.sparsify(Net(name="net"), 0.5)
    assert type(copy) is type(keras.Model(copy.input, copy.output))
    model = Trained(name="net")
    with pytest.raises(ValueError, match=r"'net' is a Trained, .* would lose its train_step\. Let"):
        keras_ssc.sparsify(model, 0.5)
    plain = keras.Model(model.inputs, model.outputs)  # as the message says
    assert keras_ssc.sparsify(plain, 0.5).outputs[0].shape == (None, 16)


def test_a_training_step_of_your_own_is_kept():
    class Trained(keras.Model):
        def train_step(self, *data):
            return {"mine": 1.0}

    x = inputs = keras.Input((8, 8, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(16, 3)(L.Conv2D(16, 3)(x)))
    model = Trained(inputs, x, name="own")
    model.compile("sgd", "mse", jit_compile=False, run_eagerly=keras.backend.backend() != "jax")
    copy = keras_ssc.sparsify(model, 0.5)
    assert type(copy) is Trained
    assert copy.compiled
    if keras.backend.backend() == "tensorflow":
        history = copy.fit(numbers(4, 8, 8, 3), np.zeros((4, 16)), verbose=0).history
        assert history == {"mine": [1.0]}


def test_a_constructor_that_takes_other_things_is_refused():
    class Net(keras.Model):
        def __init__(self, *args, **kwargs):
            inputs = keras.Input((8, 8, 3))
            super().__init__(inputs, L.Conv2D(16, 3)(L.Conv2D(16, 3)(inputs)), name="net")

    with pytest.raises(ValueError, match=r"'net' \(Net\) can't be copied, because its constructor"):
        keras_ssc.sparsify(Net(), 0.5)


def test_a_layer_whose_config_makes_another_one_is_refused():
    class Grown(L.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = []

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x

    layer = Grown(name="grown")
    layer.parts = [L.Dense(3)]
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(ValueError, match=r"'grown' \(Grown\) can't be copied.*same layers and"):
        copy_graph(model)


def test_densify_refuses_what_it_cannot_reach():
    steps = L.TimeDistributed(keras_ssc.SSCConv2D(16, 3, g=4, p=2, name="conv"), name="steps")
    model = keras.Sequential([keras.Input((2, 8, 8, 16)), steps])
    with pytest.raises(ValueError, match=r"'conv' inside 'steps' \(TimeDistributed\)"):
        keras_ssc.densify(model)


def test_live_weights_of_a_sparse_network_are_those_of_its_layers():
    model = keras_ssc.applications.ResNet20(sparsity=0.9)
    live = sum(
        one.pattern.weight_count
        if isinstance(one, keras_ssc.SSCConv2D)
        else int(np.prod(one.kernel.shape))
        for one in model.layers
        if hasattr(one, "kernel")
    )
    assert pruning.live_weights(model) == live > 50_000


def test_mixed_precision_still_scales_its_loss():
    """`compile` asks the model itself, whose policy no config holds."""
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        model = keras.Sequential([keras.Input((8,)), L.Dense(4)])
    finally:
        keras.config.set_dtype_policy(before)
    model.compile("sgd", "mse")
    copy, _ = copy_graph(model)
    assert copy.dtype_policy.name == "mixed_float16"
    assert type(copy.optimizer) is type(model.optimizer) is keras.optimizers.LossScaleOptimizer
