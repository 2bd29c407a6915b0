"""Frontiers of cost and failure rate, and their comparison by a bootstrap of data sets."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from benchmarks.planning.problems import Problem
from benchmarks.planning.simulation import Outcome

__all__ = ["RATES", "compare_costs", "cost_at_rate", "draw_clusters", "frontier", "oracle_outcome"]

RATES = (0.05, 0.1, 0.2, 0.3)
"""Failure rates at which costs are compared."""


def frontier(outcome: Outcome, weight: Float[np.ndarray, " b"]) -> tuple[np.ndarray, np.ndarray]:
    """Return failure rate and mean cost of every setting, with a weight for each problem."""
    total = weight.sum()
    return outcome.failed @ weight / total, outcome.cost @ weight / total


def cost_at_rate(rate: Float[np.ndarray, " p"], cost: Float[np.ndarray, " p"], at: float) -> float:
    """Return the least mean cost at which a method, or a lottery of two of its settings, has a failure rate.

    Examples:
        >>> cost_at_rate(np.array([0.0, 0.2, 0.1]), np.array([4.0, 1.0, 3.0]), 0.1)
        2.5
    """
    if not (rate <= at).any():
        return float("nan")
    left, right = rate <= at, rate > at
    best = float(np.min(cost[left]))
    if right.any():
        share = (rate[right][None] - at) / (rate[right][None] - rate[left][:, None])
        mixed = share * cost[left][:, None] + (1 - share) * cost[right][None]
        best = min(best, float(np.min(mixed)))
    return best


def draw_clusters(cluster: Sequence[str], draws: int, seed: int = 0) -> Float[np.ndarray, "d b"]:
    """Return weights of problems for bootstrap samples of clusters; the first row has weight 1 throughout."""
    names, index = np.unique(cluster, return_inverse=True)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.concatenate([np.ones((1, len(index))), times[:, index]]).astype(float)


def compare_costs(ours: Outcome, other: Outcome, weights: Float[np.ndarray, "d b"], rate: float) -> dict[str, float]:
    """Return the other's cost at a failure rate, and the ratio of ours to it with a 95 % interval."""
    costs = np.array([[cost_at_rate(*frontier(each, w), rate) for each in (ours, other)] for w in weights])
    ratio = costs[:, 0] / costs[:, 1]
    low, high = np.nanquantile(ratio[1:], [0.025, 0.975])
    return {"other": costs[0, 1], "ratio": ratio[0], "low": float(low), "high": float(high)}


def oracle_outcome(problems: Sequence[Problem]) -> Outcome:
    """Return the outcome of collecting up to the smallest size that meets the target, for each share given up.

    A setting gives up the problems whose targets are most expensive.
    """
    cost = np.array([problem.size[problem.oracle()] / problem.size[problem.cut] - 1 for problem in problems])
    rank = np.argsort(np.argsort(-cost))
    failed = rank[None] < np.arange(0, len(cost) // 2)[:, None]
    return Outcome(np.where(failed, 0.0, cost), failed, np.where(failed, 0.0, 1.0))
