"""Which of the models in every_model.py are refused by which route, and with which words."""

from fnmatch import fnmatch

WITHOUT_SCALES = (
    "sequential_*|nested_sequential_first|several_ends|dicts_at_both_ends|state_of_*|normalization|"
    "discretization|vocabulary|augmentation|time_distributed|spectral_normalization|dropout|"
    "sequences|attention|one_name_for_two_layers|layers_of_layers"
)
# (model, route): what the refusal says; a star stands for any.
REFUSED = {
    ("call_of_its_own", "fold|export-*"): r"'own' \(Doubled\), with a call of its own",
    ("constructor_of_its_own", "copy|sparsify*|densify|*masks|slim*|*filters"): (
        r"'own' is a MakesItself.* lose its train_step\."
    ),
    ("lora", "*masks"): r"LoRA in a layer that is pruned.*'\w+' \(Conv2D\)",
    ("lora|quantized", "remove_filters"): r"filters can be removed.*\(Dense\) reads them, and can",
    ("quantized", "*masks"): r"quantized in a layer that is pruned.*'\w+' \(Dense\)",
    ("layers_of_layers", "export-keras"): "does not compute what the model computes",
    ("vocabulary", "export-tf*|export-litert|export-o*"): r"'integer_lookup' \(Int.* a vocabulary",
    ("discretization", "export-o*"): "can't be written as o.*no operation for .*Bucketize",
    ("quantized|sequences", "export-litert"): "can't be written as litert",
    ("sequences", "export-openvino"): "can't be written as openvino",
    ("masked", "sparsify|densify"): r"must hold a convolution to convert.*not a Conv2D",
    ("masked", "remove_filters"): "filters can be removed.*no Conv2D or Dense layer",
    ("one_name_for_two_layers", "*masks"): "two layers named 'same'",
    (WITHOUT_SCALES, "slimming"): "must have BatchNormalization with scales",
}

# Plain attributes that were set after a layer was made are in no file of Keras's.
KERAS_FORGETS = {"layers_of_layers", "dropout"}


def refusal(name, route):
    """What a model is refused with on a route; None where it is not."""
    for (models, routes), says in REFUSED.items():
        if any(fnmatch(name, one) for one in models.split("|")) and any(
            fnmatch(route, one) for one in routes.split("|")
        ):
            return says
    return None
