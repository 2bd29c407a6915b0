"""Scores of comparisons: probabilities of the order of two learners, and sizes at which their curves cross."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from benchmarks.comparison.contests import Contest, stack_curves
from benchmarks.forecast.comparison import clustered_mean
from lcjax.curves.comparison.compare import compare_forecasts
from lcjax.curves.comparison.crossing import divide, smoothing_matrix, window_grid
from lcjax.curves.comparison.curve_comparison import CurveComparison
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.typing import KeyArray

__all__ = [
    "FACTORS", "KNOWN", "CalibratedOrder", "Rows", "concatenate", "forecast_contests", "log_score", "measured_orders",
    "score_contest", "summarize_crossings", "summarize_orders", "take_forecast",
]  # fmt: skip

FACTORS = (2**0.5, 2.0, 2**1.5, 4.0)
"""Targets as multiples of the largest fitted size, as far as they were measured."""

KNOWN = 0.8
"""Pairs whose present order is known with this probability enter the scores of crossings."""

BLOCK = 10  # contests that are forecast at a time
_FEWEST = 20  # draws that cross, and pairs in a bin
_LOWEST = 1e-3  # probabilities are at least this in the log score
_EDGES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)

Rows = dict[str, np.ndarray]


def measured_orders(contest: Contest) -> Rows:
    """Return the order of every pair of learners at the cut and at the targets, without ties at the target."""
    rows: list[tuple[float, ...]] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        log_cut = np.log(contest.error[:, -1])
    for factor in FACTORS:
        place = int(np.argmin(np.abs(np.log(contest.held_size / (contest.cut * factor)))))
        if abs(np.log(contest.held_size[place] / (contest.cut * factor))) > 0.05:
            continue
        error = contest.held_error[:, place]
        for i, j in zip(*np.tril_indices(len(error), -1), strict=True):
            if np.isnan(error[i] + error[j]) or error[i] == error[j]:
                continue
            gap = 0.0 if contest.error[i, -1] == contest.error[j, -1] else np.clip(log_cut[j] - log_cut[i], -9, 9)
            values = (factor, contest.held_size[place], i, j, gap, error[i] < error[j])
            rows.append(tuple(map(float, values)))
    names = ("factor", "target", "first", "second", "gap", "first_better")
    columns = np.array(rows, float).reshape(-1, len(names)).T
    both = {"data_set": contest.data_set, "divisor": contest.divisor}
    return {**dict(zip(names, columns, strict=True)), **{k: np.full(len(rows), v, float) for k, v in both.items()}}


class CalibratedOrder:
    """Reference: the order at the largest fitted size, with the probability that it lasts, by factor and cut.

    Attributes:
        lasting: frequency with which the order lasts, by factor and divisor.
        slope: coefficients of a logistic regression on the log ratio of the errors, by factor and divisor.
    """

    def __init__(self, rows: Rows) -> None:
        self.lasting: dict[tuple[float, float], float] = {}
        self.slope: dict[tuple[float, float], np.ndarray] = {}
        for group in {*zip(rows["factor"].tolist(), rows["divisor"].tolist(), strict=True)}:
            here = (rows["factor"] == group[0]) & (rows["divisor"] == group[1])
            gap, better = rows["gap"][here], rows["first_better"][here]
            lasts = np.where(gap > 0, better, 1 - better)[gap != 0]
            self.lasting[group] = float(np.mean(lasts))
            self.slope[group] = _fit_logistic(_features(gap), better)

    def constant(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Return the probability that the first learner is better, the same for all orders."""
        lasts = np.array([self.lasting[key] for key in zip(rows["factor"], rows["divisor"], strict=True)])
        return np.where(rows["gap"] > 0, lasts, np.where(rows["gap"] < 0, 1 - lasts, 0.5))

    def by_gap(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Return the probability by the logistic regression on the gap."""
        keys = zip(rows["factor"], rows["divisor"], strict=True)
        weight = np.array([self.slope[key] for key in keys])
        return np.asarray(1 / (1 + np.exp(-np.sum(weight * _features(rows["gap"]), axis=1))))


def _features(gap: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Return odd functions of the gap, one of which saturates."""
    return np.stack([gap, np.tanh(gap / 0.1)], axis=1)


def _fit_logistic(x: Float[np.ndarray, "n p"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " p"]:
    """Fit a logistic regression without intercept by Newton's method, with a weak ridge."""
    weight = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weight))
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        weight = weight + np.clip(np.linalg.solve(curvature, x.T @ (y - p) - 1e-3 * weight), -2, 2)
    return np.asarray(weight)


def score_contest(key: KeyArray, contest: Contest, forecast: Forecast) -> tuple[Rows, Rows]:
    """Return the rows of the orders and of the crossings of one contest.

    Args:
        key: a typed key.
        contest: the contest.
        forecast: forecasts of its curves.
    """
    orders = measured_orders(contest)
    curves = contest.curves()
    compared = {
        name: compare_forecasts(key, forecast, curves, names=contest.learners, dependent=name == "joint")
        for name in ("joint", "independent")
    }
    targets = np.unique(orders["target"])
    for name, comparison in compared.items():
        column = np.zeros(0)
        if len(targets):
            probability = comparison.probability_of_order(targets, measured=True)
            place = np.searchsorted(targets, orders["target"])
            column = probability[orders["first"].astype(int), orders["second"].astype(int), place]
        orders[name] = column
    rows = [_crossing_rows(contest, comparison) for comparison in compared.values()]
    crossings = {name: np.array([row[name] for row in rows[0]], float) for name in _CROSSING}
    other = {(row["first"], row["second"]): row["probability"] for row in rows[1]}
    crossings["independent"] = np.array([other.get((r["first"], r["second"]), np.nan) for r in rows[0]], float)
    return orders, crossings


_CROSSING = ("data_set", "divisor", "first", "second", "probability", "count", "crossed", "monotone_crossed", "size",
             "monotone_size", "low", "high", "below", "window")  # fmt: skip


def _crossing_rows(contest: Contest, comparison: CurveComparison) -> list[dict[str, float]]:
    """Compare the crossings beyond the cut, for every pair whose present order is known, with the measured ones."""
    start, end = contest.cut, float(contest.held_size[-1])
    size, log_error = comparison.smooth_draws(start=start, end=end)
    truth, monotone = _true_curves(contest, comparison.start)
    known = comparison.probability_of_order([start])[..., 0]
    rows = []
    for i in range(len(contest.learners)):
        for j in range(len(contest.learners)):
            if i == j or known[i, j] < KNOWN or np.isnan(truth[i] + truth[j]).any():
                continue
            draws = comparison._rows(i, j)
            sizes = divide(np.log(size), log_error[j][draws] - log_error[i][draws]) - np.log(start)
            at, stepped = (divide(np.log(size), curve[j] - curve[i]) - np.log(start) for curve in (truth, monotone))
            crossing = np.sort(sizes[np.isfinite(sizes)])
            low = high = below = np.nan
            if crossing.size:
                low, high = np.quantile(crossing, [0.05, 0.95], method="nearest")
                below = np.mean(crossing < at) / 2 + np.mean(crossing <= at) / 2
            values = (
                contest.data_set, contest.divisor, i, j, crossing.size / sizes.size, crossing.size, np.isfinite(at),
                np.isfinite(stepped), at, stepped, low, high, below, np.log(end / start),
            )  # fmt: skip
            rows.append(dict(zip(_CROSSING, map(float, values), strict=True)))
    return rows


def _true_curves(contest: Contest, first: float) -> tuple[Float[np.ndarray, "c g"], Float[np.ndarray, "c g"]]:
    """Return the log errors beyond the cut, smoothed by local lines and by monotone regression.

    A curve with an absent error, or with an error of 0, is nan.
    """
    grid, inside = window_grid(contest.cut, float(contest.held_size[-1]))
    there = grid >= first * (1 - 1e-5)
    grid, inside = grid[there], inside[there]
    size = np.concatenate([contest.size, contest.held_size])
    error = np.concatenate([contest.error, contest.held_error], axis=1)
    smoothed, monotone = (np.full((len(error), int(inside.sum())), np.nan) for _ in range(2))
    matrix = smoothing_matrix(np.log(grid))[inside]
    for i, row in enumerate(error):
        near = (size >= grid[0] * (1 - 0.06)) & ~((row > 0) | np.isnan(row) & (size < contest.cut))
        if near.any():
            continue
        use = row > 0
        y = np.log(row[use])
        smoothed[i] = matrix @ np.interp(np.log(grid), np.log(size[use]), y)
        monotone[i] = np.interp(np.log(grid), np.log(size[use]), _monotone(y))[inside]
    return smoothed, monotone


def _monotone(values: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """Return the falling sequence with the least squared distance, by pooling adjacent violators."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-1][0] > blocks[-2][0]:
            last = blocks.pop()
            total = blocks[-1][1] + last[1]
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + last[0] * last[1]) / total, total]
    return np.concatenate([np.full(int(count), value) for value, count in blocks])


def summarize_orders(rows: Rows, reference: CalibratedOrder) -> dict[str, Any]:
    """Summarize the log scores and the reliability of the probabilities of order."""
    probability = {
        "joint": rows["joint"], "independent": rows["independent"], "order now": reference.constant(rows),
        "gap now": reference.by_gap(rows),
    }  # fmt: skip
    score = {name: log_score(p, rows["first_better"]) for name, p in probability.items()}
    groups = {"all": np.ones(len(rows["gap"]), bool)}
    groups |= {f"target {factor:.3g} times the data": rows["factor"] == factor for factor in FACTORS}
    groups |= {f"fitted to 1/{d}": rows["divisor"] == d for d in np.unique(rows["divisor"]).astype(int)}
    groups |= {"errors within 20 % now": np.abs(rows["gap"]) < np.log(1.2)}
    now = rows["gap"] > 0
    result: dict[str, Any] = {"pairs and targets": len(now), "reversed": _mean(_turn(rows["first_better"], now), rows)}
    result["log score"] = {
        group: {name: _mean(np.where(here, values, np.nan), rows) for name, values in score.items()}
        for group, here in groups.items()
    }
    result["joint - other"] = {
        group: {
            name: _mean(np.where(here, score["joint"] - score[name], np.nan), rows)
            for name in probability if name != "joint"
        } for group, here in groups.items()
    }  # fmt: skip
    result["reliability"] = {
        name: _reliability(_turn(p, now), _turn(rows["first_better"], now), rows) for name, p in probability.items()
    }
    return result


def summarize_crossings(rows: Rows) -> dict[str, Any]:
    """Summarize the probabilities of a crossing and the coverage of the intervals of its size."""
    crossed = rows["crossed"] == 1
    scored = crossed & (rows["count"] >= _FEWEST)
    inside = (rows["size"] >= rows["low"] - 1e-6) & (rows["size"] <= rows["high"] + 1e-6)
    monotone = (rows["monotone_crossed"] == 1) & (rows["count"] >= _FEWEST)
    inside_monotone = (rows["monotone_size"] >= rows["low"] - 1e-6) & (rows["monotone_size"] <= rows["high"] + 1e-6)
    share = (rows["high"] - rows["low"]) / rows["window"]
    possible = crossed & (rows["probability"] >= 0.05)
    result = {
        "pairs": len(crossed), "crossed": _mean(crossed.astype(float), rows),
        "probability": _mean(rows["probability"], rows), "independent probability": _mean(rows["independent"], rows),
        "crossings": int(crossed.sum()), "too few draws cross": int((crossed & ~scored).sum()),
        "coverage": _mean(np.where(scored, inside, np.nan), rows),
        "coverage, probability 0.05 or more": _mean(np.where(possible, inside, np.nan), rows),
        "coverage, too few draws as outside": _mean(np.where(crossed, inside & scored, np.nan), rows),
        "before the interval": _mean(np.where(scored, rows["size"] < rows["low"] - 1e-6, np.nan), rows),
        "after the interval": _mean(np.where(scored, rows["size"] > rows["high"] + 1e-6, np.nan), rows),
        "coverage of monotone smooths": _mean(np.where(monotone, inside_monotone, np.nan), rows),
        "median width, share of the range": float(np.median(share[scored])),
        "log score": {
            "joint": _mean(log_score(rows["probability"], crossed), rows),
            "joint - independent": _mean(
                log_score(rows["probability"], crossed) - log_score(rows["independent"], crossed), rows
            ),
        },
        "reliability": {
            name: _reliability(rows[column], crossed.astype(float), rows)
            for name, column in (("joint", "probability"), ("independent", "independent"))
        },
        "position in the distribution": np.histogram(rows["below"][scored], 5, (0, 1))[0].tolist(),
    }  # fmt: skip
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0)):
        here = scored & (rows["probability"] >= low) & (rows["probability"] < high + (high == 1))
        result[f"coverage, probability {low:g} to {high:g}"] = _mean(np.where(here, inside, np.nan), rows)
    return result


def log_score(probability: Float[np.ndarray, " n"], event: Bool[np.ndarray, " n"] | np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability of what happened, at least 0.001."""
    p = np.clip(probability, _LOWEST, 1 - _LOWEST)
    return np.asarray(np.where(np.asarray(event) > 0.5, np.log(p), np.log1p(-p)))


def _turn(values: Float[np.ndarray, " n"], now: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the probability (or the event) that the order is reversed, from that of the first learner being better."""
    return np.where(now, 1 - values, values)


def _mean(values: Float[np.ndarray, " n"], rows: Rows) -> dict[str, float]:
    return vars(clustered_mean(np.asarray(values, float), rows["data_set"]))


def _reliability(probability: np.ndarray, event: np.ndarray, rows: Rows) -> list[dict[str, float]]:
    bins = []
    for low, high in itertools.pairwise(_EDGES):
        here = (probability >= low) & (probability < high + (high == 1))
        if here.sum() >= _FEWEST:
            frequency = _mean(np.where(here, event, np.nan), rows)
            bins.append({"probability": float(probability[here].mean()), **frequency})
    return bins


def concatenate(parts: Sequence[Mapping[str, np.ndarray]]) -> Rows:
    """Join rows."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def take_forecast(forecast: Forecast, rows: slice) -> Forecast:
    """Return the forecasts of some curves of a batch."""
    taken: Forecast = jax.tree.map(lambda leaf: leaf[rows], forecast)
    return taken


def forecast_contests(key: KeyArray, contests: Sequence[Contest]) -> Iterator[tuple[Contest, Forecast, Rows]]:
    """Yield the contests that have a target, with their forecasts and measured orders; ten are forecast at a time."""
    for start in range(0, len(contests), BLOCK):
        block = contests[start : start + BLOCK]
        ahead, first = forecast(jax.random.fold_in(key, start), stack_curves(block), allow_rising=True), 0
        for contest in block:
            own = take_forecast(ahead, slice(first, first + len(contest.learners)))
            first += len(contest.learners)
            orders = measured_orders(contest)
            if len(orders["target"]):
                yield contest, own, orders
