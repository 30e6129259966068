"""How each method of the tables makes its network: one function (setting, data) each.

A function returns a `Start`: the model before training, and what changes it while it trains.
Those in `SCORED` take a further pair (setting, data): another image set, which scores their masks.
"""

from keras_ssc import pruning
from paper.masking import (
    drawn,
    gradual,
    magnitude,
    masked,
    rewired,
    scored,
    synflow,
)
from paper.networks import dense, ssc
from paper.train_then_prune import damage, l1_filters, mlpruned, slimmed, ticket

METHODS = {
    "dense": dense,
    "ssc": ssc,
    "random uniform": masked(drawn(pruning.random_uniform)),
    "random ERK": masked(drawn(pruning.random_erk)),
    "smart ratio": masked(drawn(pruning.smart_ratio)),
    "magnitude": masked(magnitude),
    "SNIP": masked(scored(pruning.snip)),
    "GraSP": masked(scored(pruning.grasp)),
    "SynFlow": masked(synflow),
    "SET": rewired(pruning.SET),
    "RigL": rewired(pruning.RigL),
    "DSR": rewired(pruning.DSR),
    "Deep-R": rewired(pruning.DeepR),
    "GMP": gradual,
    "IP-SNIP": masked(scored(pruning.snip), interspace=True),
    "IP-GraSP": masked(scored(pruning.grasp), interspace=True),
    "IP-SynFlow": masked(synflow, interspace=True),
    "lottery ticket (init)": ticket,
    "lottery ticket (epoch 5)": ticket,
    "OBD": damage,
    "MLPrune": mlpruned,
    "L1 filters": l1_filters,
    "Slimming": slimmed,
}
SCORED = ("SNIP", "GraSP", "IP-SNIP", "IP-GraSP")
