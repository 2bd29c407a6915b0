"""Write CIFAR-10 as the NumPy archive of docs/results: `python -m benchmarks.cifar10_archive FOLDER cifar10.npz`.

FOLDER has CIFAR-10's own files, in binary or Python layout, or the same images as `data_batch_1_images.npy.xz`, ...,
`train_labels.npy`. The archive is read as `npz:cifar10.npz`. The command prints the fingerprint of the data as
`--size 12500` limits them. The one in docs/results/predict-cifar10-quicknet is of a version in which it included the
name of the archive; a test compares the two.
"""

import argparse
from pathlib import Path

import numpy as np

import lcjax as lc
from benchmarks.dense_curves import load_cifar10
from lcjax.data import limit_training
from lcjax.data.readers.cifar import read_cifar10

SIZE = 12_500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="Folder of CIFAR-10.")
    parser.add_argument("output", type=Path, help="Archive to write, about 180 MB.")
    options = parser.parse_args()
    folder = options.folder
    if (folder / "train_labels.npy").exists():
        train, test = load_cifar10(folder)
    else:
        train, test = (read_cifar10(folder)[part] for part in ("train", "test"))
    np.savez(options.output, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    data = lc.load_data(f"npz:{options.output}")
    size = min(SIZE, len(data.train.targets))
    print(f"Fingerprint of {data.name} with {size:,} training images: {limit_training(data, size).fingerprint()}")


if __name__ == "__main__":
    main()
