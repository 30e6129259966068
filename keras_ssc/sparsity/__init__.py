"""Choosing (g, p) for a wanted sparsity: of one layer, of a network, of convolutions of any sizes.

| function | chooses for |
|---|---|
| `choose_pattern` | one layer |
| `choose_network` | the layers of a network built for SSC: one or two settings, of every layer |
| `choose_together` | convolutions of all shapes and widths, as `sparsify` finds them |

The last two are two searches: `choose_network` weighs few settings that all layers share, in pairs,
at every place where one may give way to the other; `choose_together` gives every layer its own
setting, near one density that it halves an interval to find, for no setting fits all those widths.
"""

from keras_ssc.arguments import fraction as fraction
from keras_ssc.sparsity.distributions import DISTRIBUTIONS, distribution_at
from keras_ssc.sparsity.layer import (
    GPU_TOLERANCE,
    LAYER_TOLERANCE,
    MAX_STEPS,
    awkwardness,
    choose_pattern,
)
from keras_ssc.sparsity.mixed_layers import choose_together
from keras_ssc.sparsity.mixing import (
    butterfly_offset,
    connected_share,
    stage_mixing,
    well_mixing,
)
from keras_ssc.sparsity.network import NETWORK_TOLERANCE, choose_network
from keras_ssc.sparsity.shapes import (
    LayerShape,
    NetworkChoice,
    UnreachableSparsity,
    count_network,
    pattern_weight_count,
)

__all__ = [
    "DISTRIBUTIONS",
    "GPU_TOLERANCE",
    "LAYER_TOLERANCE",
    "MAX_STEPS",
    "NETWORK_TOLERANCE",
    "LayerShape",
    "NetworkChoice",
    "UnreachableSparsity",
    "awkwardness",
    "butterfly_offset",
    "choose_network",
    "choose_pattern",
    "choose_together",
    "connected_share",
    "count_network",
    "distribution_at",
    "pattern_weight_count",
    "stage_mixing",
    "well_mixing",
]
