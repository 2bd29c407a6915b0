"""Comparison of the methods over all sets, and the conditions in which each fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.forecast.comparison import clustered_mean
from benchmarks.prediction_sets.summary import FLAGS

__all__ = ["Sets", "compare_methods", "failures", "method_names"]

Sets = Mapping[str, Mapping[str, Any]]


def method_names(sets: Sets) -> list[str]:
    """Return the methods of every set, "answer" first."""
    first, *others = sets.values()
    return [name for name in first["methods"] if all(name in other["methods"] for other in others)]


def compare_methods(sets: Sets) -> dict[str, dict[str, Any]]:
    """Return means over sets by method, with 95 % intervals from a bootstrap clustered by data set.

    Means are of the rank (1 has the largest log score), the log score, its distance above that of the power law, the
    logarithm of the factor off, and the share of held-out sizes inside the 90 % intervals. Networks that are trained on
    the same data are one cluster. "better" counts the sets with a larger log score than the power law's.
    """
    names = method_names(sets)
    cluster = np.array([one["data"] for one in sets.values()])
    score = np.array([[one["methods"][name]["log_score"] for name in names] for one in sets.values()], float)
    rank = rankdata(-score, axis=1)
    result = {}
    for i, name in enumerate(names):
        rows = [one["methods"][name] for one in sets.values()]
        above = np.array([row["above_power_law"] for row in rows], float)
        values = {
            "rank": rank[:, i],
            "log_score": score[:, i],
            "above_power_law": above,
            "log_factor": np.log([row["factor"] for row in rows]),
            "inside": np.array([np.mean(row["inside"]) for row in rows]),
        }
        means = {key: vars(clustered_mean(value, cluster)) for key, value in values.items()}
        result[name] = {**means, "better": int(np.sum(above > 0)), "sets": len(rows)}
    return result


def failures(sets: Sets) -> dict[str, dict[str, Any]]:
    """Return the sets on which each method fails, and its typical factor off where each caveat is raised.

    A method fails on a set if its 90 % intervals hold less than half of the held-out sizes. The factor is the geometric
    mean over sets, nan without a set.
    """
    result = {}
    for name in method_names(sets):
        rows = {label: one["methods"][name] for label, one in sets.items()}
        factors = {}
        for flag in FLAGS:
            parts: dict[str, list[float]] = {"raised": [], "elsewhere": []}
            for label, one in sets.items():
                parts["raised" if flag in one["flags"] else "elsewhere"].append(float(np.log(rows[label]["factor"])))
            factors[flag] = {part: float(np.exp(np.mean(logs))) if logs else np.nan for part, logs in parts.items()}
        result[name] = {
            "sets": [label for label, row in rows.items() if np.mean(row["inside"]) < 0.5],
            "factor": factors,
        }
    return result
