"""Metrics of models and their transform to errors, the quantity that forms and forecasts extrapolate."""

import dataclasses
import math
from typing import SupportsFloat, TypeVar

import jax
import numpy as np

from lcjax.records import record

__all__ = ["ERROR", "METRICS", "Metric"]

Value = TypeVar("Value", float, np.ndarray, jax.Array)


@record
class Metric:
    """A metric with a best possible value; the distance from that value is its error.

    The error is `best - value` for a metric that rises, and `value - best` for one that falls. It is zero at the best
    value and positive elsewhere. Power laws, floors and multiplicative noise describe this error, so `best` should be
    the value of a perfect model: 1 for accuracy, AUC, F1 and R^2, and 0 for error rates and losses that cannot be
    negative. A loss that can be negative, such as that of a density, needs a lower bound; the forecast estimates the
    irreducible part above the bound.

    Attributes:
        name: name in tables, files and options.
        best: best possible value, in the unit of the metric.
        rises: True if larger values are better.

    Examples:
        >>> metric = METRICS["accuracy"]
        >>> metric.to_error(0.75), metric.from_error(0.25), metric.interval(0.125, 0.25), metric.error_name
        (0.25, 0.75, (0.75, 0.875), '1 - accuracy')
        >>> Metric("loss", best=-4.0).to_error(-1.5)
        2.5
    """

    name: str = jax.tree.static()
    best: float = jax.tree.static(default=0.0)
    rises: bool = jax.tree.static(default=False)

    @property
    def error_name(self) -> str:
        """Return a formula of the error, such as "1 - accuracy"; the name if the metric is its own error."""
        if self.rises:
            return f"{self.best:g} - {self.name}"
        return self.name if self.best == 0 else f"{self.name} {'-' if self.best > 0 else '+'} {abs(self.best):g}"

    def with_best(self, best: float) -> "Metric":
        """Return the same metric with another best possible value."""
        return dataclasses.replace(self, best=best)

    def to_error(self, value: Value) -> Value:
        """Return the error at a value of the metric; negative for values better than `best`."""
        return self.best - value if self.rises else value - self.best

    def from_error(self, error: Value) -> Value:
        """Return the value of the metric at an error, the inverse of `to_error`."""
        return self.best - error if self.rises else error + self.best

    def interval(self, low: Value, high: Value) -> tuple[Value, Value]:
        """Return the interval of the metric that corresponds to an interval of the error, lower limit first."""
        limits = self.from_error(low), self.from_error(high)
        return (limits[1], limits[0]) if self.rises else limits

    def format(self, value: SupportsFloat) -> str:
        """Format a value so that its error has three significant digits; nan is "–".

        Examples:
            >>> METRICS["accuracy"].format(0.99871), METRICS["accuracy"].format(0.61), ERROR.format(0.0012871)
            ('0.99871', '0.610', '0.00129')
        """
        number = float(value)
        error = abs(float(self.to_error(number)))
        if math.isnan(number):
            return "–"
        if error == 0 or (self.best == 0 and not self.rises):
            return f"{number:.3g}"
        return f"{number:.{max(0, 2 - math.floor(math.log10(error)))}f}"


ERROR = Metric("error")
"""An error or a loss that cannot be negative."""

_RISING = (
    "accuracy", "balanced_accuracy", "auc", "auroc", "roc_auc", "average_precision", "precision", "recall", "f1",
    "f1_macro", "f1_micro", "f1_weighted", "jaccard", "map", "iou", "r2",
)  # fmt: skip
_FALLING = (
    "loss", "log_loss", "cross_entropy", "nll", "brier", "calibration_error", "rmse", "mae", "mse", "wer", "cer",
)  # fmt: skip

METRICS = {
    metric.name: metric
    for metric in (
        ERROR,
        *(Metric(name, best=1.0, rises=True) for name in _RISING),
        *(Metric(name) for name in _FALLING),
        Metric("perplexity", best=1.0),
    )
}
"""Metrics by name, in the order of preference: those that rise to 1, those that fall to 0, and the perplexity."""
