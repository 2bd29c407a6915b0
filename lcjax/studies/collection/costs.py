"""Costs of trainings: limits such as "2h" or "5000 examples", what was spent, and a prediction by size."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Num

from lcjax.studies.collection.measurements import Training
from lcjax.typing import Array

__all__ = ["CostLimit", "Price", "parse_limit", "predict_cost"]

Price: TypeAlias = Callable[[Num[Array, "..."]], Float[np.ndarray, "..."]]  # size -> cost of one training

_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LIMIT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*", re.ASCII)
_EXPONENTS = (1.0, 1.5, 2.0, 3.0)  # of the size, in the seconds of a training
_CLOSE = 0.9  # a larger exponent must reduce the squared residuals to this factor


@dataclasses.dataclass(frozen=True)
class CostLimit:
    """Largest cost of all trainings of a collection together.

    Attributes:
        amount: the limit.
        unit: "seconds" of all trainings, as if one ran after the other; "trainings"; "examples", summed over trainings;
            or "cost", which trainings report as a metric of that name, or which is proportional to the size.
        per_example: cost of one training example, for "cost"; None for what trainings report.
    """

    amount: float
    unit: str = "seconds"
    per_example: float | None = None

    def cost(self, training: Training) -> float:
        """Return the cost of one training.

        Raises:
            ValueError: the training reports no cost, and there is none per example.
        """
        if self.unit == "cost" and self.per_example is None:
            if not math.isfinite(training.values.get("cost", math.nan)):
                raise ValueError(
                    f"A limit of {self.amount:g} without a unit is a cost, but the trainings report no metric "
                    "named cost: give a cost per example, or a unit, such as 2h, 50 trainings or 5000 examples."
                )
            return training.values["cost"]
        known = {"seconds": training.seconds, "trainings": 1.0, "examples": float(training.size)}
        return known.get(self.unit, (self.per_example or 0.0) * training.size)

    @property
    def is_exact(self) -> bool:
        """True if the cost of a training is known before it runs."""
        return self.unit in ("trainings", "examples") or (self.unit == "cost" and self.per_example is not None)

    def spent(self, trainings: Iterable[Training]) -> float:
        """Return the cost of trainings together."""
        return sum(self.cost(one) for one in trainings)

    def __str__(self) -> str:
        return f"{self.amount:g}" + ("" if self.unit == "cost" else f" {self.unit}")


def parse_limit(text: str | float, per_example: float | None = None) -> CostLimit:
    """Parse a limit: a time, such as "2h", "30m" or "90s", a number with "trainings" or "examples", or a cost.

    Args:
        text: the limit; a number that is not a text is a time in seconds.
        per_example: cost of one training example, for a cost.

    Raises:
        ValueError: the text is none of these, or not positive.

    Examples:
        >>> parse_limit("1.5h"), parse_limit("40 trainings")
        (CostLimit(amount=5400.0, unit='seconds', per_example=None), CostLimit(amount=40.0, unit='trainings', ...))
        >>> str(parse_limit("300", 0.02))
        '300'
    """
    if not isinstance(text, str):
        text = f"{text:g}s"
    match = _LIMIT.fullmatch(text)
    amount, unit = (float(match[1]), match[2].lower()) if match else (0.0, "")
    if match is None or not 0 < amount < math.inf or unit not in (*_SECONDS, "trainings", "examples", ""):
        raise ValueError(
            f"A budget is a time (2h, 30m, 90s), 40 trainings, 5000 examples, or a cost, got {text[:80]!r}."
        )
    if unit in _SECONDS:
        return CostLimit(amount * _SECONDS[unit])
    return CostLimit(amount, unit or "cost", None if unit else per_example)


def predict_cost(limit: CostLimit, trainings: Iterable[Training]) -> Price | None:
    """Return the cost of a training by its size, fitted to trainings where it is not known exactly.

        cost = a + b size ** p,    a, b >= 0,  p in {1, 1.5, 2, 3}

    Relative residuals have equal weight; p is 1 unless a larger one fits better. It is None if nothing is known.

    Args:
        limit: the limit, for its unit.
        trainings: those that have ended.

    Examples:
        >>> rows = [Training(n, 0, {"error": 0.1}, 2 + 0.001 * n) for n in (100, 1000)]
        >>> predict_cost(parse_limit("2h"), rows)(np.array([10000])).round(3).tolist()
        [12.0]
    """
    from scipy.optimize import nnls

    if limit.is_exact:
        each, per_example = {"trainings": (1.0, 0.0), "examples": (0.0, 1.0)}.get(limit.unit, (0.0, limit.per_example))
        return lambda size: each + per_example * np.asarray(size, float)
    rows = list(trainings)
    if not rows:
        return None
    size = np.array([one.size for one in rows], float)
    cost = np.maximum([limit.cost(one) for one in rows], 1e-9)
    best = (np.inf, 1.0, np.array([1.0, 0.0]))
    for exponent in _EXPONENTS:
        scaled = (size / size.max()) ** exponent
        weights, residual = nnls(np.stack([1 / cost, scaled / cost], axis=1), np.ones(len(rows)))
        if residual**2 < best[0] * _CLOSE:
            best = residual**2, exponent, weights
    _, exponent, (constant, factor) = best
    largest = size.max()
    return lambda size: np.asarray(constant + factor * (np.asarray(size, float) / largest) ** exponent)
