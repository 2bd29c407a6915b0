"""Metrics of models and their transform to errors, the quantity that forms and forecasts extrapolate."""

import dataclasses
import difflib
import math
import re
from typing import SupportsFloat, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.records import record

__all__ = ["ALIASES", "ERROR", "METRICS", "Metric", "are_same", "find_metric"]

Value = TypeVar("Value", float, np.ndarray, jax.Array)

_DIRECTIONS, _TRANSFORMS = ("minimize", "maximize"), ("identity", "log", "square")


@record
class Metric:
    """A metric with a best possible value; its distance from that value, after the transform, is its error.

    The error is zero at the best value and positive elsewhere. Power laws, floors and multiplicative noise describe
    this error, so the best value should be that of a perfect model: 1 for accuracy, AUROC, F1 and R^2, and 0 for error
    rates and losses that cannot be negative. A loss that can be negative, such as that of a density, needs a lower
    bound; the forecast estimates the irreducible part above the bound.

    Attributes:
        name: name in tables, files and options.
        direction: "minimize" or "maximize".
        bounds: smallest and largest possible value; the best one must be finite.
        chance: value of a model that guesses, or None where it depends on the task.
        unit: unit of the values, for tables and axes, such as "USD"; "" for a number without one.
        transform: scale on which the curve is smooth: "identity"; "log", as for the perplexity, whose logarithm is the
            cross-entropy in nats; or "square", as for the root mean square, where the noise adds to the square.

    Raises:
        ValueError: the direction, the bounds or the transform is not valid.

    Examples:
        >>> metric = METRICS["accuracy"]
        >>> metric.to_error(0.75), metric.from_error(0.25), metric.interval(0.125, 0.25), metric.error_name
        (0.25, 0.75, (0.75, 0.875), '1 - accuracy')
        >>> Metric("loss", bounds=(-4.0, math.inf)).to_error(-1.5)
        2.5
        >>> round(METRICS["perplexity"].to_error(math.e), 12), METRICS["rmse"].from_error(9.0)
        (1.0, 3.0)
    """

    name: str = jax.tree.static()
    direction: str = jax.tree.static(default="minimize")
    bounds: tuple[float, float] = jax.tree.static(default=(0.0, math.inf))
    chance: float | None = jax.tree.static(default=None)
    unit: str = jax.tree.static(default="")
    transform: str = jax.tree.static(default="identity")

    def __post_init__(self) -> None:
        for field, values in (("direction", _DIRECTIONS), ("transform", _TRANSFORMS)):
            if (value := getattr(self, field)) not in values:
                raise ValueError(
                    f"The {field} of the metric {self.name!r} must be {' or '.join(values)}, got {value!r}."
                )
        if not self.bounds[0] < self.bounds[1] or math.isinf(self.best):
            raise ValueError(
                f"The bounds of the metric {self.name!r} must be two ascending numbers, the best of them finite, got "
                f"{self.bounds!r}."
            )
        if self.transform != "identity" and (self.rises or self.best < (self.transform == "log") * 1e-300):
            raise ValueError(
                f"The transform {self.transform!r} needs a metric to minimize whose best value is positive, or 0 for "
                f"a square; that of {self.name!r} is {self.best:g}."
            )

    @property
    def rises(self) -> bool:
        """Return True if larger values are better."""
        return self.direction == "maximize"

    @property
    def best(self) -> float:
        """Return the best possible value."""
        return self.bounds[1] if self.rises else self.bounds[0]

    @property
    def chance_error(self) -> float:
        """Return the error of a model that guesses; nan where it depends on the task."""
        return math.nan if self.chance is None else float(self.to_error(self.chance))

    @property
    def largest_error(self) -> float:
        """Return the error at the worst possible value; infinity if there is none."""
        return float(self.to_error(self.bounds[0] if self.rises else self.bounds[1]))

    @property
    def error_name(self) -> str:
        """Return a formula of the error, such as "1 - accuracy"; the name if the metric is its own error."""
        name = {"identity": self.name, "log": f"log {self.name}", "square": f"{self.name} squared"}[self.transform]
        best = float(self._transform(self.best))
        if self.rises:
            return f"{best:g} - {name}"
        return name if best == 0 else f"{name} {'-' if best > 0 else '+'} {abs(best):g}"

    @property
    def title(self) -> str:
        """Return the name as it is written in sentences: abbreviations such as RMSE in capitals."""
        return self.name.upper() if self.name in ("rmse", "mae", "mse") else self.name

    @property
    def axis_name(self) -> str:
        """Return the label of a logarithmic axis: that of the error, or the name of a metric with a transform."""
        return self.error_name if self.transform == "identity" else self.name

    def to_axis(self, error: Value) -> Value:
        """Return the place of an error on a logarithmic axis: the error, or the value of a metric with a transform.

        Examples:
            >>> METRICS["accuracy"].to_axis(0.25), METRICS["rmse"].to_axis(9.0)
            (0.25, 3.0)
        """
        return error if self.transform == "identity" else self.from_error(error)

    def with_best(self, best: float) -> "Metric":
        """Return the same metric with another best possible value, such as 100 for percentages.

        The chance value is scaled with it where the other bound is 0.
        """
        low, high = self.bounds
        if not self.rises:
            return dataclasses.replace(self, bounds=(best, high))
        scaled = self.chance is not None and low == 0
        chance = self.chance * best / high if scaled and self.chance is not None else self.chance
        return dataclasses.replace(self, bounds=(min(low, best - 1.0) if low >= best else low, best), chance=chance)

    def to_error(self, value: Value) -> Value:
        """Return the error at a value of the metric; negative for values better than the best one."""
        distance = self._transform(value) - self._transform(self.best)
        return -distance if self.rises else distance

    def spread_to_error(self, value: Value, spread: Value) -> Value:
        """Return the standard deviation of the error at a value whose standard deviation is `spread` (delta method).

        Examples:
            >>> METRICS["accuracy"].spread_to_error(0.75, 0.01), METRICS["rmse"].spread_to_error(3.0, 0.5)
            (0.01, 3.0)
        """
        if self.transform == "identity":
            return spread
        scaled: Value = 2 * abs(value) * spread if self.transform == "square" else spread / value
        return scaled

    def from_error(self, error: Value) -> Value:
        """Return the value of the metric at an error, the inverse of `to_error`."""
        scaled = (-error if self.rises else error) + self._transform(self.best)
        if self.transform == "identity":
            return scaled
        xp = jnp if isinstance(error, jax.Array) else np
        value = xp.exp(scaled) if self.transform == "log" else xp.sqrt(xp.maximum(scaled, 0))
        result: Value = float(value) if isinstance(error, float) else value
        return result

    def _transform(self, value: Value) -> Value:
        if self.transform == "identity":
            return value
        xp = jnp if isinstance(value, jax.Array) else np
        # Values better than any keep their order, so that readers can refuse them.
        result = xp.log(xp.maximum(value, 1e-300)) if self.transform == "log" else value * xp.abs(value)
        scaled: Value = float(result) if isinstance(value, float) else result
        return scaled

    def interval(self, low: Value, high: Value) -> tuple[Value, Value]:
        """Return the interval of the metric that corresponds to an interval of the error, lower limit first."""
        limits = self.from_error(low), self.from_error(high)
        return (limits[1], limits[0]) if self.rises else limits

    def format(self, value: SupportsFloat) -> str:
        """Format a value so that its distance from the best one has three significant digits; nan is "–".

        Examples:
            >>> METRICS["accuracy"].format(0.99871), METRICS["accuracy"].format(0.61), ERROR.format(0.0012871)
            ('0.99871', '0.610', '0.00129')
            >>> METRICS["rmse"].format(29478.3), METRICS["perplexity"].format(1234.5)
            ('29,500', '1,234')
        """
        number = float(value)
        distance = abs(number - self.best)
        if math.isnan(number):
            return "–"
        if distance == 0 or math.isinf(number) or (self.best == 0 and not self.rises):
            rounded = float(f"{number:.3g}")
            return f"{rounded:,.0f}" if 1e3 <= abs(rounded) < 1e10 else f"{rounded:.3g}"
        return f"{number:,.{max(0, 2 - math.floor(math.log10(distance)))}f}"


ERROR = Metric("error")
"""An error or a loss that cannot be negative."""

_SHARES = (
    "accuracy", "balanced_accuracy", "average_precision", "precision", "recall", "f1", "f1_macro", "f1_micro",
    "f1_weighted", "jaccard", "dice", "map", "iou", "miou", "ndcg", "mrr", "top5_accuracy", "exact_match", "pass_at_1",
)  # fmt: skip
_FALLING = (
    "loss", "log_loss", "cross_entropy", "nll", "brier", "calibration_error", "mae", "mse", "mape", "wer", "cer", "ter",
    "bits_per_byte", "bits_per_character",
)  # fmt: skip

METRICS = {
    metric.name: metric
    for metric in (
        ERROR,
        *(Metric(name, "maximize", (0.0, 1.0)) for name in _SHARES[:2]),
        *(Metric(name, "maximize", (0.0, 1.0), chance=0.5) for name in ("auc", "auroc", "roc_auc")),
        *(Metric(name, "maximize", (0.0, 1.0)) for name in _SHARES[2:]),
        *(Metric(name, "maximize", (-1.0, 1.0), chance=0.0) for name in ("mcc", "kappa")),
        *(Metric(name, "maximize", (-1.0, 1.0)) for name in ("pearson", "spearman")),
        *(Metric(name, "maximize", (-math.inf, 1.0)) for name in ("r2", "explained_variance")),
        *(Metric(name, "maximize", (0.0, 100.0)) for name in ("bleu", "chrf", "rouge", "rouge1", "rouge2", "rougel")),
        *(Metric(name) for name in _FALLING),
        Metric("rmse", transform="square"),
        Metric("perplexity", bounds=(1.0, math.inf), transform="log"),
    )
}
"""Metrics by name, in the order of preference: error, those to maximize, those to minimize."""

ALIASES = {
    "acc": "accuracy", "accuracy_score": "accuracy", "top1": "accuracy", "top1_accuracy": "accuracy",
    "top5": "top5_accuracy", "balanced_accuracy_score": "balanced_accuracy", "err": "error", "error_rate": "error",
    "roc_auc_score": "auroc", "auc_roc": "auroc", "f1_score": "f1", "f1score": "f1", "macro_f1": "f1_macro",
    "micro_f1": "f1_micro", "ap": "average_precision", "average_precision_score": "average_precision",
    "pr_auc": "average_precision", "auprc": "average_precision", "mean_average_precision": "map",
    "ece": "calibration_error", "expected_calibration_error": "calibration_error", "brier_score": "brier",
    "brier_score_loss": "brier",
    "root_mean_squared_error": "rmse", "mean_squared_error": "mse", "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape", "ppl": "perplexity", "bpb": "bits_per_byte", "bpc": "bits_per_character",
    "r2_score": "r2", "matthews_corrcoef": "mcc", "cohen_kappa": "kappa", "cohen_kappa_score": "kappa",
    "logloss": "log_loss", "ce": "cross_entropy", "em": "exact_match",
    "word_error_rate": "wer", "jaccard_score": "jaccard",
}  # fmt: skip
"""Other names of known metrics."""
_SPLITS = ("test", "val", "valid", "validation", "dev", "eval")


def are_same(name: str, other: str) -> bool:
    """Return True if two names mean one metric: other spellings of it, on the same split or with the split left out.

    Args:
        name: name of a metric.
        other: another name.

    Examples:
        >>> are_same("acc", "val/accuracy"), are_same("roc_auc", "auc"), are_same("test_acc", "val_acc")
        (True, True, False)
    """
    (split, bare), (other_split, other_bare) = _divide(name), _divide(other)
    return _spell(bare) == _spell(other_bare) and (not split or not other_split or split == other_split)


def find_metric(name: str, best: float | None = None, *, maximize: bool = False) -> Metric:
    """Return the metric of a name, which it keeps: a known one, also as "Val AUROC" or "test/acc", or a new one.

    Args:
        name: name, in any case, with or without the split on which it was measured.
        best: best possible value; needed for a metric that is not known.
        maximize: larger values of a metric that is not known are better.

    Raises:
        ValueError: the metric is not known, and `best` is None.

    Examples:
        >>> find_metric("Val AUROC").bounds, find_metric("test/acc").name, find_metric("accuracy", 100.0).bounds
        ((0.0, 1.0), 'test/acc', (0.0, 100.0))
        >>> find_metric("elo", 3000.0, maximize=True).to_error(2400.0)
        600.0
    """
    _, bare = _divide(name)
    known = METRICS.get(name) or METRICS.get(ALIASES.get(bare, bare))
    if known is not None:
        metric = known if known.name == name else dataclasses.replace(known, name=name)
        return metric if best is None else metric.with_best(best)
    if best is None:
        candidates = [word for word in (*METRICS, *ALIASES) if word[:1] == bare[:1]]  # few misspell the first letter
        close = difflib.get_close_matches(bare, candidates, n=1, cutoff=0.75)
        hint = f" Did you mean {ALIASES.get(close[0], close[0])}?" if close else ""
        raise ValueError(
            f"{name!r} is not a known metric: give its best possible value (--best), and --maximize if larger values "
            f"are better; known are {', '.join(list(METRICS)[:12])} and others (see docs/fit.md).{hint}"
        )
    if maximize:
        return Metric(name, "maximize", (-math.inf, best))
    return Metric(name, bounds=(best, math.inf))


def _divide(name: str) -> tuple[str, str]:
    """Return the split in a name, or "", and the rest in lower case with underscores."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    first = next((i for i, word in enumerate(words[:-1]) if word not in _SPLITS), max(len(words) - 1, 0))
    split = "_".join(words[:first])
    return {"valid": "val", "validation": "val"}.get(split, split), "_".join(words[first:])


def _spell(bare: str) -> str:
    """Return one spelling of a metric."""
    known = ALIASES.get(bare, bare)
    return "auroc" if known in ("auc", "roc_auc") else known
