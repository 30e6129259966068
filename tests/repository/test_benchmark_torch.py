"""The dense networks that PyTorch and DeepSparse compute, beside Keras's."""

import sys

import numpy as np
import pytest
from benchmark_programs import programs_found, tiny  # noqa: F401

import keras_ssc


@pytest.mark.parametrize("network", ["ResNet20", "ShuffleNetV2"])
def test_networks_described_for_torch_have_all_weights(network, tmp_path):
    from common import alternatives, torch_networks

    model = getattr(keras_ssc.applications, network)(
        sparsity=0, input_shape=(32, 32, 3), classes=10
    )
    model = alternatives.in_keras(model, alternatives.dense)
    torch_networks.describe(model, tmp_path / "network.npz")
    with np.load(tmp_path / "network.npz") as file:
        found = sum(file[name].size for name in file.files if name != "steps")
    assert found == model.count_params()


def test_torch_computes_the_same(tiny, tmp_path):
    torch = pytest.importorskip("torch")
    from common import alternatives, torch_networks

    model = alternatives.in_keras(tiny.build(sparsity=0), alternatives.dense)
    torch_networks.describe(model, tmp_path / "network.npz")
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    scores = torch_networks.network(tmp_path / "network.npz").eval()(
        torch.from_numpy(x.transpose(0, 3, 1, 2))
    )
    probabilities = torch.softmax(scores, 1).detach().numpy()
    np.testing.assert_allclose(probabilities, model.predict_on_batch(x), atol=1e-5)


def test_an_interpreter_without_the_package_is_not_run(tmp_path):
    from common import piped

    arguments = (tmp_path / "none.onnx", tmp_path / "none.npy", 1)
    with pytest.raises(piped.NotInstalled):
        piped.Piped(sys.executable, "common.deepsparse_engine", *arguments)
