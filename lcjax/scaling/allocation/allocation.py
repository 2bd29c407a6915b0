"""Division of a budget of compute between parameters and tokens, with intervals and the reasons to doubt it."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.records import record
from lcjax.typing import Array

__all__ = ["FARTHEST", "Allocation", "check_compute", "check_level", "draw_interval", "is_near"]

FARTHEST = 3.0  # decades beyond the largest compute of the runs at which an allocation is refused


@record
class Allocation:
    """Parameters and tokens that minimize the loss for budgets of compute.

    Attributes:
        compute: budgets, `(*c,)`.
        params: optimal parameters, `(*c,)`.
        tokens: optimal tokens, `(*c,)`.
        params_exponent: exponent of the params in compute at this budget, `(*c,)`; nan where it is not defined.
        tokens_exponent: exponent of the tokens, `(*c,)`.
        decades: decades by which the budget exceeds the largest compute of the runs, `(*c,)`; negative within them.
        told: False where the allocation is refused, `(*c,)`.
        loss: loss at the optimum, `(*c,)`; None if the approach does not model it.
        intervals: lower and upper limits, `(2, *c)`, of each of the numbers above and of "tokens_per_param"; infinite
            where the allocation is refused; None without bootstrap draws.
        refused: reasons not to rely on the allocation, with the budget where it matters.
    """

    compute: Float[np.ndarray, "*c"]
    params: Float[np.ndarray, "*c"]
    tokens: Float[np.ndarray, "*c"]
    params_exponent: Float[np.ndarray, "*c"]
    tokens_exponent: Float[np.ndarray, "*c"]
    decades: Float[np.ndarray, "*c"]
    told: Bool[np.ndarray, "*c"]
    loss: Float[np.ndarray, "*c"] | None = None
    intervals: Mapping[str, Float[np.ndarray, "2 *c"]] | None = None
    refused: tuple[str, ...] = jax.tree.static(default=())

    @property
    def tokens_per_param(self) -> Float[np.ndarray, "*c"]:
        """Optimal tokens for each parameter, `(*c,)`."""
        return np.asarray(self.tokens / self.params)

    def headline(self) -> str:
        """Return the allocation of the largest budget that is not refused as a sentence, or the reasons if all are."""
        row = np.unravel_index(np.argmax(np.where(self.told, self.compute, 0)), np.shape(self.compute))
        if not self.told[row]:
            return f"The allocation is refused: {'; '.join(self.refused)}."
        ratio = self.tokens_per_param[row]
        text = (
            f"At compute {self.compute[row]:.3g} the loss is least with {self.params[row]:.3g} parameters and "
            f"{self.tokens[row]:.3g} tokens, {ratio:.3g} tokens per parameter"
        )
        if self.intervals is not None:
            low, high = (limit[row] for limit in self.intervals["params"])
            text += f" (parameters from {low:.3g} to {high:.3g})"
        return f"{text}."


def check_compute(compute: Num[Array, "*c"] | float) -> Float[np.ndarray, "*c"]:
    """Return budgets as an array, `()` or `(c,)`.

    Raises:
        ValueError: a budget is not positive and finite, or there are several axes.
    """
    budgets = np.asarray(compute, float)
    if budgets.ndim > 1 or not budgets.size:
        raise ValueError(f"compute is one budget or an array (c,), got shape {budgets.shape}.")
    bad = budgets[~(np.isfinite(budgets) & (budgets > 0))]
    if bad.size:
        raise ValueError(f"compute must be positive and finite, got {bad[0]:g}.")
    return budgets


def check_level(level: float) -> None:
    """Raise ValueError unless the level of an interval lies between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, got {level}.")


def draw_interval(
    draws: Float[np.ndarray, "k *c"], level: float, *, lowest: float = -np.inf
) -> Float[np.ndarray, "2 *c"]:
    """Return the central interval of draws.

    A draw of nan has failed: it may lie anywhere, so that more of them than a tail holds leave the interval open.

    Args:
        draws: draws along the first axis.
        level: probability of the interval.
        lowest: lower limit of an open interval.

    Examples:
        >>> draw_interval(np.arange(101.0), 0.9).tolist(), draw_interval(np.array([1.0, np.nan]), 0.9).tolist()
        ([5.0, 95.0], [-inf, inf])
    """
    tail = 0.5 - level / 2
    low = np.quantile(np.where(np.isnan(draws), lowest, draws), tail, axis=0, method="inverted_cdf")
    high = np.quantile(np.where(np.isnan(draws), np.inf, draws), 1 - tail, axis=0, method="inverted_cdf")
    return np.stack([low, high])


def is_near(decades: Float[np.ndarray, "*c"]) -> Bool[np.ndarray, "*c"]:
    """Return True for budgets at most three decades beyond the runs, up to rounding.

    Examples:
        >>> is_near(np.array([2.9, 3.0, 3.1])).tolist()
        [True, True, False]
    """
    return np.asarray(decades <= FARTHEST + 1e-6)
