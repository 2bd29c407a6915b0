"""Benefit of a prior on the exponent for curves of three to six sizes.

The error at 8 times the largest size is forecast, with and without the prior, for two families of doubling sizes:

- the nearest-neighbour law itself, dimensions 2 to 8, 5 % noise: the prior is `-1 / d` (Bisla et al., 2021, Eq. 7);
- curves of LCDB 1.1 from its held-out data sets, scored at the largest size. Features are not available, so the prior
  replaces a dimension: median and spread of the exponents of the same learner on the other half of the data sets.

    python -m benchmarks.forecast_short DATA_FOLDER OUTPUT_FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.forecast_lcdb import load
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.forecast.mixture import mixture_forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json
from lcjax.provenance import environment
from lcjax.theory.closed_forms import equal_gaussians_error

COUNTS, LONGEST, RATIO, DRAWS, EACH, NOISE = (3, 4, 5, 6), 6, 8.0, 40, 256, 0.05
NO_PRIOR = 1e3  # an uninformative standard deviation, so that both cases share one compiled program


def synthetic(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw curves of the hypercube law for equal Gaussians, at sizes beyond its plateau."""
    dimension = rng.integers(2, 9, EACH)
    ratio = 10 ** rng.uniform(0.5, 2, EACH)[:, None] * np.append(
        2.0 ** np.arange(LONGEST), RATIO * 2.0 ** (LONGEST - 1)
    )
    error = np.empty(ratio.shape)
    for d in np.unique(dimension):
        rows = dimension == d
        error[rows] = np.asarray(equal_gaussians_error(jnp.asarray(ratio[rows]), d=int(d)))
    return {
        "size": 100 * ratio[:, :-1] / ratio[:, :1],
        "error": error[:, :-1] * np.exp(NOISE * rng.normal(size=(EACH, LONGEST))),
        "truth": error[:, -1],
        "exponent": -1.0 / dimension,
        "spread": np.full(EACH, 0.3),
    }


def lcdb(folder: Path) -> dict[str, np.ndarray]:
    """Return octaves of curves of held-out data sets, and the exponents of their learners on the others."""
    data = load(folder)
    size, error, learner = data["size"], data["error"], data["learner"]
    octave = np.round(np.log2(data["largest"] / RATIO)[:, None] - np.arange(LONGEST)[::-1], 6)
    place = np.abs(np.log2(size)[None, None, :] - octave[..., None]).argmin(axis=-1)
    rows = np.take_along_axis(error, place, axis=1)
    x = np.log(size[place])
    known = np.all(rows > 0, axis=1)
    y = np.log(np.where(rows > 0, rows, 1.0))
    dx = x - x.mean(axis=1, keepdims=True)
    slope = (dx * y).sum(axis=1) / (dx**2).sum(axis=1)
    tuning = (data["data_set"] % 2 == 0) & known & (slope < -0.01)
    names = np.unique(learner)
    typical = {k: np.log(-slope[tuning & (learner == k)]) for k in names if np.any(tuning & (learner == k))}
    last = np.array([np.flatnonzero(~np.isnan(e))[-1] for e in error])
    truth = error[np.arange(len(error)), last]
    chosen = np.flatnonzero((data["data_set"] % 2 == 1) & known & (truth > 0) & np.isin(learner, list(typical)))[:EACH]
    return {
        "size": size[place[chosen]],
        "error": rows[chosen],
        "truth": truth[chosen],
        "exponent": np.array([-np.exp(np.median(typical[k])) for k in learner[chosen]]),
        "spread": np.array([np.std(typical[k]) for k in learner[chosen]]),
    }


def score(family: dict[str, np.ndarray], *, prior: bool) -> dict[str, Any]:
    """Return the root-mean-square and median log error and the coverage of 90 % intervals, by number of sizes."""
    shown = [np.where(np.arange(LONGEST) >= LONGEST - count, family["error"], np.nan) for count in COUNTS]
    size = np.concatenate([family["size"]] * len(COUNTS))
    exponent, spread = (np.concatenate([family[name]] * len(COUNTS)) for name in ("exponent", "spread"))
    forecasts = mixture_forecast(
        jax.random.key(0),
        LearningCurve(jnp.asarray(size, jnp.float32), jnp.asarray(np.concatenate(shown), jnp.float32)),
        prior=ExponentPrior(
            jnp.asarray(exponent, jnp.float32),
            jnp.asarray(spread if prior else np.full_like(spread, NO_PRIOR), jnp.float32),
        ),
        draws=DRAWS,
    )
    at = jnp.asarray(RATIO * size[:, -1:], jnp.float32)
    predicted = np.log(np.asarray(forecasts.predict(at), float)[:, 0])
    low, high = (np.asarray(limit, float)[:, 0] for limit in forecasts.interval(at, 0.9))
    truth = np.concatenate([family["truth"]] * len(COUNTS))
    apart = predicted - np.log(truth)
    found = {}
    for i, count in enumerate(COUNTS):
        rows = slice(i * len(family["truth"]), (i + 1) * len(family["truth"]))
        inside = (low[rows] <= truth[rows]) & (truth[rows] <= high[rows])
        found[f"{count} sizes"] = {
            "rms_log_error": round(float(np.sqrt(np.mean(apart[rows] ** 2))), 4),
            "median_log_error": round(float(np.median(np.abs(apart[rows]))), 4),
            "coverage": round(float(inside.mean()), 3),
        }
    return found


def main() -> None:
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    families = {"nearest-neighbour law": synthetic(np.random.default_rng(0)), "LCDB 1.1": lcdb(folder)}
    result: dict[str, Any] = {"environment": environment(), "curves": EACH, "ratio": RATIO, "noise": NOISE}
    for name, family in families.items():
        result[name] = {"with prior": score(family, prior=True), "without": score(family, prior=False)}
        for which in ("with prior", "without"):
            print(name, which, result[name][which], flush=True)
    write_json(output / "short_curves.json", result)


if __name__ == "__main__":
    main()
