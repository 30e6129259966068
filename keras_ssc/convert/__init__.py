"""From dense models to sparse ones and back."""

from keras_ssc.convert._densify import densify
from keras_ssc.convert._sparsify import sparsify
from keras_ssc.convert.batch_statistics import recalibrate
from keras_ssc.convert.plan import conversion_plan

__all__ = ["conversion_plan", "densify", "recalibrate", "sparsify"]
