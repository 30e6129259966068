"""The paper's tables and figures, run from a clone: not part of the installed package."""

from paper.cells import Cell
from paper.figures import EXPERIMENTS
from paper.methods import METHODS
from paper.networks import VARIANTS
from paper.records import Records
from paper.run import run
from paper.runner import dry, open_runs, reproduce
from paper.setting import Setting

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
