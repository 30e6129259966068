"""Every table and figure by its name."""

from keras_ssc.experiments.figures import (
    ablation,
    figure3,
    figure4_left,
    figure4_right,
    rates,
    variants,
)
from keras_ssc.experiments.tables import table1, table1_tuned, table2, table3, table4, table5

EXPERIMENTS = {
    "table1-tuned": table1_tuned,
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "variants": variants,
    "rates": rates,
    "figure3": figure3,
    "figure4-left": figure4_left,
    "figure4-right": figure4_right,
    "ablation": ablation,
}
