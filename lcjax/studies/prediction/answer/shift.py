"""Shift between the errors on two splits, such as validation and test."""

import numpy as np
from jaxtyping import Float

from lcjax.records import record
from lcjax.typing import Array

__all__ = ["Shift", "measure_shift"]


@record
class Shift:
    """Log ratio of test to validation error.

    Two splits of one population differ only by chance, because their examples differ. The mean over sizes is weighted
    by inverse variances.

    Attributes:
        value: mean `log(test error / validation error)`, `()`.
        standard_error: of `value`, `()`, by a joint bootstrap over seeds, validation and test examples.
        size: numbers of training examples, `(s,)`.
        by_size: `log(test error / validation error)` at each size, `(s,)`.
        by_size_error: standard errors of `by_size`, `(s,)`.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    size: Float[Array, " s"]
    by_size: Float[Array, " s"]
    by_size_error: Float[Array, " s"]


def measure_shift(
    size: Float[Array, " s"],
    validation: Float[np.ndarray, " s"],
    test: Float[np.ndarray, " s"],
    validation_draws: Float[np.ndarray, "k s"],
    test_draws: Float[np.ndarray, "k s"],
) -> tuple[Shift, Float[np.ndarray, " k"]]:
    """Estimate the shift from all sizes, and return it with one draw for each pair of bootstrap draws.

    Args:
        size: numbers of training examples.
        validation: log errors on the validation split.
        test: log errors of the same networks on the test split.
        validation_draws: bootstrap draws of the log validation errors.
        test_draws: draws of the log test errors, with the same seeds as `validation_draws`.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> noise = [0.1 * rng.normal(size=(100, 1)) for _ in range(2)]
        >>> shift, _ = measure_shift(np.array([10.0]), np.zeros(1), np.full(1, 0.2), *noise)
        >>> print(f"{shift.value:.2f} {shift.standard_error:.2f}")
        0.20 0.13
    """
    draws = test_draws - validation_draws
    error = np.maximum(draws.std(axis=0, ddof=1), 1e-6)
    weight = error**-2 / np.sum(error**-2)
    by_size = test - validation
    value, spread = np.asarray(weight @ by_size), draws @ weight
    # Draws are centered, because a bootstrap of logarithms is biased where there are few mistakes.
    spread = spread - spread.mean()
    record_ = Shift(value, np.asarray(spread.std(ddof=1)), np.asarray(size, float), by_size, error)
    return record_, value + spread
