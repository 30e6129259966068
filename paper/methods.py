"""How each method of the tables makes its network: one function (setting, data) each.

A function returns a `Start`: the model before training, and what changes it while it trains.
Those in `SCORED` take a further pair (setting, data): another image set, which scores their masks.
"""

from keras_ssc import pruning
from paper.masking import (
    class_sorted_grasp,
    drawn,
    gradual,
    magnitude,
    masked,
    rewired,
    scored,
    synflow,
    synflow_dense_shortcuts,
)
from paper.networks import dense, ssc
from paper.shares import RULES, shared_out
from paper.train_then_prune import (
    auto_slimmed,
    l1_filters,
    lottery_ticket,
    mlpruned,
    network_slimming,
    optimal_brain_damage,
)

METHODS = {
    "dense": dense,
    "ssc": ssc,
    **{name: shared_out(rule) for name, rule in RULES.items()},
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
    # As the authors' codes do it; above they are as the first records were made.
    "GraSP, its code": masked(class_sorted_grasp),
    "SET, published": rewired(pruning.SET, published=True),
    "RigL, published": rewired(pruning.RigL, published=True),
    "DSR, published": rewired(pruning.DSR, published=True),
    "Deep-R, published": rewired(pruning.DeepR, published=True),
    "SynFlow, dense shortcuts": masked(synflow_dense_shortcuts),
    "GMP": gradual,
    "IP-SNIP": masked(scored(pruning.snip), interspace=True),
    "IP-GraSP": masked(scored(pruning.grasp), interspace=True),
    "IP-SynFlow": masked(synflow, interspace=True),
    "lottery ticket (init)": lottery_ticket,
    "lottery ticket (epoch 5)": lottery_ticket,
    "OBD": optimal_brain_damage,
    "MLPrune": mlpruned,
    "L1 filters": l1_filters,
    "Slimming": network_slimming,
    "AutoSlim": auto_slimmed,
}
SCORED = ("SNIP", "GraSP", "GraSP, its code", "IP-SNIP", "IP-GraSP")
