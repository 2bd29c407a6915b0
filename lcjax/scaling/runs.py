"""A table of training runs: parameters, tokens, compute and loss, checked, with budgets grouped."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.records import record
from lcjax.typing import Array

__all__ = ["FLOPS", "Budgets", "check_runs", "group_budgets", "training_compute"]

FLOPS = 6.0
"""Floating-point operations per parameter and token of a transformer's training (Kaplan et al., 2020, section 2.1)."""

TOLERANCE = 0.05


@record
class Budgets:
    """Runs grouped by compute.

    Attributes:
        compute: geometric mean compute of each group, ascending, `(g,)`.
        index: group of each run, `(n,)`.
    """

    compute: Float[np.ndarray, " g"]
    index: Int[np.ndarray, " n"]

    @property
    def count(self) -> Int[np.ndarray, " g"]:
        """Runs of each group, `(g,)`."""
        return np.bincount(self.index, minlength=len(self.compute))


def training_compute(params: Num[Array, "*b"], tokens: Num[Array, "*b"]) -> Float[np.ndarray, "*b"]:
    """Return `6 * params * tokens`, the operations of a transformer's training (Kaplan et al., 2020).

    Examples:
        >>> float(training_compute(np.array(1e9), np.array(2e10)))
        1.2e+20
    """
    return np.asarray(FLOPS * np.asarray(params, float) * np.asarray(tokens, float))


def group_budgets(compute: Num[Array, " n"], *, tolerance: float = TOLERANCE) -> Budgets:
    """Group runs whose compute is nearly the same.

    Runs in ascending order belong together while each is within the tolerance of the group's first one.

    Args:
        compute: compute of each run, positive, `(n,)`.
        tolerance: largest relative difference within a group.

    Examples:
        >>> group_budgets(np.array([1.0, 10.0, 1.02, 9.9])).compute.round(3)
        array([1.01, 9.95])
    """
    values = np.asarray(compute, float)
    group = np.zeros(len(values), int)
    first, number = np.nan, -1
    for row in np.argsort(values, kind="stable"):
        if not values[row] <= first * (1 + tolerance):
            first, number = values[row], number + 1
        group[row] = number
    mean = np.exp(np.bincount(group, np.log(values)) / np.bincount(group)) if len(values) else np.zeros(0)
    return Budgets(mean, group)


def check_runs(columns: Mapping[str, Num[Array, " n"]], *, positive_loss: bool = True) -> None:
    """Check the columns of a table of runs.

    Args:
        columns: "loss" and the variables of a law, `(n,)` each.
        positive_loss: True where the logarithm of the loss is fitted.

    Raises:
        ValueError: lengths differ, there are no runs, or a value is not finite, or not positive where it must be.

    Examples:
        >>> check_runs({"params": np.array([1e6, 1e7]), "loss": np.array([2.0, 0.0])})
        Traceback (most recent call last):
        ValueError: loss must be positive and finite, got 0 in row 1: leave that run out.
    """
    lengths = {name: np.shape(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1 or len(next(iter(lengths.values()))) != 1:
        raise ValueError(
            "The columns of runs have one length, (n,), got "
            + ", ".join(f"{name} {shape}" for name, shape in lengths.items())
            + "."
        )
    for name, values in columns.items():
        array = np.asarray(values, float)
        is_positive = name != "loss" or positive_loss
        bad = np.flatnonzero(~np.isfinite(array) | (is_positive & (array <= 0)))
        if bad.size:
            wanted = "positive and finite" if is_positive else "finite"
            more = f" and {bad.size - 1} more" if bad.size > 1 else ""
            raise ValueError(
                f"{name} must be {wanted}, got {array[bad[0]]:g} in row {bad[0]}{more}: "
                f"leave {'these runs' if more else 'that run'} out."
            )
