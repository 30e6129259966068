"""How far layers mix: counted from the dense kernels, channel by channel."""

import numpy as np
import pytest
from tiny_networks import Tiny

from keras_ssc import LayerShape, SSCPattern, choose_network
from keras_ssc.sparsity import connected_share, count_network, stage_mixing, well_mixing
from paper.pattern_settings import network_layers

pytestmark = pytest.mark.jax_long


def counted(patterns):
    """The share of connected pairs, one channel after the other: a set that grows."""
    pairs = 0
    for channel in range(patterns[0].in_channels):
        reached = {channel}
        for pattern in patterns:
            mask = pattern.mask()
            reached = {n for n in range(pattern.filters) if mask[:, :, sorted(reached), n].any()}
        pairs += len(reached)
    return pairs / (patterns[0].in_channels * patterns[-1].filters)


@pytest.mark.parametrize(
    "settings",
    [[(8, 7)] * 3, [(8, 5)] * 2, [(4, 0), (8, 3)], [(16, 15)], [(0, 2), (0, 4)], [(16, 12)] * 2],
)
@pytest.mark.parametrize("rules", [{}, {"set_offset": 2}, {"shift": "block"}])
def test_share_of_connected_pairs(settings, rules):
    widths = [16, 24, 32, 16]
    patterns = [
        SSCPattern(widths[place], widths[place + 1], 3, *setting, **rules)
        for place, setting in enumerate(settings)
    ]
    assert connected_share(patterns) == counted(patterns)


def test_layers_that_do_not_follow_are_refused():
    with pytest.raises(ValueError, match=r"`patterns` .* one behind the other.*\(16, 8\), \(16"):
        connected_share([SSCPattern(16, 8), SSCPattern(16, 8)])
    with pytest.raises(ValueError, match="`patterns`"):
        connected_share([])


def test_resnet32_at_98_percent():
    layers = network_layers("ResNet32", (32, 32, 3), 10)
    settings = choose_network(layers, sparsity=0.98).settings
    assert stage_mixing(layers, settings) == {0: 11 / 16, 1: 10 / 32, 2: 10 / 64}
    assert stage_mixing(layers, settings, set_offset="butterfly") == {0: 1, 1: 1, 2: 1}


def test_dense_layers_begin_a_new_run_and_depthwise_ones_do_not():
    sparse, dense = (4, 3), None
    layers = [
        LayerShape("one", 8, 8, (3, 3)),
        LayerShape("depthwise", 8, 8, (3, 3), sparse=False, groups=8),
        LayerShape("two", 8, 8, (3, 3)),
        LayerShape("dense", 8, 8, (3, 3), sparse=False),
        LayerShape("three", 8, 8, (3, 3)),
    ]
    settings = {"one": sparse, "depthwise": dense, "two": sparse, "dense": dense, "three": sparse}
    assert stage_mixing(layers, settings) == {0: connected_share([SSCPattern(8, 8, 3, 4, 3)] * 2)}
    assert stage_mixing(layers, {layer.name: None for layer in layers}) == {}


@pytest.mark.parametrize(
    ("network", "sparsity"), [("ResNet32", 0.98), ("ResNet20", 0.95), ("VGG11", 0.98)]
)
def test_mixing_costs_nothing_and_never_joins_less(network, sparsity):
    layers = network_layers(network, (32, 32, 3), 10)
    plain = choose_network(layers, sparsity=sparsity)
    mixed = choose_network(layers, sparsity=sparsity, mixing=True)
    assert mixed.settings == well_mixing(layers, plain.settings)
    again = count_network(layers, mixed.settings)
    assert (again.sparsity, again.mac_share) == (plain.sparsity, plain.mac_share)
    for name, setting in plain.settings.items():
        if setting:
            assert max(setting) == max(mixed.settings[name])
            assert setting[0] == mixed.settings[name][0]
    means = [np.mean(list(stage_mixing(layers, one.settings).values())) for one in (plain, mixed)]
    assert means[1] >= means[0]
    if network == "ResNet32":
        assert means[1] > 0.9 > 0.4 > means[0]


def test_a_setting_that_mixes_stays():
    layers = [LayerShape(f"conv{place}", 16, 16, (3, 3)) for place in range(4)]
    settings = {layer.name: (8, 3) for layer in layers}
    assert stage_mixing(layers, settings) == {0: 1.0}
    assert well_mixing(layers, settings) == settings


def test_builders_take_it():
    plain, mixed = (Tiny(sparsity=0.9, mixing=mixing) for mixing in (False, True))
    found = [
        {one.name: (one.g, one.p) for one in model.layers if hasattr(one, "pattern")}
        for model in (plain, mixed)
    ]
    assert found[0] != found[1]
    assert [g for g, _ in found[0].values()] == [g for g, _ in found[1].values()]
    assert plain.count_params() == mixed.count_params()
    with pytest.raises(TypeError, match="`mixing`"):
        Tiny(mixing="yes")
