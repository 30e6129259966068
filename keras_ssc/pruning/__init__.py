"""Pruning for any Keras model: which weights live, and the methods that the paper compares."""

from keras_ssc.pruning._autoslim import autoslim, autoslim_filters
from keras_ssc.pruning._grasp import grasp
from keras_ssc.pruning._lottery_ticket import lottery_ticket
from keras_ssc.pruning._magnitude import magnitude
from keras_ssc.pruning._mlprune import mlprune
from keras_ssc.pruning._semi_structured import semi_structured
from keras_ssc.pruning._slimmable import slimmable
from keras_ssc.pruning._slimming import slim, slim_filters, slimming
from keras_ssc.pruning._snip import snip
from keras_ssc.pruning._synflow import synflow
from keras_ssc.pruning.deep_r import DeepR
from keras_ssc.pruning.dsr import DSR
from keras_ssc.pruning.filter_norms import l1_filters
from keras_ssc.pruning.filters import remove_filters
from keras_ssc.pruning.gradual_magnitude import GradualMagnitude
from keras_ssc.pruning.layer_counts import erk_counts, smart_ratio_counts, uniform_counts
from keras_ssc.pruning.masks import (
    apply_masks,
    live_weights,
    prunable_layers,
    read_masks,
    remove_masks,
    set_masks,
)
from keras_ssc.pruning.optimal_brain_damage import obd
from keras_ssc.pruning.random import random_erk, random_uniform, smart_ratio
from keras_ssc.pruning.rewiring import Rewiring
from keras_ssc.pruning.rigl import RigL
from keras_ssc.pruning.samples import samples_per_class
from keras_ssc.pruning.set import SET

__all__ = [
    "DSR",
    "SET",
    "DeepR",
    "GradualMagnitude",
    "Rewiring",
    "RigL",
    "apply_masks",
    "autoslim",
    "autoslim_filters",
    "erk_counts",
    "grasp",
    "l1_filters",
    "live_weights",
    "lottery_ticket",
    "magnitude",
    "mlprune",
    "obd",
    "prunable_layers",
    "random_erk",
    "random_uniform",
    "read_masks",
    "remove_filters",
    "remove_masks",
    "samples_per_class",
    "semi_structured",
    "set_masks",
    "slim",
    "slim_filters",
    "slimmable",
    "slimming",
    "smart_ratio",
    "smart_ratio_counts",
    "snip",
    "synflow",
    "uniform_counts",
]
