"""A run of the paper's protocol becomes weights of the package: its record, and its own weights."""

from pathlib import Path

from keras_ssc import datasets
from keras_ssc._summary import summary
from keras_ssc.applications._pretrained import CLASSES, FOLDER, structure
from keras_ssc.training.publishing import RECIPE, publish_network, untrained
from paper.data import SIDES
from paper.fit import MOMENTUM
from paper.inputs import drop_shares
from paper.networks import build, builder_and_options, ssc_options
from paper.records import Records, last_accuracy
from paper.setting import Setting

WEIGHTS = "weights"  # folder beside the records


def publish_record(record, weights=None, data_dir=None, folder=FOLDER, replace=False):
    """Write the weights of a finished run and their card into the package, as `publish` does.

    The run is one of SSC, or of the dense network, on all images of CIFAR-10 or CIFAR-100. They
    were normalised as `preprocess_input` does it, so the network is published as it is.

    Args:
        record: path of the record, `KEY.json`.
        weights: path of `KEY.weights.h5`, the weights after the last epoch; None: in the folder
            `weights` beside the record.
        data_dir: path, as for `publish`. None and no images in the usual folder: the accuracy is
            that of the record, and the card says so.
        folder, replace: as for `publish`.

    Returns:
        The card, a dict.

    Raises:
        ValueError: `weights="cifar10"` can't give such a network, such as one with masks; the
            weights are not those of the record, or have another accuracy.

    Example:

        publish_record("runs/20823de11077.json", "runs/weights/20823de11077.weights.h5")
    """
    record = Path(record)
    found = Records(record.parent).read(record)
    setting = Setting(**found["setting"])
    check_publishable(setting)
    weights = Path(weights or record.parent / WEIGHTS / f"{setting.key}.weights.h5")
    model = with_weights(setting, found, weights)
    where = found["environment"]
    about = {
        "model": builder_and_options(setting.network)[0],
        "dataset": setting.dataset,
        "arguments": needed(setting, model),
        "recipe": recipe(setting, found),
        "record": setting.key,
        "recorded_accuracy": last_accuracy(found),
        "hardware": ", ".join(where["accelerators"] or [where["hardware"]["cpu"]["name"]]),
        "versions": where["versions"],
    }
    data = images(setting, data_dir)
    return publish_network(model, about, data, folder, replace, last_accuracy(found))


def check_publishable(setting):
    """Refuse a run whose network no builder gives, or that saw fewer or smaller images."""
    wrong = []
    if setting.method not in ("ssc", "dense"):
        wrong.append(f"method={setting.method!r}")
    if setting.dataset not in CLASSES:
        wrong.append(f"dataset={setting.dataset!r}")
    elif setting.image_size != SIDES[setting.dataset]:
        wrong.append(f"image_size={setting.image_size}")
    if setting.train_images is not None or setting.train_share != 1 or setting.held_out:
        wrong.append("a part of the training images")
    if wrong:
        raise ValueError(
            "`record` must be of SSC, or of the dense network, on all images of CIFAR-10 or "
            f"CIFAR-100 in their size. Received: {', '.join(wrong)}"
        )


def options(setting):
    """Return the builder's options of a setting."""
    return {"sparsity": 0} if setting.method == "dense" else ssc_options(setting)


def with_weights(setting, record, path):
    """Return the network of a setting with the weights of a file; refuse what does not fit."""
    if path.name != f"{setting.key}.weights.h5":
        raise ValueError(
            f"`weights` must be the file {setting.key}.weights.h5 of the record. "
            f"Received: {str(path)!r}"
        )
    if not path.is_file():
        raise ValueError(f"`weights` must be an existing file. Received: {str(path)!r}")
    model = build(setting, CLASSES[setting.dataset], **options(setting))
    live = summary(model).live_weights
    if live != record["live_weights"]:
        raise ValueError(
            f"`record` must be of a network that this version builds, of {live} live weights. "
            f"Received: {record['live_weights']} live weights"
        )
    try:
        model.load_weights(path)
    except Exception as error:  # HDF5 and Keras raise whatever they meet
        raise ValueError(
            f"`weights` must be a weights file of {setting}. Received: {str(path)!r}, which can't "
            f"be loaded: {error}"
        ) from error
    return model


def needed(setting, model):
    """Return the arguments that a user must give for this network, dict: no more than these.

    Args:
        setting: `Setting`.
        model: its network.
    """
    builder, own = builder_and_options(setting.network)
    arguments = own | options(setting)
    arguments.pop("initial_scale", None)  # has no part in a trained network
    for name in sorted(arguments.keys() - {"sparsity", "g", "p"}):
        fewer = {key: value for key, value in arguments.items() if key != name}
        if _same(untrained(builder, setting.dataset, fewer), model):
            arguments = fewer
    # The sparsity, the first that a reader asks for, stands first.
    first = {key: arguments[key] for key in ("sparsity", "g", "p") if key in arguments}
    return first | arguments


def _same(one, other):
    shapes = [[weight.shape for weight in model.weights] for model in (one, other)]
    return shapes[0] == shapes[1] and structure(one) == structure(other)


def recipe(setting, record):
    """Return how a network was trained, for its card."""
    values = {name: getattr(setting, name, MOMENTUM) for name in RECIPE}
    drops = " and ".join(f"{share:.0%}" for share in drop_shares(setting))
    values["schedule"] = f"learning rate x0.1 after {drops} of the steps (GraSP's recipe)"
    loop = record.get("loop", "fit, float32")
    values["precision"] = f"convolutions in {loop.split(', ')[-1]}, weights in float32"
    if setting.method == "ssc":
        values["initial_scale"] = ssc_options(setting)["initial_scale"]
    if setting.regularizer:
        values["regularizer"] = f"{setting.regularizer} {setting.factor:g}"
    return values


def images(setting, data_dir):
    """Return the `Dataset` of a setting; None where no folder is named and none is there."""
    try:
        return datasets.load(setting.dataset, data_dir)
    except (ImportError, FileNotFoundError):
        if data_dir is not None:
            raise
        return None
