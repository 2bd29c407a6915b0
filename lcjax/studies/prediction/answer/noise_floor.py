"""Floor of the error from the labels of nearest neighbours among the training examples."""

import numpy as np

from lcjax.curves.floors.error_floor import ErrorFloor
from lcjax.curves.floors.neighbor_noise import NEIGHBORS, neighbor_noise_floor
from lcjax.data.examples import Data
from lcjax.data.streamed import fetch_rows

__all__ = ["label_noise_floor"]

LARGEST = 4096  # examples that are searched for neighbours


def label_noise_floor(data: Data, rng: np.random.Generator) -> ErrorFloor | None:
    """Return an interval for the floor that label noise sets, from the inputs and labels of training examples.

    The floor is that of `lcjax.curves.floors.neighbor_noise`, from at most 4,096 random examples. In many dimensions
    neighbours are far, and the interval reaches from 0 to the error of the nearest-neighbour rule.

    Args:
        data: the task.
        rng: generator of the choice.

    Returns:
        The floor, or None without classes, with inputs of several arrays, or with fewer than 64 examples.
    """
    n = len(data.train.targets)
    if not data.classes or np.ndim(data.train.targets) != 1 or isinstance(data.train.inputs, dict) or n < 2 * NEIGHBORS:
        return None
    rows = np.sort(rng.choice(n, size=min(n, LARGEST), replace=False))
    inputs = np.asarray(fetch_rows(data.train.inputs, rows), np.float32)
    points = ((inputs - np.asarray(data.offset)) * np.asarray(data.scale)).reshape(len(rows), -1)
    labels = np.asarray(data.train.targets)[rows]
    return neighbor_noise_floor(points.astype(np.float32), labels, classes=data.classes)
