"""Networks in patterns for a GPU: one g whose p divides g - 1, near the target; else a CPU's."""

import numpy as np
import pytest

from keras_ssc.applications import ResNet32, ResNet50
from keras_ssc.sparsity import LayerShape, choose_network


def patterns(model):
    return {layer.pattern for layer in model.layers if hasattr(layer, "pattern")}


@pytest.mark.parametrize("sparsity", [0.9, 0.95])
def test_a_builder_takes_a_p_that_divides_g_minus_1(sparsity):
    (own,) = {(own.g, own.p) for own in patterns(ResNet32(sparsity=sparsity, pattern_for="gpu"))}
    assert (own[0] - 1) % own[1] == 0
    assert own[0] in (8, 16)


def test_layers_of_1x1_share_one_p_that_divides_their_channels():
    model = ResNet50(sparsity=0.8, pattern_for="gpu", input_shape=(32, 32, 3), classes=10)
    found = patterns(model)
    (pointwise,) = {own.p for own in found if own.kernel_size == (1, 1)}
    assert all(own.in_channels % pointwise == 0 for own in found)
    (wide,) = {(own.g, own.p) for own in found if own.kernel_size == (3, 3)}
    assert (wide[0] - 1) % wide[1] == 0


@pytest.mark.parametrize("name", ["sparsity", "mac_share"])
def test_the_choice_is_the_nearest_of_all(name):
    """Against every g, p and 1x1 p, counted one by one."""
    layers = [LayerShape("a", 64, 64, (3, 3), (8, 8)), LayerShape("b", 64, 128, (1, 1), (4, 4)),
              LayerShape("c", 128, 128, (3, 3), (4, 4))]  # fmt: skip
    wanted = 0.87 if name == "sparsity" else 0.13
    choice = choose_network(layers, **{name: wanted}, pattern_for="gpu")
    reached = choice.sparsity if name == "sparsity" else choice.mac_share
    assert abs((1 - reached if name == "sparsity" else reached) / 0.13 - 1) <= 0.25
    (g, p), (zero, pointwise), last = (choice.settings[layer.name] for layer in layers)
    assert (g, p) == last
    assert (g - 1) % p == 0
    assert zero == 0
    assert 64 % pointwise == 0


def test_where_no_such_pattern_comes_near_the_choice_is_that_for_a_cpu():
    narrow = [LayerShape("a", 15, 15, (3, 3)), LayerShape("b", 30, 30, (3, 3))]
    chosen = choose_network(narrow, sparsity=0.8)
    assert choose_network(narrow, sparsity=0.8, pattern_for="gpu") == chosen
    wide = [LayerShape("a", 64, 64, (3, 3))]
    assert choose_network(wide, sparsity=0.5, pattern_for="gpu") == choose_network(
        wide, sparsity=0.5
    )


def test_dense_layers_stay_dense_and_count():
    layers = [LayerShape("stem", 3, 64, (3, 3), sparse=False), LayerShape("a", 64, 64, (3, 3))]
    choice = choose_network(layers, sparsity=0.9, pattern_for="gpu")
    assert choice.settings["stem"] is None
    np.testing.assert_allclose(1 - choice.sparsity, 0.1, rtol=0.25)


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match=r"`pattern_for` must be one of .* Received: .*tpu"):
        choose_network([LayerShape("a", 64, 64, (3, 3))], sparsity=0.9, pattern_for="tpu")
    with pytest.raises(ValueError, match="`pattern_for` must be one of"):
        ResNet32(sparsity=0.9, pattern_for="tpu")
