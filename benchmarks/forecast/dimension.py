"""Benefit of a known dimension for the Bayesian forecast of curves of three to six sizes.

The family `nearest_neighbor(dimension)` (`lcjax fit --dimension`) is added to the default families. Forecasts with and
without it are compared on

- curves of the nearest-neighbor law itself, with dimensions 2 to 8 and 5 % noise: the error at 8 times the largest
  size, with the true dimension and with twice the true dimension;
- test errors of the networks of docs/results/predict-*, which were not used to choose the dimension: the first three to
  six sizes are fitted, and the errors at the other sizes are forecast.

    python -m benchmarks.forecast.dimension docs/results docs/results/forecast
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from benchmarks.forecast.report import round_numbers
from lcjax.curves.forecast.families import FAMILIES, Family, nearest_neighbor
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json
from lcjax.provenance import environment
from lcjax.theory.closed_forms import equal_gaussians_error

__all__ = ["compare_on_law", "compare_on_networks", "main"]

CURVES = 84  # of the law
COUNTS, LONGEST, RATIO, NOISE = (3, 4, 5, 6), 6, 8.0, 0.05
NETWORKS = ("predict-cifar10-quicknet", "predict-digits-mlp", "predict-mnist-lenet", "predict-mnist-lenet-5")
Scores = dict[str, Float[np.ndarray, " c"]]  # of c curves


def score(
    size: Float[np.ndarray, "b s"],
    error: Float[np.ndarray, "b s"],
    at: Float[np.ndarray, "b m"],
    truth: Float[np.ndarray, "b m"],
    families: Sequence[Family],
) -> Scores:
    """Forecast curves, and score them at sizes `at`.

    Returns:
        Mean absolute log error, mean log density per unit of log error, and coverage of the 90 % interval of every
        curve, and the weight of the last family.
    """
    ahead = forecast(
        jax.random.key(0), LearningCurve(size.astype(np.float32), error.astype(np.float32)), families=families
    )
    low, high = ahead.interval(at, 0.9)
    density = np.asarray(ahead.log_density(at, truth.astype(np.float32)), float) + np.log(truth)
    return {
        "log_error": np.mean(np.abs(np.log(np.asarray(ahead.predict(at), float)) - np.log(truth)), axis=1),
        "log_density": np.mean(density, axis=1),
        "coverage": np.mean((low <= truth) & (truth <= high), axis=1),
        "weight": np.asarray(ahead.weight, float)[:, -1],
    }


def sample_law(rng: np.random.Generator, curves: int) -> dict[str, np.ndarray]:
    """Sample curves of the hypercube law for equal Gaussians at doubling sizes, and the error far beyond them."""
    dimension = rng.integers(2, 9, curves)
    doubling = np.append(2.0 ** np.arange(LONGEST), RATIO * 2.0 ** (LONGEST - 1))
    ratio = 10 ** rng.uniform(0.5, 2, curves)[:, None] * doubling
    error = np.empty(ratio.shape)
    for d in np.unique(dimension):
        rows = dimension == d
        error[rows] = np.asarray(equal_gaussians_error(jnp.asarray(ratio[rows]), d=int(d)))
    return {
        "size": 100 * ratio[:, :-1] / ratio[:, :1],
        "error": error[:, :-1] * np.exp(NOISE * rng.normal(size=(curves, LONGEST))),
        "truth": error[:, -1],
        "dimension": dimension,
    }


def compare_on_law(curves: int) -> dict[str, Any]:
    """Compare forecasts of curves of the law, by the number of fitted sizes."""
    law = sample_law(np.random.default_rng(0), curves)
    dimension = law["dimension"]
    result = {}
    for count in COUNTS:
        shown = np.where(np.arange(LONGEST) >= LONGEST - count, law["error"], np.nan)
        at, truth = RATIO * law["size"][:, -1:], law["truth"][:, None]
        by_prior: dict[str, Scores] = {}
        for name, factor in (("without", None), ("dimension", 1.0), ("twice the dimension", 2.0)):
            scores: Scores = {}
            for d in np.unique(dimension):
                rows = np.flatnonzero(dimension == d)
                families = FAMILIES if factor is None else (*FAMILIES, nearest_neighbor(factor * d))
                part = score(law["size"][rows], shown[rows], at[rows], truth[rows], families)
                for key, values in part.items():
                    scores.setdefault(key, np.empty(curves))[rows] = values
            by_prior[name] = scores
        result[f"{count} sizes"] = summarize(by_prior)
        print("law", count, result[f"{count} sizes"], flush=True)
    return result


def compare_on_networks(folder: Path, networks: Sequence[str]) -> dict[str, Any]:
    """Compare forecasts of measured test errors, by network and number of fitted sizes."""
    result = {}
    for name in networks:
        prediction = json.loads((folder / name / "result.json").read_text())["prediction"]
        size, error = (np.array([prediction["measured"][key]], float) for key in ("size", "error"))
        d = float(prediction["dimension"])
        for count in COUNTS:
            shown = np.where(np.arange(size.shape[1]) < count, error, np.nan)
            families = {"without": FAMILIES, "dimension": (*FAMILIES, nearest_neighbor(d))}
            by_prior = {
                prior: score(size, shown, size[:, count:], error[:, count:], members)
                for prior, members in families.items()
            }
            label = f"{name.removeprefix('predict-')}, dimension {d:g}, {count} sizes"
            result[label] = {
                prior: {key: float(value[0]) for key, value in scores.items() if prior != "without" or key != "weight"}
                for prior, scores in by_prior.items()
            }
            print(label, result[label], flush=True)
    return result


def summarize(by_prior: dict[str, Scores]) -> dict[str, Any]:
    """Average scores over curves, with paired differences of the log error and their standard errors."""
    base = by_prior["without"]
    result: dict[str, Any] = {}
    for name, scores in by_prior.items():
        result[name] = {key: float(np.mean(value)) for key, value in scores.items()}
        if name == "without":
            del result[name]["weight"]
            continue
        change = scores["log_error"] - base["log_error"]
        result[name]["log_error_change"] = float(np.mean(change))
        result[name]["standard_error"] = float(np.std(change, ddof=1) / np.sqrt(len(change)))
    return result


def main(arguments: Sequence[str]) -> None:
    results, output = Path(arguments[0]), Path(arguments[1])
    report = {
        "configuration": {"curves": CURVES, "ratio": RATIO, "noise": NOISE, "networks": NETWORKS},
        "environment": environment(),
        "nearest-neighbor law": compare_on_law(CURVES),
        "networks": compare_on_networks(results, NETWORKS),
    }
    write_json(output / "dimension.json", round_numbers(report))


if __name__ == "__main__":
    main(sys.argv[1:])
