"""Summaries of scores by group, and paired differences with bootstrap intervals clustered by data set."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from benchmarks.forecast.cases import FACTORS, Cases
from benchmarks.forecast.scoring import LEVELS, METRICS, Scores

__all__ = ["RESAMPLES", "Estimate", "clustered_mean", "compare", "coverage", "groups", "paired", "summarize"]

RESAMPLES = 2000
_COMPARED = ("log_error", "crps", "log_density", "interval_score")
_FLOOR = 1e-3  # log errors below a tenth of a percent count as this in geometric means


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over cases with its 95 % bootstrap interval, clusters resampled.

    Attributes:
        value: mean.
        low: lower limit.
        high: upper limit.
        cases: number of cases.
        clusters: number of clusters.
    """

    value: float
    low: float
    high: float
    cases: int
    clusters: int

    def exp(self) -> "Estimate":
        """Return the exponential of the value and of its limits: of a mean of logarithms, the geometric mean."""
        value, low, high = (float(np.exp(x)) for x in (self.value, self.low, self.high))
        return dataclasses.replace(self, value=value, low=low, high=high)


def clustered_mean(
    values: Float[np.ndarray, " b"], cluster: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimate the mean of the values that are not nan, with a 95 % percentile interval from resampled clusters."""
    known = ~np.isnan(values)
    if not known.any():
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    values = values[known]
    names, member = np.unique(cluster[known], return_inverse=True)
    total, count = np.bincount(member, values), np.bincount(member)
    number = len(names)
    weight = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
    low, high = np.quantile(weight @ total / (weight @ count), (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high), len(values), number)


def paired(ours: Scores, other: Scores, points: Bool[np.ndarray, "b m"] | None = None) -> dict[str, Estimate]:
    """Compare two methods case by case, over all held-out measurements or a selection.

    Returns:
        Differences, ours minus the other, of the log error, CRPS, log density and interval score; "log_error_ratio",
        the ratio of the geometric means of the log error; and "better", the fraction of cases in which our log error is
        lower (ties count a half).

    Raises:
        ValueError: the scores belong to different cases.
    """
    if ours.cases.digest() != other.cases.digest():
        raise ValueError(f"{ours.method} and {other.method} were scored on different cases.")
    a, b = ours.means(points), other.means(points)
    cluster = ours.cases.cluster
    difference = dict(zip(METRICS, (a - b).T, strict=True))
    result = {name: clustered_mean(difference[name], cluster) for name in _COMPARED}
    ratio = clustered_mean(_log(a[:, 0]) - _log(b[:, 0]), cluster)
    result["log_error_ratio"] = ratio.exp()
    result["better"] = clustered_mean(0.5 - 0.5 * np.sign(difference["log_error"]), cluster)
    return result


def coverage(scores: Scores, points: Bool[np.ndarray, "b m"] | None = None) -> dict[str, Estimate]:
    """Estimate the coverage of the central interval of each level, averaged over cases."""
    means = scores.means(points)
    count = len(LEVELS)
    return {
        name: clustered_mean(column, scores.cases.cluster)
        for name, column in zip(METRICS[-count:], means.T[-count:], strict=True)
    }


def summarize(scores: Scores, points: Bool[np.ndarray, "b m"] | None = None) -> dict[str, float | int]:
    """Average every metric over cases, and add the geometric mean of the log error and the number of cases."""
    means = scores.means(points)
    means = means[~np.isnan(means[:, 0])]
    if not len(means):
        return {"cases": 0}
    geometric = float(np.exp(np.mean(_log(means[:, 0]))))
    averages = dict(zip(METRICS, map(float, means.mean(axis=0)), strict=True))
    return {"cases": len(means), "log_error_geometric": geometric, **averages}


def groups(cases: Cases) -> dict[str, dict[str, Bool[np.ndarray, "b m"]]]:
    """Select held-out measurements by family, by extrapolation factor, and by both."""
    factor = {name: cases.factor == i for i, name in enumerate(FACTORS) if np.any(cases.factor == i)}
    family = {str(name): (cases.family == name)[:, None] & cases.present for name in np.unique(cases.family)}
    both = {f"{a}, {b}": x & y for a, x in family.items() for b, y in factor.items() if np.any(x & y)}
    return {"family": family, "factor": factor, "family x factor": both}


def compare(scores: Sequence[Scores]) -> dict[str, Any]:
    """Summarize all methods, and compare the first with each of the others.

    Returns:
        "methods": by method, its scores; "paired": by other method, the results of `paired`; both over all cases, by
        family and by factor. "coverage": coverage of the first method, over all cases and by every group.
    """
    ours, *others = scores
    grouping = groups(ours.cases)
    methods = {
        s.method: {
            "all": summarize(s),
            **{kind: {name: summarize(s, p) for name, p in grouping[kind].items()} for kind in ("family", "factor")},
            "failed": s.failed,
            "seconds_per_curve": s.seconds,
        }
        for s in scores
    }
    differences = {
        s.method: {
            "all": paired(ours, s),
            **{kind: {n: paired(ours, s, p) for n, p in grouping[kind].items()} for kind in ("family", "factor")},
        }
        for s in others
    }
    covered = {
        "all": coverage(ours),
        **{kind: {name: coverage(ours, p) for name, p in members.items()} for kind, members in grouping.items()},
    }
    return {"methods": methods, "paired": differences, "coverage": covered}


def _log(log_error: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
    return np.asarray(np.log(np.maximum(log_error, _FLOOR)))
