"""What became of one run, before the rows are put together."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lcjax.training.execution.execution import Execution
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs

__all__ = ["Outcome", "result_of"]


@dataclasses.dataclass
class Outcome:
    """One row of a `SweepResult`; the curves have one entry for each recorded step."""

    status: int
    steps: int
    recorded_step: list[int]
    train_loss: list[float]
    train_error: list[float]
    validation_loss: list[float]
    validation_error: list[float]
    test_loss: float
    test_error: float
    validation_wrong: np.ndarray
    wrong: np.ndarray
    variables: Any = None


def result_of(
    runs: Runs,
    outcomes: Sequence[Outcome],
    orders: np.ndarray,
    order: np.ndarray,
    executions: tuple[Execution | None, ...],
) -> SweepResult:
    """The rows put together."""
    t = max(len(outcome.recorded_step) for outcome in outcomes)

    def curve(name: str, dtype: Any) -> np.ndarray:
        """The last entry repeated where a program records fewer steps than another."""
        curves = [getattr(outcome, name) for outcome in outcomes]
        return np.array([[*curve, *[curve[-1]] * (t - len(curve))] for curve in curves], dtype)

    def column(name: str, dtype: Any) -> np.ndarray:
        return np.stack([np.asarray(getattr(outcome, name), dtype) for outcome in outcomes])

    return SweepResult(
        runs=runs,
        status=column("status", np.int32),
        steps=column("steps", np.int32),
        recorded_step=curve("recorded_step", np.int32),
        train_loss=curve("train_loss", np.float32),
        train_error=curve("train_error", np.float32),
        validation_loss=curve("validation_loss", np.float32),
        validation_error=curve("validation_error", np.float32),
        test_loss=column("test_loss", np.float32),
        test_error=column("test_error", float),
        wrong=column("wrong", bool),
        validation_wrong=column("validation_wrong", bool),
        params=tuple(outcome.variables for outcome in outcomes),
        orders=orders,
        order=order,
        executions=executions,
    )
