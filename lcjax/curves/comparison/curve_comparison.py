"""The comparison of several learning curves: measured differences, joint draws, and all answers."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.comparison.crossing import CrossingAnswers
from lcjax.curves.comparison.equivalence import DataAnswers
from lcjax.curves.comparison.joint_curves import AHEAD
from lcjax.curves.comparison.measured import MeasuredDifferences
from lcjax.curves.comparison.sentences import write_sentences
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, Metric
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["CurveComparison", "Difference"]


@record
class Difference:
    """Difference of the errors of c curves from those of the baseline.

    Attributes:
        size: numbers of training examples, `(s,)`.
        value: median of the error less that of the baseline, `(c, s)`; negative for a better curve.
        low: lower limit of the interval, `(c, s)`.
        high: upper limit, `(c, s)`.
        level: probability of the interval.
    """

    size: Float[np.ndarray, " s"]
    value: Float[np.ndarray, "c s"]
    low: Float[np.ndarray, "c s"]
    high: Float[np.ndarray, "c s"]
    level: float = jax.tree.static(default=0.9)


@record
class CurveComparison(CrossingAnswers, DataAnswers):
    """Comparison of c learning curves by joint draws of their forecasts.

    A joint draw consists of one draw of the forecast of each curve. Forecasts of curves that are alike, or that share
    their noise, err together, beyond the data the falls of close curves are pooled, and draws in which two curves cross
    beyond the data have less weight for this pair. Inside the measured range a draw is the measured curve, smoothed
    within its noise.

    Sizes lie between `start`, the largest of the smallest measured sizes, and any size beyond the data.

    Attributes:
        forecast: forecasts of the curves, batched, `(c,)`.
        curves: measured curves on the union of their sizes.
        measured: differences of the measured errors from the baseline.
        place: index of the draw of each curve in every joint draw, `(c, n)`.
        pooling: weights of the pooled falls, `(c, c)`.
        weight: weight of every joint draw for each pair of curves, `(c, c, n)`: smaller for draws in which they cross.
        correlation: correlation of the forecasts, `(c, c)`.
        names: names of the curves.
        baseline: index of the curve with which the others are compared.
        level: probability of all intervals.
    """

    forecast: Forecast
    curves: LearningCurve
    measured: MeasuredDifferences
    place: Int[np.ndarray, "c n"]
    pooling: Float[np.ndarray, "c c"]
    weight: Float[np.ndarray, "c c n"]
    correlation: Float[np.ndarray, "c c"]
    names: tuple[str, ...] = jax.tree.static()
    baseline: int = jax.tree.static(default=0)
    level: float = jax.tree.static(default=0.9)

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

    def sentences(
        self, size: float | None = None, *, metric: Metric = ERROR, unit: str = "examples"
    ) -> tuple[str, ...]:
        """Describe the comparison with the baseline in words.

        Args:
            size: size for which to compare the curves; by default 16 times the largest measured one.
            metric: metric in which to write values.
            unit: what a size counts, in the plural.

        Raises:
            ValueError: the size is not finite or lies below `start`.
        """
        return write_sentences(self, AHEAD * self.largest if size is None else float(size), metric, unit)
