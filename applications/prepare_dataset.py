"""Turn images on this machine into a set that `tfds.load(name, data_dir=...)` reads.

    python applications/prepare_dataset.py --dataset cifar10 --images FOLDER --data-dir FOLDER

FOLDER of images: sheets `train_00.webp` ... of 25 x 40 tiles with `train_labels.npy`, or
`train/<class>/*.png`; the same for `test`. Of tiny_imagenet: the folder tiny-imagenet-200 as it is
unpacked; of imagenet2012, or a part of it: `train/<WordNet id>/*.JPEG` and `val/<WordNet id>/...`;
or of both a folder with one .npz file.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    """Read the arguments, prepare the set, say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = ["cifar10", "cifar100", "tiny_imagenet", "imagenet2012"]
    parser.add_argument("--dataset", required=True, choices=names)
    parser.add_argument("--images", required=True, help="folder with the images")
    parser.add_argument("--data-dir", required=True, help="folder for tensorflow-datasets")
    parser.add_argument("--limit", type=int, help="at most so many images a split")
    parser.add_argument("--overwrite", action="store_true", help="replace a prepared set")
    arguments = parser.parse_args()
    try:
        from keras_ssc.datasets.local_images import prepare

        place = prepare(**vars(arguments))
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"prepare_dataset: {error}")
    print(
        f"{arguments.dataset} is ready: tfds.load({arguments.dataset!r}, data_dir=...) in {place}"
    )


if __name__ == "__main__":
    main()
