"""format="openvino": a .xml file for OpenVINO, and the .bin file of its weights beside it."""

from keras_ssc.export import tf_saved_model
SUFFIX = ".xml"
PACKAGES = {"openvino": "openvino"}
