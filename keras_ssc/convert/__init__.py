"""From dense models to sparse ones and back."""

from keras_ssc.convert.densify import densify
from keras_ssc.convert.plan import conversion_plan
from keras_ssc.convert.sparsify import sparsify

__all__ = ["conversion_plan", "densify", "sparsify"]
