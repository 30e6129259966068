"""Every cell of the paper's tables 1 to 4 is reached, and no channel is left unread."""

import functools
import importlib

import numpy as np
import pytest

import keras_ssc
from keras_ssc import applications
from keras_ssc.datasets.facts import FACTS
from paper.pattern_settings import CELLS, paper_cell, paper_table

every_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


@functools.cache
def unread(*arguments):
    return keras_ssc.SSCPattern(*arguments).unread_channels


def test_all_cells_of_the_tables_are_there():
    assert [sum(cell.table == table for cell in CELLS) for table in (1, 2, 3, 4)] == [12, 6, 2, 2]
    assert len({cell.name for cell in CELLS}) == 22


@every_cell
@pytest.mark.parametrize("distribution", ["uniform", "per_filter"])
def test_sparsity_is_reached_within_0_3_points(cell, distribution):
    choice = cell.choose(distribution)
    assert choice.sparsity == pytest.approx(cell.sparsity, abs=0.003)
    for layer in cell.layers():
        setting = choice.settings[layer.name]
        if setting:
            shape = (layer.in_channels, layer.filters, layer.kernel_size)
            assert unread(*shape, *setting) == (), layer.name


@pytest.mark.parametrize("name", ["VGG19-cifar10-0.9", "ResNet32-cifar100-0.98"])
def test_built_network_has_the_chosen_settings(name):
    cell = paper_cell(name)
    model = getattr(applications, cell.network)(**cell.arguments)
    choice = cell.choose()
    assert keras_ssc.summary(model).network_sparsity == pytest.approx(choice.sparsity, abs=1e-9)
    for layer in model.layers:
        if isinstance(layer, keras_ssc.SSCConv2D):
            assert (layer.pattern.g, layer.pattern.p) == choice.settings[layer.name]


def test_table_has_a_line_for_each_cell():
    lines = paper_table().splitlines()
    assert len(lines) == 2 + len(CELLS)
    assert all(cell.name in line for cell, line in zip(CELLS, lines[2:], strict=True))


def test_unknown_cell_is_refused_with_the_names():
    with pytest.raises(ValueError, match=r"ResNet50-imagenet-0\.8"):
        paper_cell("AlexNet")


def modules():
    return sorted({getattr(applications, name).__module__ for name in applications.__all__})


@pytest.mark.parametrize("module", modules())
def test_every_family_has_preprocess_input(module):
    preprocess = importlib.import_module(module).preprocess_input
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), "uint8")
    last = np.array(preprocess(images))
    first = np.array(preprocess(images.transpose(0, 3, 1, 2), data_format="channels_first"))
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), last, rtol=1e-5, atol=1e-6)
    if "imagenet" not in module:
        for dataset in ("cifar10", "cifar100", "tiny_imagenet"):
            expected = (images / 255 - FACTS[dataset].mean) / FACTS[dataset].std
            found = preprocess(images, dataset=dataset)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="`data_format`"):
        preprocess(images, data_format="last")
