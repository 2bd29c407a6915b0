"""A recorded drive: camera images and steering commands."""

import csv
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.data.examples import SPLITS, Pair
from lcjax.data.readers.files import parse_number, read_array, read_lines
from lcjax.data.subsets import HoldOut, contiguous_blocks, random_order
from lcjax.files import reading, require_file
from lcjax.typing import KeyArray, PathLike

__all__ = ["read_driving_folder"]

PERIODS = 6
GAP = 13


def read_driving_folder(folder: PathLike, hold_out: HoldOut) -> dict[str, Pair]:
    """Read a drive, split it into contiguous stretches, and balance it.

    The folder holds `center_images.npy.xz`, images `(n, 22, 66, 3)` uint8 in time order, and `driving_log.csv`, whose
    column `steering` is in [-1, 1].

    Bisla et al. (2021, section 4) subsample straight driving "to balance the data" and do not describe the split. Ours:
    the drive is cut into 6 periods, and each period contributes one stretch to training, validation and test, in an
    order drawn from the seed, with 13 frames (one second) dropped between stretches. Within each split, frames with a
    steering of exactly 0 are then dropped at random until they are no more than half of the turning frames: about a
    third each of straight driving, left turns and right turns.

    Args:
        folder: folder of the two files.
        hold_out: seed of the split and of the subsampling, and shares of the drive to hold out.

    Returns:
        "train", "validation", "test": images `(n, 22, 66, 3)` uint8 and steering `(n,)` float32, in time order.

    Raises:
        FileNotFoundError: the folder or one of the files is missing.
        ValueError: a file is unreadable or takes more memory than allowed, the images are not an array with four axes,
            a steering command is not in [-1, 1], or the two files have different lengths.

    Examples:
        >>> read_driving_folder("/no/such/folder", HoldOut())
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/folder/center_images.npy.xz.
    """
    images_path, log_path = (require_file(Path(folder, name)) for name in ("center_images.npy.xz", "driving_log.csv"))
    images = read_array(images_path)
    if images.ndim != 4 or images.dtype.kind not in "ui":
        raise ValueError(
            f"{images_path} must hold images (n, height, width, channels) of integers, got {images.dtype} of shape "
            f"{images.shape}."
        )
    steering = _read_steering(log_path)
    if len(images) != len(steering):
        raise ValueError(f"{folder} has {len(images)} images and {len(steering)} steering commands.")
    key = jax.random.key(hold_out.seed)
    validation = (1 - hold_out.test_fraction) * hold_out.validation_fraction
    fractions = (1 - hold_out.test_fraction - validation, validation, hold_out.test_fraction)
    blocks = contiguous_blocks(jax.random.fold_in(key, 0), len(steering), fractions, periods=PERIODS, gap=GAP)
    splits = {}
    for number, (split, block) in enumerate(zip(SPLITS, blocks, strict=True)):
        index = _balance(jax.random.fold_in(key, 1 + number), steering, block)
        splits[split] = (images[index], steering[index])
    return splits


def _read_steering(path: Path) -> Float[np.ndarray, " n"]:
    rows = csv.DictReader(read_lines(path))
    values = []
    with reading(path):
        if "steering" not in (rows.fieldnames or ()):
            raise ValueError(f"{path} has no column steering; its columns are {', '.join(rows.fieldnames or ())}.")
        for row in rows:
            try:
                values.append(parse_number(row["steering"] or ""))
            except ValueError as error:
                raise ValueError(f"{path}, line {rows.line_num}: steering {error}.") from None
            if not -1 <= values[-1] <= 1:
                raise ValueError(f"{path}, line {rows.line_num}: steering {values[-1]:g} is not in [-1, 1].")
    return np.array(values, np.float32)


def _balance(key: KeyArray, steering: Float[np.ndarray, " n"], index: Int[np.ndarray, " m"]) -> Int[np.ndarray, " b"]:
    straight, turning = index[steering[index] == 0], index[steering[index] != 0]
    sample = straight[random_order(key, straight.size)][: round(turning.size / 2)]
    return np.sort(np.concatenate([turning, sample]))
