"""The paper's tables and figures: SSC and its rivals with one recipe, at one sparsity."""

from keras_ssc.experiments.cells import Cell
from keras_ssc.experiments.matrix import EXPERIMENTS
from keras_ssc.experiments.methods import METHODS
from keras_ssc.experiments.networks import VARIANTS
from keras_ssc.experiments.records import Records
from keras_ssc.experiments.run import run
from keras_ssc.experiments.runs import dry, open_runs, reproduce
from keras_ssc.experiments.setting import Setting

__all__ = [
    "EXPERIMENTS",
    "METHODS",
    "VARIANTS",
    "Cell",
    "Records",
    "Setting",
    "dry",
    "open_runs",
    "reproduce",
    "run",
]
