"""Trainers: functions of a seed and the training examples to use; what they return, and what identifies them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int

from lcjax.studies.collection.trainers.command import Command
from lcjax.studies.collection.trainers.estimator import Estimator
from lcjax.studies.collection.trainers.jax_trainer import JaxTrainer
from lcjax.user_code import hash_value

__all__ = ["Trainer", "check_values", "identify"]

Trainer: TypeAlias = Callable[[int, Int[np.ndarray, " n"]], Mapping[str, Any]]
"""Function of a seed and the numbers of the training examples to use, which returns the value of each metric.

A value is a number, or a mapping with "value", "standard_error" and "count" (of test examples). "classes" and "groups"
are mappings from the name of each part of the test examples to its metrics; "cost" is the cost of the training.
"""


def check_values(values: object) -> dict[str, float]:
    """Return the metrics that a trainer has returned.

    Raises:
        ValueError: it is not a mapping from names to numbers, or there is none.

    Examples:
        >>> check_values({"error": np.float32(0.5)})
        {'error': 0.5}
        >>> check_values({"error": {"value": 0.5, "standard_error": 0.01}, "classes": {"cat": {"error": 0.4}}})
        {'error.value': 0.5, 'error.standard_error': 0.01, 'classes.cat.error': 0.4}
        >>> check_values(0.5)
        Traceback (most recent call last):
        ValueError: A trainer must return its metrics by name, such as {"error": 0.1}, got 0.5.
    """
    if not isinstance(values, Mapping) or not values or not all(isinstance(name, str) for name in values):
        raise ValueError(f'A trainer must return its metrics by name, such as {{"error": 0.1}}, got {values!r}.')
    try:
        return dict(_numbers(values, ""))
    except (TypeError, ValueError):
        raise ValueError(f"The metrics of a trainer must be numbers, got {values!r}.") from None


def _numbers(values: Mapping[str, Any], outer: str) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}", float(np.asarray(value).reshape(()))


def identify(trainer: Trainer | JaxTrainer) -> dict[str, object]:
    """Return what identifies a trainer in another process: its words, its parameters, or its code.

    Examples:
        >>> identify(Command(("train", "{size}")))
        {'command': ['train', '{size}']}
    """
    if isinstance(trainer, Command):
        read = {} if trainer.metrics_from is None else {"metrics_from": trainer.metrics_from}
        return {"command": list(trainer.words), **read}
    if isinstance(trainer, JaxTrainer):
        return trainer.identity()
    if isinstance(trainer, Estimator):
        one = trainer.estimator
        parameters = one.get_params() if hasattr(one, "get_params") else vars(one)
        kind = f"{type(one).__module__}.{type(one).__qualname__}"
        return {
            "estimator": kind,
            "parameters": {name: _describe(value) for name, value in sorted(parameters.items())},
            "scoring": list(trainer.scoring),
            "data": trainer.data.fingerprint(),
        }
    return {"function": getattr(trainer, "__qualname__", type(trainer).__qualname__), "code": hash_value(trainer)}


def _describe(value: object) -> object:
    """Return a plain parameter as it is, and another one, whose text may have an address in it, by its hash."""
    return value if value is None or isinstance(value, bool | int | float | str) else hash_value(value)
