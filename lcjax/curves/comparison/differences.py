"""Differences of the errors of several curves, from joint draws."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.comparison.joint_curves import JointCurves
from lcjax.curves.metrics import Metric
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["Difference", "DifferenceAnswers", "metric_difference"]


@record
class Difference:
    """Difference of the errors of c curves from those of the baseline.

    Attributes:
        size: numbers of training examples, `(s,)`.
        value: median of the error minus that of the baseline, `(c, s)`; negative for a better curve.
        low: lower limit of the interval, `(c, s)`.
        high: upper limit, `(c, s)`.
        level: probability of the interval.
    """

    size: Float[np.ndarray, " s"]
    value: Float[np.ndarray, "c s"]
    low: Float[np.ndarray, "c s"]
    high: Float[np.ndarray, "c s"]
    level: float = jax.tree.static(default=0.9)


class DifferenceAnswers(JointCurves):
    """Differences of the curves from the baseline."""

    def difference(self, size: Num[Array, " s"] | Sequence[float]) -> Difference:
        """Return the difference of each error from that of the baseline, with intervals.

        Args:
            size: numbers of training examples, `(s,)`.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        errors = self.draws(size)
        apart = [(one - errors[self.baseline])[self._rows(i, self.baseline)] for i, one in enumerate(errors)]
        low, value, high = np.quantile(apart, [0.5 - self.level / 2, 0.5, 0.5 + self.level / 2], axis=1)
        return Difference(self._check_sizes(size), value, low, high, self.level)


def metric_difference(
    base: Float[np.ndarray, "..."] | float,
    value: Float[np.ndarray, "..."] | float,
    low: Float[np.ndarray, "..."] | float,
    high: Float[np.ndarray, "..."] | float,
    metric: Metric,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return a difference of errors and its interval as those of values of a metric, lower limit first.

    Args:
        base: error of the baseline.
        value: difference of the error from it.
        low: lower limit.
        high: upper limit.
        metric: the metric.

    Examples:
        >>> from lcjax.curves.metrics import METRICS
        >>> [float(part) for part in metric_difference(0.5, -0.25, -0.5, -0.125, METRICS["accuracy"])]
        [0.25, 0.125, 0.5]
        >>> [float(part) for part in metric_difference(4.0, -3.0, -4.0, 5.0, METRICS["rmse"])]
        [-1.0, -2.0, 1.0]
    """
    parts = [np.asarray(part, float) for part in (value, low, high)]
    if metric.transform != "identity":
        start = metric.from_error(np.asarray(base, float))
        parts = [np.asarray(metric.from_error(base + part) - start) for part in parts]
    elif metric.rises:
        parts = [-parts[0], -parts[2], -parts[1]]
    return np.asarray(parts[0]), np.asarray(parts[1]), np.asarray(parts[2])
