"""How long runs will take, printed before they begin."""

import statistics
import time

import keras
import numpy as np

from keras_ssc.training.environment import environment
from paper.cells import CLASSES
from paper.data import image_count
from paper.networks import build
from paper.train_then_prune import trainings

_TIMED_STEPS = 3


def estimate(settings, records, time_steps=None):
    """Return (seconds, what that rests on) of some runs on this machine.

    A run takes its share of the seconds that recorded runs took for an image: of the same network,
    image size and method; else of the same network and image size. Where there are none, some
    training steps of the dense network are timed on random images, once for each network: that
    leaves out tests and what comes before the training.

    Args:
        settings: list of `Setting`.
        records: `Records`; those of this hardware and backend count.
        time_steps: function (setting) -> seconds for an image; None: it is measured.

    Example:

        seconds, basis = estimate(open_runs(cells, records), records)
    """
    time_steps = time_steps or seconds_per_image
    of_method, of_network = _recorded(records)
    timed, total, basis = {}, 0.0, {}
    for setting in settings:
        network = (setting.network, setting.image_size)
        if rates := of_method.get((*network, setting.method)):
            rate, source = statistics.median(rates), "recorded runs of network and method"
        elif rates := of_network.get(network):
            rate, source = statistics.median(rates), "recorded runs of the network"
        else:
            if network not in timed:
                timed[network] = time_steps(setting)
            rate = timed[network]
            source = f"training steps timed just now ({setting.network}; without start and tests)"
        total += rate * work(setting)
        basis[source] = basis.get(source, 0) + 1
    return total, ", ".join(f"{count} by {source}" for source, count in basis.items())


def work(setting):
    """Return how many images a run trains on, over all epochs and trainings."""
    return setting.epochs * image_count(setting) * trainings(setting)


def _recorded(records):
    """Seconds for an image of the runs of this machine, by network and method, and by network."""
    here = _machine(environment())
    of_method, of_network = {}, {}
    for setting, record in records.pairs():
        if _machine(record["environment"]) == here:
            rate = record["seconds"] / work(setting)
            network = (setting.network, setting.image_size)
            of_method.setdefault((*network, setting.method), []).append(rate)
            of_network.setdefault(network, []).append(rate)
    return of_method, of_network


def _machine(about):
    """What seconds depend on. Records of before accelerators were named are all of CPUs."""
    return about["hardware"], about.get("accelerators", []), about["backend"]


def seconds_per_image(setting):
    """Return the seconds that a training step of the dense network takes for one image."""
    batch = max(1, min(setting.batch_size, 2**20 // setting.image_size**2))
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, setting.image_size, setting.image_size, 3)).astype("float32")
    y = random.integers(0, CLASSES[setting.dataset], batch)
    model = build(setting, CLASSES[setting.dataset], sparsity=0)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    taken = []
    for _ in range(2 + _TIMED_STEPS):
        started = time.monotonic()
        model.train_on_batch(x, y)
        taken.append(time.monotonic() - started)
    return statistics.median(taken[2:]) / batch  # the first ones compile


def in_words(seconds):
    """Return a duration in the unit that suits it.

    Example:

    >>> [in_words(seconds) for seconds in (50, 3000, 30_000, 900_000)]
    ['50 s', '50 min', '8.3 h', '10.4 days']
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
