"""Settings for a whole network: the target is met, and counted again from the patterns."""

import dataclasses

import pytest

from keras_ssc import LayerShape, SSCPattern, choose_network

NETWORK = [
    LayerShape("stem", 3, 32, (3, 3), (32, 32), sparse=False),
    LayerShape("one", 32, 32, (3, 3), (32, 32), stage=1),
    LayerShape("two", 32, 64, (3, 3), (16, 16), stage=2),
    LayerShape("three", 64, 128, (3, 3), (8, 8), stage=3),
    LayerShape("four", 128, 128, (3, 3), (8, 8), stage=3),
    LayerShape("logits", 128, 10, (1, 1), sparse=False),
]


def counted(settings, pixels):
    """Return live / dense over all layers, one by one from the patterns."""
    live = dense = 0
    for layer in NETWORK:
        places = layer.output_size[0] * layer.output_size[1] if pixels else 1
        whole = layer.in_channels * layer.filters * layer.kernel_size[0] * layer.kernel_size[1]
        setting = settings[layer.name]
        kept = whole
        if setting is not None:
            g, p = setting
            shape = (layer.in_channels, layer.filters, layer.kernel_size)
            kept = SSCPattern(*shape, g=g, p=p).weight_count
        live += kept * places
        dense += whole * places
    return live / dense


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.85, 0.9, 0.95])
def test_sparsity_is_reached_and_reported(sparsity):
    choice = choose_network(NETWORK, sparsity=sparsity)
    reached = 1 - counted(choice.settings, pixels=False)
    assert choice.sparsity == pytest.approx(reached, abs=1e-12)
    assert reached == pytest.approx(sparsity, abs=0.003)
    assert {name for name, one in choice.settings.items() if one is None} == {"stem", "logits"}


@pytest.mark.parametrize("mac_share", [0.12, 0.2, 0.3])
def test_share_of_multiply_adds_is_reached_and_reported(mac_share):
    choice = choose_network(NETWORK, mac_share=mac_share)
    reached = counted(choice.settings, pixels=True)
    assert choice.mac_share == pytest.approx(reached, abs=1e-12)
    assert reached == pytest.approx(mac_share, abs=0.003)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"sparsity": 0.9999}, "`sparsity` can't be reached.*Nearest reachable: 0.9"),
        ({"mac_share": 0.0001}, "`mac_share` can't be reached.*Nearest reachable: 0.0"),
        ({}, "either `sparsity` or `mac_share`"),
        ({"sparsity": 0.9, "mac_share": 0.1}, "either `sparsity` or `mac_share`"),
        ({"sparsity": 1.5}, "`sparsity`"),
        ({"sparsity": "much"}, "`sparsity`"),
    ],
)
def test_refuses_with_the_nearest_or_the_rule(target, words):
    with pytest.raises((ValueError, TypeError), match=words):
        choose_network(NETWORK, **target)


@pytest.mark.parametrize(
    ("target", "distribution"),
    [
        ({"sparsity": 0.98}, "per_filter"),
        ({"sparsity": 0.979}, "uniform"),
        ({"sparsity": 0.9}, "uniform"),
        ({"mac_share": 0.12}, "uniform"),
    ],
)
def test_auto_is_per_filter_from_98_percent_on(target, distribution):
    every = [dataclasses.replace(layer, sparse=True) for layer in NETWORK[1:-1]]
    found = choose_network(every, **target)
    assert found == choose_network(every, **target, distribution=distribution)
    other = {"uniform": "per_filter", "per_filter": "uniform"}[distribution]
    assert found.settings != choose_network(every, **target, distribution=other).settings


def test_auto_is_uniform_where_per_filter_does_not_reach():
    layers = [LayerShape(f"conv{i}", 128, 128, (1, 1)) for i in range(3)]
    with pytest.raises(ValueError, match="can't be reached"):
        choose_network(layers, sparsity=63 / 64, distribution="per_filter")
    assert choose_network(layers, sparsity=63 / 64).settings["conv1"] == (0, 64)


def test_only_dense_layers_are_refused():
    with pytest.raises(ValueError, match="`layers` must hold a sparse layer"):
        choose_network([NETWORK[0]], sparsity=0.9)
