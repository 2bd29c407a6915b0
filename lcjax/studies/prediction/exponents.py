"""Tests of the exponents that theories predict from the effective dimension."""

import numpy as np
from jaxtyping import Float, Int

from lcjax.records import record
from lcjax.typing import Array

__all__ = ["EXPONENTS", "ExponentTest", "compare_exponents"]

EXPONENTS = {"1/d": 1.0, "2/d": 2.0, "4/d": 4.0}
"""Negated exponents times d: for the distance, its square (footnote 1), and a smooth function's squared residual."""

_LEVEL = 0.9


@record
class ExponentTest:
    """Comparison of the measured exponent with one that is a multiple of 1/d.

    Attributes:
        expected: expected exponent, negative, `()`, from the mean of 1/d.
        statistic: `log(measured / expected)`, `()`.
        low: lower limit of its 90 % interval, `()`, over bootstrap draws of the errors and draws of the dimension.
        high: upper limit, `()`.
        pvalue: two-sided, `()`: twice the smaller share of draws on one side of 0, plus one draw.
    """

    expected: Float[Array, ""]
    statistic: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    pvalue: Float[Array, ""]

    @property
    def verdict(self) -> str:
        """Return "excluded" if 0 is outside the interval, else "not excluded"."""
        return "not excluded" if self.low <= 0 <= self.high else "excluded"


def compare_exponents(
    exponent: Float[Array, ""],
    draws: Float[np.ndarray, " k"],
    width: Int[Array, " b"],
    probability: Float[np.ndarray, " b"],
    rng: np.random.Generator,
) -> dict[str, ExponentTest]:
    """Test every exponent of `EXPONENTS`.

    Args:
        exponent: measured exponent, negative.
        draws: bootstrap draws of the exponent.
        width: possible dimensions.
        probability: probability of each.
        rng: generator that draws dimensions.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> draws = -0.5 * np.exp(0.1 * rng.normal(size=200))
        >>> tests = compare_exponents(np.array(-0.5), draws, np.array([2]), np.ones(1), rng)
        >>> {name: test.verdict for name, test in tests.items()}
        {'1/d': 'not excluded', '2/d': 'excluded', '4/d': 'excluded'}
    """
    width = np.asarray(width, float)
    inverse = float(np.sum(probability / width))
    drawn = np.log(-draws) + np.log(rng.choice(width, len(draws), p=probability / probability.sum()))
    results = {}
    for name, multiple in EXPONENTS.items():
        ratios = drawn - np.log(multiple)
        low, high = np.quantile(ratios, [0.5 - _LEVEL / 2, 0.5 + _LEVEL / 2])
        share = np.mean(ratios > 0)
        statistic = np.log(-float(exponent) / (multiple * inverse))
        pvalue = min(1.0, 2 * min(share, 1 - share) + 1 / len(ratios))
        results[name] = ExponentTest(*map(np.asarray, (-multiple * inverse, statistic, low, high, pvalue)))
    return results
