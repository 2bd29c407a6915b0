"""The comparison of several learning curves: measured differences, joint draws, and all answers."""

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.comparison.measured import MeasuredDifferences
from lcjax.curves.comparison.sentences import Sentences
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, Metric
from lcjax.records import record

__all__ = ["CurveComparison"]


@record
class CurveComparison(Sentences):
    """Comparison of c learning curves by joint draws of their forecasts.

    A joint draw consists of one draw of the forecast of each curve. The errors of the
    forecasts of similar curves, and of curves that share their noise, are correlated. Beyond the data, the falls of
    curves at similar levels are pooled, and draws in which two curves cross have less weight for this pair. Inside the
    measured range a draw is the measured curve, smoothed within its noise.

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
        metric: metric in which sentences give values.
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
    metric: Metric = ERROR
