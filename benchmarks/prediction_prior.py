"""Prior weights, discrepancy and calibration of the answer of `lcjax predict`, learned on the tuning half of LCDB 1.1.

    python -m benchmarks.prediction_prior DATA_FOLDER/lcdb11 OUTPUT

Curves of data sets with even numbers are reduced to four to seven sizes that double, as in `lcjax predict`, and to the
following sizes that double, up to sixteen times the largest fitted one. A curve is used if its errors are below the
error of DummyClassifier and fall by a fifth over the last three fitted octaves. From the fitted sizes, and for the
first curves also without the largest one and two, the errors are predicted by three methods: the forecast
(`lcjax.forecast`), a power law (least squares of log errors) and the last value. `prior.json` has

- `discrepancy`: Student distributions of the log ratio of measured to predicted errors of the power law and the last
  value, with scale `scale * log(size / largest)^power` (`lcjax.studies.prediction.scoring.discrepancy.PRIOR`);
- `stacking`: weights of the methods that maximize the mean log density of held-out errors, and the same with weights
  multiplied by `exp(shrinkage * back-test log density)` (`lcjax.studies.prediction.scoring.weights`);
- `calibration`: Beta distribution of the forecast's probability integral transform, by the steepness of the fitted
  errors and the ratio of sizes (`lcjax.studies.prediction.methods.calibration`), its gain in log density,
  cross-validated over data sets, and the measured against the calibrated tails.
"""

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike

from benchmarks.forecast.sources import FAMILIES
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import cache_folder, require_folder, write_json
from lcjax.provenance import environment
from lcjax.studies.prediction.methods.calibration import shape_logarithms, steepness

MOST, AHEAD, OCTAVE = 7, 4, 8  # fitted and held-out sizes at most; LCDB has eight sizes an octave
LEVELS = 99  # quantiles from which the probability integral transform is computed
BLOCK = 50


class Curves(NamedTuple):
    """Curves of sizes that double: the fitted ones end at column `MOST`, absent ones are nan."""

    size: np.ndarray
    error: np.ndarray
    chance: np.ndarray
    data_set: np.ndarray


class Forecasts(NamedTuple):
    """Log densities of the measured log errors, and probability integral transforms, `(b, ahead)`."""

    log_density: np.ndarray
    transform: np.ndarray


def read(folder: Path, most: int, seed: int = 20) -> Curves:
    """Read a fixed random sample of curves."""
    meta = json.loads((require_folder(folder) / "lcdb11_meta.json").read_text())
    packed = np.load(folder / "lcdb11_error_rate.npz")["er"][::2, :, 0, :, 1].astype(float)
    error, anchors = np.where(packed < 0, np.nan, packed * 1e-4), np.asarray(meta["anchors"], float)
    learners = [meta["learners"].index(name) for names in FAMILIES.values() for name in names]
    dummy = error[:, meta["learners"].index("DummyClassifier")]
    pairs = [(data_set, learner) for data_set in range(len(error)) for learner in learners]
    rows = []
    for place in np.random.default_rng(seed).permutation(len(pairs)):
        data_set, learner = pairs[place]
        rng = np.random.default_rng([seed, data_set, learner])
        count, held = int(rng.integers(4, MOST + 1)), int(rng.integers(1, AHEAD + 1))
        curve = error[data_set, learner]
        there = np.flatnonzero(np.isfinite(curve))
        chance = dummy[data_set][np.isfinite(dummy[data_set])]
        if not len(there) or not len(chance):
            continue
        top = there[-1] - OCTAVE * held
        at = top + OCTAVE * np.arange(1 - count, AHEAD + 1)
        if at[0] < 0:
            continue
        inside = (at <= there[-1]) & (at < len(anchors))
        y = np.where(inside, curve[np.minimum(at, len(anchors) - 1)], np.nan)
        fitted = y[:count]
        if not np.all(np.isfinite(y[: count + 1])) or np.nanmin(y) <= 0 or fitted.min() >= chance[-1]:
            continue
        if fitted[-1] > 0.8 * fitted[max(0, count - 4)]:
            continue
        x = np.where(at < len(anchors), anchors[np.minimum(at, len(anchors) - 1)], np.nan)
        x = np.where(np.isfinite(x), x, anchors[top] * 2.0 ** np.arange(1 - count, AHEAD + 1))
        pad = np.full(MOST - count, np.nan)
        rows.append((np.append(pad, x), np.append(pad, y), chance[-1], 2 * data_set))
        if len(rows) == most:
            break
    return Curves(*(np.asarray(part) for part in zip(*rows, strict=True)))


def run_forecasts(curves: Curves, drop: int) -> Forecasts:
    """Forecast the errors from the fitted sizes without the largest `drop` ones."""
    dtype = jnp.result_type(float)
    parts = []
    for begin in range(0, len(curves.size), BLOCK):
        size, error, chance = (part[begin : begin + BLOCK] for part in curves[:3])
        fitted = np.where(np.arange(MOST) < MOST - drop, error[:, :MOST], np.nan)
        sizes = np.where(np.isfinite(size[:, :MOST]), size[:, :MOST], 1.0)
        curve = LearningCurve(sizes.astype(dtype), fitted.astype(dtype))
        ahead = forecast(jax.random.key(begin + drop), curve, chance=chance.astype(dtype), allow_rising=True)
        at, truth = size[:, MOST - drop :].astype(dtype), error[:, MOST - drop :]
        shown = np.where(np.isfinite(truth), truth, 0.01)
        density = np.asarray(ahead.log_density(at, shown.astype(dtype)), float) + np.log(shown)
        quantiles = np.asarray(ahead.quantile(at, (np.arange(LEVELS) + 0.5) / LEVELS), float)
        transform = (np.sum(quantiles < shown[..., None], axis=-1) + 0.5) / (LEVELS + 1)
        absent = ~np.isfinite(truth)
        parts.append([np.where(absent, np.nan, value) for value in (density, transform)])
        print(f"without {drop} sizes: {begin + len(size)} of {len(curves.size)} curves", flush=True)
    return Forecasts(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def residuals(curves: Curves, drop: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return log residuals and log ratios of sizes by method."""
    fitted = np.arange(MOST) < MOST - drop
    x, y = np.log(curves.size), np.log(curves.error)
    there = np.isfinite(y[:, :MOST]) & fitted
    count = there.sum(axis=1, keepdims=True)
    xs, ys = np.where(there, x[:, :MOST], 0.0), np.where(there, y[:, :MOST], 0.0)
    mx, my = xs.sum(axis=1, keepdims=True) / count, ys.sum(axis=1, keepdims=True) / count
    slope = np.sum(np.where(there, (xs - mx) * (ys - my), 0.0), axis=1) / np.sum(there * (xs - mx) ** 2, axis=1)
    slope = np.minimum(slope, -1e-3)[:, None]
    last = MOST - drop - 1
    ahead, truth = x[:, last + 1 :], y[:, last + 1 :]
    ratio = ahead - x[:, last : last + 1]
    return {
        "power_law": (truth - my - slope * (ahead - mx), ratio),
        "last_value": (truth - y[:, last : last + 1], ratio),
    }


def fit_student(residual: np.ndarray, ratio: np.ndarray) -> dict[str, float]:
    """Fit scale, degrees of freedom and the power of the log ratio by maximum likelihood."""
    there = np.isfinite(residual)
    r, x = residual[there], ratio[there]

    def loss(p: np.ndarray) -> float:
        return -float(np.mean(scipy.stats.t.logpdf(r, np.exp(p[1]), scale=np.exp(p[0]) * x ** p[2])))

    best = minimize(loss, [np.log(0.2), 1.0, 0.7])
    return {"scale": float(np.exp(best[0])), "degrees": float(np.exp(best[1])), "power": float(best[2])}


def minimize(loss: Callable[[np.ndarray], float], start: ArrayLike) -> np.ndarray:
    """Minimize by the Nelder-Mead simplex."""
    options = {"maxiter": 4000, "maxfev": 8000, "xatol": 1e-4, "fatol": 1e-7}
    return np.asarray(scipy.optimize.minimize(loss, start, method="Nelder-Mead", options=options).x)


def student_density(fit: dict[str, float], residual: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Return log densities of residuals."""
    scale = fit["scale"] * ratio ** fit["power"]
    return np.asarray(scipy.stats.t.logpdf(residual, fit["degrees"], scale=scale))


def adapted_density(
    fit: dict[str, float], back: list[tuple[np.ndarray, np.ndarray]], residual: np.ndarray, ratio: np.ndarray
) -> np.ndarray:
    """Return log densities with the scale of each curve updated by its back-tests, as `lcjax predict` does."""
    total = np.full(len(residual), fit["degrees"] * fit["scale"] ** 2)
    for drop, (error, x) in enumerate(back, start=1):
        total += np.mean(error[:, :drop] ** 2 / x[:, :drop] ** (2 * fit["power"]), axis=1)
    degrees = fit["degrees"] + len(back)
    scale = np.sqrt(total / degrees)[:, None] * ratio ** fit["power"]
    return np.asarray(scipy.stats.t.logpdf(residual, degrees, scale=scale))


def calibrated_density(curves: Curves, forecasts: Forecasts, shape: np.ndarray) -> np.ndarray:
    """Return log densities of the calibrated forecast at the held-out errors of the first curves."""
    rows = slice(len(curves.size))
    steep = np.array([steepness(x, y) for x, y in zip(curves.size[:, :MOST], curves.error[:, :MOST], strict=True)])
    ratio = np.log(curves.size[:, MOST:] / curves.size[:, MOST - 1 : MOST])
    a, b = shape_logarithms(np.broadcast_to(steep[:, None], ratio.shape), ratio, shape)
    density = scipy.stats.beta.logpdf(forecasts.transform[rows], np.exp(a), np.exp(b))
    return np.asarray(forecasts.log_density[rows] + density)


def _stored(path: Path, curves: Curves, first: Curves) -> list[Forecasts]:
    """Return the forecasts of all curves, and of the first ones without one and two sizes; stored for another run."""
    if not path.exists():
        made = [run_forecasts(curves, 0), *(run_forecasts(first, drop) for drop in (1, 2))]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{f"{name}{i}": part for i, one in enumerate(made) for name, part in one._asdict().items()})
    with np.load(path) as file:
        return [Forecasts(file[f"log_density{i}"], file[f"transform{i}"]) for i in range(3)]


def stack(density: np.ndarray, evidence: np.ndarray, there: np.ndarray) -> dict[str, object]:
    """Return the prior weights, and the shrinkage, that maximize the mean log density.

    Args:
        density: log densities of held-out errors, `(b, ahead, methods)`.
        evidence: log densities of the back-tests, `(b, methods)`.
        there: True where there is a held-out error.
    """

    def score(logits: np.ndarray, power: float) -> float:
        weight = scipy.special.log_softmax(np.append(logits, 0.0) + power * evidence, axis=1)
        return float(np.mean(scipy.special.logsumexp(density + weight[:, None], axis=-1)[there]))

    table: dict[str, object] = {}
    for power in (0.0, 0.1, 0.25, 0.5, 1.0):
        best = minimize(functools.partial(lambda power, logits: -score(logits, power), power), [1.0, 0.0])
        weight = scipy.special.softmax(np.append(best, 0.0))
        table[f"{power:g}"] = {"weights": weight.round(3).tolist(), "log_density": round(score(best, power), 4)}
    return table


def calibrate(curves: Curves, forecasts: Forecasts) -> dict[str, object]:
    """Fit the Beta distribution of the transforms and compare its tails with the measured ones."""
    steep = np.array([steepness(x, y) for x, y in zip(curves.size[:, :MOST], curves.error[:, :MOST], strict=True)])
    ratio = np.log(curves.size[:, MOST:] / curves.size[:, MOST - 1 : MOST])
    there = np.isfinite(forecasts.transform)
    value = forecasts.transform[there]
    s = np.broadcast_to(steep[:, None], there.shape)[there]
    x = ratio[there]
    data_set = np.broadcast_to(curves.data_set[:, None], there.shape)[there]

    def loss(p: np.ndarray, rows: np.ndarray) -> float:
        a, b = np.exp(shape_logarithms(s[rows], x[rows], np.asarray(p).reshape(2, 3)))
        return -float(np.mean(scipy.stats.beta.logpdf(value[rows], a, b)))

    every = np.ones(len(value), bool)
    best = minimize(lambda p: loss(p, every), np.zeros(6))
    fold = np.unique(data_set, return_inverse=True)[1] % 5
    gain = 0.0
    for i in range(5):
        own = minimize(functools.partial(loss, rows=fold != i), best)
        gain -= loss(own, fold == i) * float(np.mean(fold == i))
    tails = []
    for low, high in ((-np.inf, 0.35), (0.35, 0.5), (0.5, np.inf)):
        for name, near in (("2", x < 1.0), ("4 to 16", x > 1.0)):
            rows = (s >= low) & (s < high) & near
            a, b = np.exp(shape_logarithms(s[rows], x[rows], best.reshape(2, 3)))
            measured = {f"{v:g}": round(float(np.mean(value[rows] > v)), 3) for v in (0.05, 0.5, 0.8, 0.85, 0.9, 0.95)}
            fitted = {k: round(float(np.mean(scipy.stats.beta.sf(float(k), a, b))), 3) for k in measured}
            tails.append(
                {"steepness": [low, high], "ratio": name, "errors": int(rows.sum()),
                 "data_sets": len(set(data_set[rows])), "measured_above": measured, "calibrated_above": fitted}
            )  # fmt: skip
    return {"shape": best.reshape(2, 3).round(3).tolist(), "cross_validated_gain": round(gain, 4), "tails": tails}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction_prior", description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of LCDB 1.1.")
    parser.add_argument("output", type=Path, help="Folder of the results.")
    parser.add_argument("--curves", type=int, default=900, help="Number of curves [default: 900].")
    parser.add_argument("--tested", type=int, default=300, help="Number of curves with back-tests [default: 300].")
    options = parser.parse_args()
    if (cache := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache))
    curves = read(options.folder, options.curves)
    first = Curves(*(part[: options.tested] for part in curves))
    forecasts, *tests = _stored(options.output / "forecasts.npz", curves, first)
    left = residuals(curves, 0)
    fits = {name: fit_student(*pair) for name, pair in left.items()}

    names = ["forecast", *fits]
    first_left = {name: tuple(part[: options.tested] for part in pair) for name, pair in left.items()}
    back = [residuals(first, drop) for drop in (1, 2)]
    calibration = calibrate(curves, forecasts)
    density = np.stack(
        [calibrated_density(first, forecasts, np.asarray(calibration["shape"]))]
        + [adapted_density(fits[name], [b[name] for b in back], *first_left[name]) for name in fits],
        axis=-1,
    )
    evidence = np.zeros((len(first.size), len(names)))
    for drop, test, own in zip((1, 2), tests, back, strict=True):
        columns = [test.log_density] + [student_density(fits[name], *own[name]) for name in fits]
        counts = np.array([1.0]) * 2 if drop == 1 else np.array([1.0, 2.0])  # cuts that predict the same error
        evidence += np.stack([(column[:, :drop] / counts).sum(axis=1) for column in columns], axis=1)
    there = np.isfinite(density[..., 0])
    results = {
        "curves": len(curves.size),
        "data_sets": len(set(curves.data_set.tolist())),
        "held_out_errors": int(np.isfinite(forecasts.transform).sum()),
        "discrepancy": fits,
        "methods": names,
        "log_density": {n: round(float(density[..., i][there].mean()), 4) for i, n in enumerate(names)},
        "stacking": stack(np.where(there[..., None], density, 0.0), evidence, there),
        "calibration": calibration,
    }
    settings = {"curves": options.curves, "tested": options.tested, "source": "lcdb:lcdb11, even data sets"}
    write_json(options.output / "prior.json", {"configuration": settings, "environment": environment(), **results})
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
