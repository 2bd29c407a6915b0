"""Comparison of the methods over all sets, and the conditions under which each fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.forecast.comparison import clustered_mean
from benchmarks.prediction_sets.summary import FLAGS

__all__ = ["Sets", "compare_methods", "failures", "method_names"]

Sets = Mapping[str, Mapping[str, Any]]


def method_names(sets: Sets) -> list[str]:
    """Return the methods common to all sets, "answer" first."""
    first, *others = sets.values()
    return [name for name in first["methods"] if all(name in other["methods"] for other in others)]


def compare_methods(sets: Sets) -> dict[str, dict[str, Any]]:
    """Return means over sets by method, with 95 % intervals from a bootstrap clustered by data set.

    The means are of the rank (rank 1 is the largest log score), the log score, the log score minus that of the power
    law, the logarithm of the factor off, and the share of held-out errors inside the 90 % intervals. Networks that are
    trained on the same data form one cluster. "better" counts the sets on which the log score exceeds that of the power
    law.
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

    A method fails on a set if its 90 % intervals contain less than half of the held-out errors. The factor is a
    geometric mean over sets, nan if there are none.
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
