"""One rule for the words that are arguments: upper and lower case are the same, as in Keras."""

import keras
import numpy as np
import pytest
from tiny_networks import Tiny

import keras_ssc
from keras_ssc import SSCConv2D, SSCPattern, choose_network, choose_pattern
from keras_ssc.arguments import known, one_of
from keras_ssc.layers import FusedBatchNormalization
from keras_ssc.sparsity import LayerShape, pattern_weight_count


def model():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(32, 3), keras.layers.Conv2D(32, 3)]
    return keras.Sequential([*layers, keras.layers.Conv2D(32, 3), keras.layers.Flatten()])


def network(**words):
    arguments = {"input_shape": (16, 16, 3), "sparsity": 0.9, "include_top": False} | words
    if str(words.get("data_format")).lower() == "channels_first":
        arguments["input_shape"] = (3, 16, 16)
    built = Tiny(name="net", **arguments)
    return [layer.get_config() for layer in built.layers], built.output.shape


CALLERS = {
    "pattern": lambda **words: SSCPattern(16, 15, 3, 4, 2, **words).mask(),
    "choose_pattern": lambda **words: choose_pattern(16, 15, 3, sparsity=0.8, **words),
    "pattern_weight_count": lambda **words: pattern_weight_count(16, 15, (3, 3), 4, 2, **words),
    "choose_network": lambda **words: choose_network(
        [LayerShape("a", 64, 63, (3, 3)), LayerShape("b", 64, 64, (3, 3))], sparsity=0.9, **words
    ),
    "layer": lambda **words: SSCConv2D(15, 3, g=4, p=2, name="layer", **words).get_config(),
    "plan": lambda **words: keras_ssc.conversion_plan(model(), 0.8, **words).rows,
    "norm": lambda **words: FusedBatchNormalization(name="norm", **words).get_config(),
    "network": network,
}
WORDS = [
    ("pattern", {"shift": "block"}), ("pattern", {"parity": "alternate"}),
    ("choose_pattern", {"shift": "block", "parity": "alternate"}),
    ("pattern_weight_count", {"parity": "halves"}),
    ("pattern_weight_count", {"parity": "alternate"}),
    ("choose_network", {"parity": "alternate"}), ("choose_network", {"distribution": "per_filter"}),
    ("layer", {"shift": "block", "parity": "alternate", "padding": "same"}),
    ("layer", {"data_format": "channels_first", "execution": "grouped"}),
    ("plan", {"shift": "block", "parity": "alternate"}),
    ("norm", {"activation": "relu"}),
    ("network", {"shift": "block", "parity": "alternate", "execution": "dense"}),
    ("network", {"initial_scale": "live", "pooling": "max", "distribution": "per_filter"}),
    ("network", {"data_format": "channels_first"}),
]  # fmt: skip


def call(caller, words):
    keras.utils.clear_session()  # layers without a name are numbered
    return CALLERS[caller](**words)


def same(one, other):
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return str(one) == str(other)


@pytest.mark.parametrize(("caller", "words"), WORDS, ids=str)
def test_upper_and_lower_case_are_the_same(caller, words):
    expected = call(caller, words)
    assert same(call(caller, {name: word.title() for name, word in words.items()}), expected)
    assert same(call(caller, {name: word.upper() for name, word in words.items()}), expected)


@pytest.mark.parametrize(("caller", "words"), WORDS, ids=str)
@pytest.mark.parametrize("wrong", ["sideways", 3, ["block"]])
def test_other_words_are_refused_by_name(caller, words, wrong):
    for name in words:
        with pytest.raises(ValueError, match=f"`{name}` must be one of .*Received: {name}="):
            CALLERS[caller](**(words | {name: wrong}))


def test_a_pattern_holds_the_word_in_lower_case():
    assert SSCPattern(8, 8, g=2, p=1, shift="Cyclic") == SSCPattern(8, 8, g=2, p=1)


def test_names_keep_their_case():
    assert known("model", "ResNet20", ["ResNet20"]) == "ResNet20"
    assert one_of("padding", "SAME", ("same",)) == "same"
    for wrong in ("resnet20", None, ["ResNet20"]):
        with pytest.raises(ValueError, match=r"`model` must be one of \('ResNet20',\)"):
            known("model", wrong, ["ResNet20"])


def test_a_training_names_the_sets_that_it_knows():
    from keras_ssc.training import TrainingConfig

    assert TrainingConfig(dataset="tiny_imagenet").epochs == 300
    with pytest.raises(ValueError, match=r"`dataset` must be one of .*'cifar10'.*tfds:NAME"):
        TrainingConfig(dataset="mnist")
