"""Simulated curves, collected sequentially and on a doubling grid: width of the answer, cost and coverage."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

import lcjax as lc
from lcjax.studies.collection.measurements import Training, gather
from lcjax.studies.fitting.fitted_curves import fit_learning_curves

__all__ = ["CURVES", "compare", "summarize"]

CURVES = range(1000, 1032)  # seeds; the method was tried on those below 12
LARGEST, GRID, REPEATS = 16_000, tuple(250 * 2**i for i in range(7)), 3
CAP = 64.0 * LARGEST  # sizes beyond it count as it
WAYS = ("grid", "sequential")


def compare(seed: int) -> dict[str, Any]:
    """Collect one curve both ways, and compare the answers at three costs, in training examples over all trainings.

    The grid has three trainings at 250, 500, ... examples, up to 4,000, 8,000 or 16,000. The sequential collection has
    the cost of the largest of these grids as its budget, and is compared when it has spent as much as each of them.

    Args:
        seed: number of the curve.
    """
    error, target, noise, family = _draw_curve(np.random.default_rng(seed))
    order: list[Training] = []

    def train(run: int, indices: Int[np.ndarray, " n"]) -> dict[str, float]:
        deviation = np.random.default_rng([seed, run, len(indices)]).normal()
        values = {"error": error(len(indices)) * math.exp(noise * deviation)}
        order.append(Training(len(indices), run, values, 0.0))
        return values

    grid = [Training(n, run, train(run, np.arange(n)), 0.0) for n in GRID for run in range(REPEATS)]
    order.clear()
    budget = f"{sum(one.size for one in grid)} examples"
    table = lc.collect(train, examples=LARGEST, target=target, budget=budget, precision=1.001)
    truth, steps = _truth(error, target), []
    for largest in GRID[-3:]:
        part = [one for one in grid if one.size <= largest]
        cost = sum(one.size for one in part)
        spent = np.cumsum([one.size for one in order])
        steps.append(
            {
                "cost": cost,
                "grid": _answer(part, target, truth),
                "sequential": _answer(order[: int(np.searchsorted(spent, cost, side="right"))], target, truth),
            }
        )
    line = {"seed": seed, "family": family, "noise": noise, "truth": truth, "ending": table.ending}
    return {**line, "cost": int(table.size.sum()), "trainings": len(table.size), "steps": steps}


def summarize(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return means over curves at each cost, with the standard error of the difference between both ways."""
    rows = []
    for i in range(3):
        row: dict[str, Any] = {"cost": lines[0]["steps"][i]["cost"]}
        for field in ("octaves", "covered", "log_miss"):
            values = {way: np.array([line["steps"][i][way][field] for line in lines], float) for way in WAYS}
            difference = values["sequential"] - values["grid"]
            means = {way: float(value.mean()) for way, value in values.items()}
            row[field] = {**means, "standard_error": float(difference.std(ddof=1) / math.sqrt(len(lines)))}
        rows.append(row)
    return rows


def _answer(trainings: list[Training], target: float, truth: float) -> dict[str, Any]:
    """Return the width of the interval, its coverage, and the distance of the value from the truth, in octaves."""
    fitted = fit_learning_curves(jax.random.key(0), gather(trainings).curves(), allow_rising=True)
    answer = fitted.forecast.size_for_error(target)
    low, high, value = (min(float(part[0]), CAP) for part in (answer.low, answer.high, answer.value))
    return {
        "low": low, "high": high, "octaves": math.log2(high / low), "covered": bool(low <= truth <= high),
        "log_miss": abs(math.log2(value / truth)),
    }  # fmt: skip


def _draw_curve(rng: np.random.Generator) -> tuple[Callable[[float], float], float, float, str]:
    """Return a curve, a target at 1/4 to 5.7 times the largest size, the noise of log errors, and the family."""
    family = ("power law", "plateau and power law", "power law and floor")[rng.integers(3)]
    exponent, noise = rng.uniform(0.25, 0.8), rng.uniform(0.02, 0.08)
    shift = 200.0 if family == "plateau and power law" else 0.0
    floor = rng.uniform(0.005, 0.05) if family == "power law and floor" else 0.0
    scale = rng.uniform(0.2, 0.5) * 250**exponent

    def error(size: float) -> float:
        return floor + scale * (size + shift) ** -exponent

    return error, error(LARGEST * 2 ** rng.uniform(-2, 2.5)), noise, family


def _truth(error: Callable[[float], float], target: float) -> float:
    low, high = 1.0, 1e9
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if error(middle) > target else (low, middle)
    return high
