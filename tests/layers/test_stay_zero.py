"""Dead weights stay exactly zero: every optimizer, regularizer, constraint and way to train."""

import warnings

import keras
import numpy as np
import pytest
from conftest import ROOT

import keras_ssc
from keras_ssc import pruning
from keras_ssc.pruning.masks import masked_layers

pytestmark = pytest.mark.jax_long

WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
# All that Keras has, so that a new one is tried as well.
OPTIMIZERS = sorted(
    name
    for name, value in vars(keras.optimizers).items()
    if isinstance(value, type)
    and issubclass(value, keras.optimizers.Optimizer)
    and name not in WRAPPERS
)
ARGUMENTS = {  # what the refusals ask for
    "Adafactor": {"epsilon_1": 1e-15},
    "Muon": {"exclude_layers": ["hidden", "classifier"]},
}
REGULARIZERS = {
    "none": lambda: None,
    "l1": lambda: keras.regularizers.L1(0.01),
    "l1l2": lambda: keras.regularizers.L1L2(0.01, 0.01),
    "orthogonal": lambda: keras.regularizers.OrthogonalRegularizer(0.1),
    "soft": lambda: keras_ssc.regularizers.SoftOrthogonality(0.1),
    "double": lambda: keras_ssc.regularizers.DoubleSoftOrthogonality(0.1),
}


@keras.saving.register_keras_serializable(package="test_stay_zero")
class Shifted(keras.constraints.Constraint):
    """It makes something of nothing."""

    def __call__(self, w):
        return w + 0.01


CONSTRAINTS = {
    "none": lambda: None,
    "max_norm": lambda: keras.constraints.MaxNorm(1.0),
    "unit_norm": lambda: keras.constraints.UnitNorm(),
    "min_max_norm": lambda: keras.constraints.MinMaxNorm(0.5, 1.0),
    "non_neg": lambda: keras.constraints.NonNeg(),
    "shifted": Shifted,
}
# name: (arguments of the optimizer, arguments of compile)
MODES = {
    "plain": ({}, {}),
    "xla": ({}, {"jit_compile": True}),
    "graph": ({}, {"jit_compile": False}),
    "eager": ({}, {"run_eagerly": True}),
    "decay": ({"weight_decay": 0.1, "clipnorm": 1.0}, {}),
    "average": ({"use_ema": True, "ema_overwrite_frequency": 2, "ema_momentum": 0.5}, {}),
    "average at the end": ({"use_ema": True, "ema_momentum": 0.5}, {}),
    "accumulation": ({"gradient_accumulation_steps": 2, "global_clipnorm": 1.0}, {}),
    "scaled": ({"loss_scale_factor": 128.0}, {}),
    "float16": ({}, {"dtype": "mixed_float16"}),
    "together": ({"clipvalue": 0.5}, {"steps_per_execution": 2}),
    "rewired": ({}, {"callback": lambda: pruning.SET(update_every=2)}),
}


def network(regularizer=None, constraint=None, interspace=False, dtype=None):
    """All kinds of masked layers; some rows and columns have no live weight."""
    options = {"kernel_regularizer": regularizer, "kernel_constraint": constraint, "dtype": dtype}
    matrices_only = isinstance(regularizer, keras.regularizers.OrthogonalRegularizer)
    conv = options | {"kernel_regularizer": None} if matrices_only else options
    depthwise = {name.replace("kernel", "depthwise"): value for name, value in conv.items()}
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(6, 3, padding="same", name="conv", **conv),
            keras.layers.DepthwiseConv2D(3, name="depthwise", **depthwise),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu", name="hidden", **options),
            keras.layers.Dense(3, activation="softmax", name="classifier", **options),
        ]
    )
    random, masks = np.random.default_rng(1), {}
    for name, layer in pruning.prunable_layers(model).items():
        masks[name] = random.random(layer.kernel.shape) < 0.5
        masks[name][..., 0, :] = False
        if name != "depthwise":
            masks[name][..., -1] = False
    return pruning.apply_masks(model, masks, interspace=interspace)


def data():
    random = np.random.default_rng(0)
    return random.normal(size=(16, 4, 4, 3)).astype("float32"), random.integers(0, 3, 16)


def compiled(sparse, optimizer, mode="plain"):
    options, settings = MODES[mode]
    settings = {name: settings[name] for name in settings if name not in ("dtype", "callback")}
    made = getattr(keras.optimizers, optimizer)(0.01, **ARGUMENTS.get(optimizer, {}), **options)
    sparse.compile(made, "sparse_categorical_crossentropy", **settings)
    return sparse


def check_dead(model):
    """Exact zeros in the kernel and in get_weights, no NaN anywhere."""
    masks = pruning.read_masks(model)
    for name, layer in masked_layers(model).items():
        assert np.count_nonzero(np.asarray(layer.kernel)[~masks[name]]) == 0, name
        assert np.count_nonzero(layer.get_weights()[0][~masks[name]]) == 0, name
    for weight in model.get_weights():
        assert weight.dtype == bool or np.isfinite(weight).all()


class Check(keras.callbacks.Callback):
    """Looks in the middle of the training too."""

    def on_epoch_end(self, epoch, logs=None):
        assert np.isfinite(logs["loss"])
        check_dead(self.model)


def check_training(folder, optimizer, regularizer, constraint, mode, interspace=False):
    """Train, look, save, load, look."""
    settings = MODES[mode][1]
    sparse = network(
        REGULARIZERS[regularizer](), CONSTRAINTS[constraint](), interspace, settings.get("dtype")
    )
    compiled(sparse, optimizer, mode)
    before = {name: np.array(layer.kernel) for name, layer in masked_layers(sparse).items()}
    callbacks = [settings["callback"]()] if "callback" in settings else []
    sparse.fit(*data(), batch_size=4, epochs=2, callbacks=[*callbacks, Check()], verbose=0)
    check_dead(sparse)
    masks = pruning.read_masks(sparse)
    for name, layer in masked_layers(sparse).items():
        assert (np.array(layer.kernel) != before[name])[masks[name]].any(), name
    sparse.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    check_dead(again)
    for old, new in zip(sparse.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(sparse.layers, again.layers, strict=True):
        assert old.get_config() == new.get_config()


def rows():
    """Each entry of each column once, or more often where a column is shorter."""
    columns = (OPTIMIZERS, [*REGULARIZERS], [*CONSTRAINTS][::-1], [*MODES])
    return [
        tuple(column[row % len(column)] for column in columns)
        for row in range(max(map(len, columns)))
    ]


@pytest.mark.parametrize(("optimizer", "regularizer", "constraint", "mode"), rows())
def test_each_entry_of_the_table(optimizer, regularizer, constraint, mode, tmp_path):
    interspace = regularizer in ("none", "soft")
    check_training(tmp_path, optimizer, regularizer, constraint, mode, interspace)


def test_the_table_is_whole():
    assert {"SGD", "Adam", "Muon", "Adafactor", "Ftrl", "ScheduleFreeAdamW"} <= set(OPTIMIZERS)
    for number, column in enumerate((OPTIMIZERS, REGULARIZERS, CONSTRAINTS, MODES)):
        assert {row[number] for row in rows()} == set(column)


@pytest.mark.campaign
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_whole_table(optimizer, mode, tmp_path):
    """Every optimizer in every mode with every regularizer, the constraints turning."""
    shift = OPTIMIZERS.index(optimizer) + [*MODES].index(mode)
    for number, regularizer in enumerate(REGULARIZERS):
        constraint = [*CONSTRAINTS][(number + shift) % len(CONSTRAINTS)]
        print(optimizer, mode, regularizer, constraint)
        check_training(tmp_path, optimizer, regularizer, constraint, mode, number % 2 == 0)
        keras.backend.clear_session()


def test_a_regularizer_counts_the_live_weights_only():
    sparse = network(keras.regularizers.L2(0.5))
    layer = sparse.layers[0]
    layer.kernel.assign(np.ones(layer.kernel.shape))
    assert float(layer.losses[0]) == 0.5 * np.array(layer.kernel_mask).sum()


class Change(keras.callbacks.Callback):
    """Other masks, set by hand after the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            random = np.random.default_rng(5)
            old = pruning.read_masks(self.model)
            masks = {name: random.random(mask.shape) < 0.3 for name, mask in old.items()}
            self.born = {name: masks[name] & ~old[name] for name in old}
            pruning.set_masks(self.model, masks)


@pytest.mark.parametrize("optimizer", ["SGD", "Ftrl", "Adagrad", "ScheduleFreeAdamW"])
def test_masks_that_change_in_the_middle(optimizer):
    """Nothing that the optimizer remembers moves the dead, and what is born moves."""
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    made = getattr(keras.optimizers, optimizer)(0.05, use_ema=True, **options)
    sparse, change = network(), Change()
    sparse.compile(made, "sparse_categorical_crossentropy")
    sparse.fit(*data(), batch_size=4, epochs=3, callbacks=[change, Check()], verbose=0)
    check_dead(sparse)
    for name, layer in masked_layers(sparse).items():
        assert (np.array(layer.kernel)[change.born[name]] != 0).any()


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="an older Keras")
def test_one_optimizer_for_each_layer():
    sparse = network()
    each = keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.01))
    each[".*hidden/kernel"] = keras.optimizers.SGD(0.1, momentum=0.9)
    sparse.compile(keras.optimizers.MultiOptimizer(each), "sparse_categorical_crossentropy")
    callbacks = [pruning.SET(update_every=2), Check()]
    sparse.fit(*data(), batch_size=4, epochs=2, callbacks=callbacks, verbose=0)
    each[".*conv/kernel"] = keras.optimizers.Adafactor(0.01)
    sparse.compile(keras.optimizers.MultiOptimizer(each), "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"epsilon_1=1e-30 .*conv/kernel'"):
        sparse.fit(*data(), verbose=0)


REFUSED = {
    "adafactor": (lambda: keras.optimizers.Adafactor(0.01), "epsilon_1=1e-30 .*conv/kernel'"),
    "muon": (lambda: keras.optimizers.Muon(0.01), r"exclude_layers=\['hidden'\].*hidden/kernel'"),
    "scaled": (
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Muon(0.01)),
        "AdamW: Muon's step",
    ),
}


@pytest.mark.parametrize(
    ("name", "mode"),
    [("adafactor", "xla"), ("adafactor", "eager"), ("muon", "graph"), ("scaled", "plain")],
)
def test_optimizers_that_are_refused_before_they_do_harm(name, mode):
    make, message = REFUSED[name]
    sparse = network()
    sparse.compile(make(), "sparse_categorical_crossentropy", **MODES[mode][1])
    before = sparse.get_weights()
    with pytest.raises(ValueError, match=message):
        sparse.fit(*data(), verbose=0)
    for old, new in zip(before, sparse.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_was_compiled_with_a_refused_optimizer_can_be_masked_and_loaded(tmp_path):
    dense = pruning.remove_masks(network())
    dense.compile(keras.optimizers.Adafactor(0.01), "sparse_categorical_crossentropy")
    dense.optimizer.build(dense.trainable_variables)
    sparse = pruning.apply_masks(dense, pruning.magnitude(dense, 0.5))
    sparse.save(tmp_path / "sparse.keras")
    # What Keras says of each compiled model that was saved before its first step.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        again = keras.models.load_model(tmp_path / "sparse.keras")
    assert pruning.live_weights(again) == pruning.live_weights(sparse)


OLD = ROOT / "tests" / "old_files"


@pytest.mark.parametrize("name", ["masked", "interspace", "muon", "orthogonal"])
def test_files_of_earlier_versions(name):
    """Saved before kernels had a constraint; `muon` and `orthogonal` hold dead entries off zero."""
    outputs = np.load(OLD / "outputs.npz")
    model = keras.models.load_model(OLD / f"{name}.keras")
    check_dead(model)
    found = model.predict(outputs["images"], verbose=0)
    np.testing.assert_allclose(found, outputs[name], atol=1e-5)
    if name == "muon":
        with pytest.raises(ValueError, match="exclude_layers"):
            model.fit(*data(), verbose=0)
        return
    if name == "orthogonal":  # its momentum remembers the dead entries: this forgets it
        pruning.set_masks(model, pruning.read_masks(model))
    else:
        compiled(model, "SGD")
    model.fit(*data(), verbose=0)
    check_dead(model)


def test_lora_is_refused():
    with pytest.raises(ValueError, match="'hidden' has a mask, so it can't have LoRA"):
        network().get_layer("hidden").enable_lora(2)
    dense = pruning.remove_masks(network())
    masks = pruning.magnitude(dense, 0.5)
    dense.get_layer("hidden").enable_lora(2)
    with pytest.raises(ValueError, match=r"LoRA in a layer that is pruned.*'hidden'"):
        pruning.apply_masks(dense, masks)
