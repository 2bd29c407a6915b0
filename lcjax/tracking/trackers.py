"""Experiment trackers by address, as in the option `--track`."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from lcjax.tracking.mlflow import log_to_mlflow
from lcjax.tracking.scalars import TrackedResult
from lcjax.tracking.tensorboard import log_to_tensorboard

__all__ = ["Tracker", "find_tracker"]

Tracker: TypeAlias = Callable[[TrackedResult], object]


def find_tracker(address: str) -> Tracker:
    """Return the function that stores results at an address.

    Args:
        address: "mlflow:URI", such as "mlflow:sqlite:///runs.db", "mlflow:" for `$MLFLOW_TRACKING_URI`, or
            "tensorboard:DIR".

    Raises:
        ValueError: the address has another form, or the tracker is not installed.

    Examples:
        >>> find_tracker("wandb:project")
        Traceback (most recent call last):
        ValueError: A tracker is mlflow:URI or tensorboard:DIR, got 'wandb:project'.
    """
    kind, colon, place = address.partition(":")
    if not colon or kind not in ("mlflow", "tensorboard") or (kind == "tensorboard" and not place):
        raise ValueError(f"A tracker is mlflow:URI or tensorboard:DIR, got {address!r}.")
    if importlib.util.find_spec(kind) is None:
        raise ValueError(f"{kind} is not installed, which {address!r} needs: pip install {kind}.")
    if kind == "mlflow":
        return partial(log_to_mlflow, address=place)
    return partial(log_to_tensorboard, folder=place)
