"""A recorded drive: camera images and steering commands."""

import csv
import lzma
from pathlib import Path

import jax
import numpy as np

from lcjax.data.subsets import contiguous_blocks, random_order

__all__ = ["read_driving_folder"]

PERIODS = 6
GAP = 13


def read_driving_folder(
    folder: str | Path, *, seed: int, validation_fraction: float, test_fraction: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read a drive, split it into unbroken stretches, and balance it.

    The folder holds `center_images.npy.xz`, images `(n, 22, 66, 3)` uint8 in time order, and `driving_log.csv`, whose
    column `steering` is in [-1, 1].

    Bisla et al. (2021, section 4) subsample straight driving "to balance the data" and give no split. Ours: the drive
    is cut into 6 periods, and each gives one stretch to training, validation and test, in an order drawn from the seed,
    with 13 frames (a second) dropped between stretches; within each split, frames with a steering of exactly 0 are
    then dropped at random until there are no more of them than the mean of left and right turns: about a third each.

    Args:
        folder: where the two files lie.
        seed: of the split and of the subsampling.
        validation_fraction: share of the drive left after the test part that goes to validation, in (0, 1).
        test_fraction: share of the drive that goes to the test part, in (0, 1).

    Returns:
        "train", "validation", "test": images `(n, 22, 66, 3)` uint8 and steering `(n,)` float32, in time order.

    Raises:
        FileNotFoundError: the folder or one of the files is missing.
        ValueError: a file is unreadable, or the two have different lengths.

    Examples:
        >>> read_driving_folder("/no/such/folder", seed=0, validation_fraction=0.2, test_fraction=0.2)
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/folder/center_images.npy.xz.
    """
    images_path, log_path = Path(folder, "center_images.npy.xz"), Path(folder, "driving_log.csv")
    for path in (images_path, log_path):
        if not path.is_file():
            raise FileNotFoundError(f"No file {path}.")
    try:
        with lzma.open(images_path) as file:
            images = np.load(file, allow_pickle=False)
    except (lzma.LZMAError, EOFError, ValueError) as error:
        raise ValueError(f"{images_path} is truncated or unreadable: {error}.") from None
    try:
        with log_path.open(newline="") as log:
            steering = np.array([float(row["steering"]) for row in csv.DictReader(log)], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{log_path} has no column of numbers named steering: {error}.") from None
    if len(images) != len(steering):
        raise ValueError(f"{folder} has {len(images)} images and {len(steering)} steering commands.")

    key = jax.random.key(seed)
    held_out = (1 - test_fraction) * validation_fraction
    fractions = (1 - test_fraction - held_out, held_out, test_fraction)
    blocks = contiguous_blocks(jax.random.fold_in(key, 0), len(steering), fractions, periods=PERIODS, gap=GAP)
    splits = {}
    for number, (split, index) in enumerate(zip(("train", "validation", "test"), blocks, strict=True)):
        index = _balance(jax.random.fold_in(key, 1 + number), steering, index)
        splits[split] = (images[index], steering[index])
    return splits


def _balance(key: jax.Array, steering: np.ndarray, index: np.ndarray) -> np.ndarray:
    straight, turning = index[steering[index] == 0], index[steering[index] != 0]
    kept = straight[random_order(key, straight.size)][: round(turning.size / 2)]
    return np.sort(np.concatenate([turning, kept]))
