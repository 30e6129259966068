"""Turn images on this machine into a set that `tfds.load(name, data_dir=...)` reads.

    python applications/prepare_dataset.py --dataset cifar10 --images FOLDER --data-dir FOLDER

FOLDER of images: sheets `train_00.webp` ... of 25 x 40 tiles with `train_labels.npy`, or
`train/<class>/*.png`; the same for `test`. Of tiny_imagenet: the folder tiny-imagenet-200 as it is
unpacked; of imagenet2012, or a part of it: `train/<WordNet id>/*.JPEG` and `val/<WordNet id>/...`;
or of both a folder with one .npz file.

    python applications/prepare_dataset.py --dataset cifar10 --download --data-dir FOLDER

fetches CIFAR-10 or CIFAR-100 from the internet, by `keras.datasets`, and packs it there.
"""

import argparse
import os

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    """Read the arguments, prepare the set, print where it is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = ["cifar10", "cifar100", "tiny_imagenet", "imagenet2012"]
    parser.add_argument("--dataset", required=True, choices=names)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", help="folder with the images")
    source.add_argument("--download", action="store_true", help="CIFAR, from the internet")
    parser.add_argument("--data-dir", required=True, help="folder for tensorflow-datasets")
    parser.add_argument("--limit", type=int, help="at most this many images a split")
    parser.add_argument("--overwrite", action="store_true", help="replace a prepared set")
    arguments = parser.parse_args()
    chosen = vars(arguments)
    download = chosen.pop("download")
    if download and not arguments.dataset.startswith("cifar"):
        parser.error("--download is for cifar10 and cifar100")
    if download and (arguments.limit is not None or arguments.overwrite):
        parser.error("--limit and --overwrite go with --images")
    try:
        from keras_ssc.datasets.cifar import download_cifar
        from keras_ssc.datasets.prepare.cifar import prepare

        if download:
            download_cifar(arguments.dataset, arguments.data_dir)
        else:
            place = prepare(**chosen)
    except (ImportError, OSError, ValueError) as error:
        stop(error)
    name, folder = arguments.dataset, arguments.data_dir
    if download:
        print(f"{name} is ready: keras_ssc.datasets.load({name!r}, {folder!r})")
    else:
        print(f"{name} is ready: tfds.load({name!r}, data_dir=...) in {place}")


if __name__ == "__main__":
    run(main)
