"""Runs on the host: jobs, their outcomes, and the result assembled from all outcomes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int

from lcjax.training.concurrency import Execution
from lcjax.training.program import Columns
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs
from lcjax.typing import ArrayTree, Variables

__all__ = ["Job", "Outcome", "assemble_result"]


@dataclasses.dataclass(frozen=True)
class Job:
    """One run to train."""

    row: int  # of the table
    budget: int  # steps
    columns: Columns  # the row's numbers
    order: int  # row of the orders of which the shard is a prefix
    initial: ArrayTree  # variables to start from; those absent are initialized
    mask: ArrayTree | None  # multiplies the parameters
    keep: bool  # return the variables


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
    validation_wrong: Bool[np.ndarray, " v"]
    wrong: Bool[np.ndarray, " m"]
    variables: Variables | None = None


def assemble_result(
    runs: Runs,
    outcomes: Sequence[Outcome],
    orders: Int[np.ndarray, "r n"],
    order: Int[np.ndarray, " w"],
    executions: tuple[Execution | None, ...],
) -> SweepResult:
    """Stack the outcomes of all runs; a curve's last entry is repeated where another program records more steps."""
    t = max(len(outcome.recorded_step) for outcome in outcomes)

    def curve(name: str, dtype: npt.DTypeLike) -> np.ndarray:
        curves = [getattr(outcome, name) for outcome in outcomes]
        return np.array([[*curve, *[curve[-1]] * (t - len(curve))] for curve in curves], dtype)

    def column(name: str, dtype: npt.DTypeLike) -> np.ndarray:
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
