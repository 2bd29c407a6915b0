"""Copy the study's data compactly: `python -m benchmarks.prediction_sets.pack DATA_FOLDER TARGET`.

The files of MNIST, a9a, w8a, dna, connect-4 and driving are copied unchanged. Of CIFAR-10 only the first training and
test images are copied, by default as many as the study uses. The layout is the same, except that
`data_batch_1_images.npy.xz` contains all copied training images. The study gives the same results with the copy.
"""

import argparse
import io
import lzma
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.prediction_sets.sets import CIFAR_TEST, CIFAR_TRAIN, read_cifar10
from lcjax.files import atomic_path

__all__ = ["LIMIT", "pack", "write_images"]

LIMIT = 58_000_000
"""Largest size of the copy in bytes."""

FOLDERS = ("mnist", "a9a", "w8a", "dna", "connect4", "driving")

# Differences between channels, neighboring pixels and rows of 32 pixels with 3 bytes each.
FILTERS = [
    *({"id": lzma.FILTER_DELTA, "dist": distance} for distance in (1, 3, 96)),
    {"id": lzma.FILTER_LZMA2, "preset": 9},
]


def write_images(path: Path, images: np.ndarray) -> None:
    """Write images of CIFAR-10 as a NumPy array compressed by xz."""
    buffer = io.BytesIO()
    np.save(buffer, images)
    with atomic_path(path) as temporary:
        temporary.write_bytes(lzma.compress(buffer.getvalue(), lzma.FORMAT_XZ, filters=FILTERS))


def pack(source: Path, target: Path, *, train: int = CIFAR_TRAIN, test: int = CIFAR_TEST) -> dict[str, int]:
    """Copy the data, and return the size of every copied folder in bytes.

    Args:
        source: folder of the data sets.
        target: folder of the copy, created if it does not exist.
        train: number of training images of CIFAR-10.
        test: number of its test images.
    """
    for name in FOLDERS:
        for path in sorted((source / name).glob("*")):
            (target / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name / path.name)
    if (source / "cifar10").is_dir():
        splits = read_cifar10(source / "cifar10", train, test)
        for (images, labels), batch, split in zip(
            splits, ("data_batch_1", "test_batch"), ("train", "test"), strict=True
        ):
            write_images(target / "cifar10" / f"{batch}_images.npy.xz", images)
            np.save(target / "cifar10" / f"{split}_labels.npy", labels.astype(np.uint8))
    folders = [target / name for name in (*FOLDERS, "cifar10") if (target / name).is_dir()]
    return {folder.name: sum(path.stat().st_size for path in folder.iterdir()) for folder in folders}


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy the data and print the sizes of the folders.

    Raises:
        SystemExit: the copy is larger than `LIMIT`.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="DATA_FOLDER", help="folder of the data sets")
    parser.add_argument("target", type=Path, metavar="TARGET", help="folder of the copy")
    parser.add_argument("--train", type=int, default=CIFAR_TRAIN, help="training images of CIFAR-10 [%(default)s]")
    parser.add_argument("--test", type=int, default=CIFAR_TEST, help="test images of CIFAR-10 [%(default)s]")
    options = parser.parse_args(arguments)
    size = pack(options.source, options.target, train=options.train, test=options.test)
    for name, count in size.items():
        print(f"{name:10} {count / 1e6:6.2f} MB")
    total = sum(size.values())
    print(f"{'total':10} {total / 1e6:6.2f} MB")
    if total > LIMIT:
        raise SystemExit(f"The copy exceeds {LIMIT / 1e6:.0f} MB: use fewer images (--train, --test).")


if __name__ == "__main__":
    main()
