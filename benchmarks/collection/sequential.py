"""Simulated curves, collected sequentially and on a doubling grid: width of the answer, cost and coverage."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

import lcjax as lc
from lcjax.studies.collection.measurements import Measurements
from lcjax.studies.fitting.fitted_curves import fit_learning_curves

__all__ = ["CURVES", "compare", "summarize"]

CURVES = range(1000, 1040)  # seeds; the method was tried on those below 12
LARGEST, GRID, REPEATS = 16_000, tuple(250 * 2**i for i in range(7)), 3
CAP = 64 * LARGEST  # upper limits beyond it count as it


def compare(seed: int) -> dict[str, Any]:
    """Collect one curve both ways; the sequential collection has the cost of the grid as its budget.

    It ends when its interval is as narrow as that of the grid. The cost is the number of training examples, summed over
    trainings.

    Args:
        seed: number of the curve.
    """
    error, target, noise, family = _draw_curve(np.random.default_rng(seed))

    def train(run: int, indices: Int[np.ndarray, " n"]) -> dict[str, float]:
        deviation = np.random.default_rng([seed, run, len(indices)]).normal()
        return {"error": error(len(indices)) * math.exp(noise * deviation)}

    grid = lc.collect(train, GRID, repeats=REPEATS, examples=LARGEST)
    low, high = _interval(grid, target)
    precision = max(high / low, 1.001) if math.isfinite(high) else 1.001
    cost = int(grid.size.sum())
    chosen = lc.collect(train, examples=LARGEST, target=target, budget=f"{cost} examples", precision=precision)
    truth = _truth(error, target)
    line: dict[str, Any] = {"seed": seed, "family": family, "noise": noise, "truth": truth, "ending": chosen.ending}
    for name, table in (("grid", grid), ("sequential", chosen)):
        low, high = _interval(table, target)
        line[name] = {
            "cost": int(table.size.sum()), "trainings": len(table.size), "low": low, "high": high,
            "octaves": math.log2(min(high, CAP) / min(low, CAP)), "covered": bool(low <= truth <= high),
        }  # fmt: skip
    return line


def summarize(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over curves, separately for those whose grid bounds the size from above."""
    bounded = [line for line in lines if math.isfinite(line["grid"]["high"])]
    groups = {"all": lines, "bounded": bounded, "unbounded": [line for line in lines if line not in bounded]}
    return {name: _means(group) for name, group in groups.items() if group}


def _means(lines: list[dict[str, Any]]) -> dict[str, Any]:
    def of(way: str, field: str) -> np.ndarray:
        return np.array([line[way][field] for line in lines], float)

    ratio = of("sequential", "cost") / of("grid", "cost")
    return {
        "curves": len(lines),
        "cost_ratio": {"mean": ratio.mean(), "median": np.median(ratio)},
        "octaves": {way: of(way, "octaves").mean() for way in ("grid", "sequential")},
        "as_narrow": np.mean(of("sequential", "octaves") <= of("grid", "octaves") * (1 + 1e-6)),
        "coverage": {way: of(way, "covered").mean() for way in ("grid", "sequential")},
    }


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


def _interval(table: Measurements, target: float) -> tuple[float, float]:
    fitted = fit_learning_curves(jax.random.key(0), table.curves(), allow_rising=True)
    answer = fitted.forecast.size_for_error(target)
    return float(answer.low[0]), float(answer.high[0])
