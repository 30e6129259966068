"""Records of runs that never were."""

import dataclasses

from keras_ssc.training.environment import environment


def record_of(setting, accuracies=(0.1, 0.3, 0.2)):
    """A record as `run` would leave it."""
    return {
        "key": setting.key,
        "setting": dataclasses.asdict(setting),
        "environment": environment(),
        "metrics": [{"epoch": i + 1, "val_accuracy": a} for i, a in enumerate(accuracies)],
        "live_weights": 10,
        "network_sparsity": 0.9,
        "kxk_sparsity": 0.95,
        "multiply_adds": 1000,
        "correlation": {"a": 0.2, "b": 0.1 if setting.method == "ssc" else 0.3},
        "seconds": 1.0,
    }
