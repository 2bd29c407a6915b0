"""Accuracy of forecasts of the learning curves of LCDB 1.1, and coverage of their intervals.

Sizes up to a quarter of a curve's largest are fitted and the others held out. The scores are the absolute error of the
error rate at the largest size, and the coverage of the intervals at every held-out size. Curves with fewer than 12
sizes to fit are omitted. The constants of the forecast were tuned only on the data sets with even numbers; both halves
are reported.

    python -m benchmarks.forecast_lcdb DATA_FOLDER OUTPUT_FOLDER [CURVES]

Forecasts are stored in parts in OUTPUT_FOLDER/runs, from which an interrupted run resumes. Remove them after a change
of the forecast.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from lcjax.cli.output import save_figure
from lcjax.curves.forecast.mixture import MixtureForecast, mixture_forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json
from lcjax.plots.curves import plot_coverage
from lcjax.provenance import environment

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
METHODS = ("forecast", "last_value", "power_law_offset", "mmf", "shifted_power_law")
# Required mean errors at the largest size: the best of last value, pow3 and mmf4 as fitted elsewhere.
DEMANDED = {"MLP": 0.0323, "RealMLP": 0.0241, "TabNet": 0.1654}
VALIDATION, FEWEST, RATIO, CHUNK, DRAWS = 1, 12, 4.0, 512, 40


def load(folder: Path) -> dict[str, Any]:
    """Return curves in a fixed random order: sizes, errors (nan where absent), learner, data set, fitted sizes."""
    meta = json.loads((folder / "lcdb11_meta.json").read_text())
    packed = np.load(folder / "lcdb11_error_rate.npz")["er"][:, :, 0, :, VALIDATION]
    size = np.asarray(meta["anchors"], float)
    error = np.where(packed < 0, np.nan, packed / 1e4).reshape(-1, len(size))
    learner = np.tile(np.arange(packed.shape[1]), packed.shape[0])
    data_set = np.repeat(np.arange(packed.shape[0]), packed.shape[1])
    present = ~np.isnan(error)
    largest = np.where(present, size, 0).max(axis=1)
    fitted = present & (size <= largest[:, None] / RATIO)
    keep = np.random.default_rng(0).permutation(np.flatnonzero(fitted.sum(axis=1) >= FEWEST))
    return {
        "size": size,
        "error": error[keep],
        "learner": learner[keep],
        "data_set": data_set[keep],
        "largest": largest[keep],
        "fitted": fitted[keep],
        "names": meta["learners"],
    }


@jax.jit
def evaluate(forecasts: MixtureForecast, sizes: jax.Array, largest: jax.Array) -> tuple[jax.Array, ...]:
    """Return predictions at the largest size, one per method, and limits of the intervals at all sizes."""
    chosen = {fit.form.__name__: fit for fit in forecasts.fits}
    at_largest = [forecasts.predict(largest), *(chosen[name].predict(largest) for name in METHODS[1:])]
    draws = forecasts.predict_draws(sizes)
    limits = jnp.asarray([0.5 - s * level / 2 for s in (1, -1) for level in LEVELS])
    return jnp.concatenate(at_largest, axis=-1), jnp.quantile(draws, limits, axis=-2), forecasts.predict(sizes)


def piece(lcdb: dict[str, Any], first: int) -> dict[str, np.ndarray]:
    """Forecast the curves from number `first` on: predictions, coverage, logarithmic errors, weights."""
    size, width = lcdb["size"], int(lcdb["fitted"].any(axis=0).sum())
    rows = np.arange(first, first + CHUNK) % len(lcdb["error"])  # wraps around, so that all parts have one shape
    error = np.where(lcdb["fitted"], lcdb["error"], np.nan)[rows, :width]
    held = ~np.isnan(lcdb["error"][rows]) & (size > lcdb["largest"][rows, None] / RATIO)
    part = LearningCurve(jnp.asarray(size[:width], jnp.float32), jnp.asarray(error, jnp.float32))
    forecasts = mixture_forecast(jax.random.key(first), part, draws=DRAWS)
    at_largest, limits, center = evaluate(
        forecasts, jnp.asarray(size, jnp.float32), jnp.asarray(lcdb["largest"][rows, None], jnp.float32)
    )
    low, high = np.asarray(limits, float).reshape(2, len(LEVELS), *held.shape)
    # Error rates are stored in steps of 1e-4: a narrower interval cannot be expected to contain one.
    inside = (low - 5e-5 <= lcdb["error"][rows]) & (lcdb["error"][rows] <= high + 5e-5)
    apart = np.log(np.asarray(center, float)) - np.log(np.maximum(np.where(held, lcdb["error"][rows], 1), 1e-4))
    return {
        "predicted": np.asarray(at_largest, float),
        "covered": np.sum(inside & held, axis=-1).T / held.sum(axis=-1)[:, None],
        "log_error": np.sqrt(np.where(held, apart**2, 0).sum(axis=-1) / held.sum(axis=-1)),
        "weight": np.asarray(forecasts.weight, float),
        "score": np.asarray(forecasts.score, float),
    }


def run(data: Path, pieces: Path, curves: int | None = None) -> dict[str, Any]:
    """Score all curves, or the first `curves`; parts stored in `pieces` are not recomputed."""
    lcdb = load(data)
    count = min(curves or len(lcdb["learner"]), len(lcdb["learner"]))
    pieces.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    found = []
    for first in range(0, count, CHUNK):
        kept = pieces / f"{first}.npz"
        if not kept.exists():
            np.savez(kept, **piece(lcdb, first))  # type: ignore[arg-type]
        found.append(dict(np.load(kept)))
        print(f"{min(first + CHUNK, count)} of {count} curves, {time.perf_counter() - start:.0f} s", flush=True)
    predictions, coverage, log_error = (
        np.concatenate([part[name] for part in found])[:count] for name in ("predicted", "covered", "log_error")
    )
    target = lcdb["error"][np.arange(count), [np.flatnonzero(~np.isnan(e))[-1] for e in lcdb["error"][:count]]]
    absolute, learner = np.abs(predictions - target[:, None]), lcdb["learner"][:count]
    tuned = lcdb["data_set"][:count] % 2 == 0
    falls = monotone(lcdb["error"][:count])
    well_behaved = [
        str(n) for i, n in enumerate(lcdb["names"]) if np.any(learner == i) and falls[learner == i].mean() > 0.5
    ]
    halves = {"all curves": np.ones(count, bool), "tuning half": tuned, "held-out half": ~tuned}
    return {
        "environment": environment(),
        "well_behaved": well_behaved,
        **{
            half: _summary(absolute[rows], log_error[rows], coverage[rows], learner[rows], lcdb["names"])
            for half, rows in halves.items()
        },
    }


def monotone(error: np.ndarray) -> np.ndarray:
    """Return True where no mean of three successive sizes exceeds an earlier one by over a tenth of the fall."""
    found = []
    for curve in error:
        known = curve[~np.isnan(curve)]
        smooth = np.convolve(known, np.ones(3) / 3, mode="valid")
        rise = np.max(smooth - np.minimum.accumulate(smooth))
        found.append(rise <= 0.1 * max(smooth[0] - smooth.min(), 1e-3))
    return np.array(found)


def _summary(
    error: np.ndarray, log_error: np.ndarray, coverage: np.ndarray, learner: np.ndarray, names: list[str]
) -> dict[str, Any]:
    def scores(rows: np.ndarray) -> dict[str, Any]:
        return {
            "curves": int(rows.sum()),
            "mean": dict(zip(METHODS, error[rows].mean(axis=0).round(4).tolist(), strict=True)),
            # Errors below the resolution of the data, 1e-4, count as 1e-4.
            "geometric_mean": dict(
                zip(METHODS, np.exp(np.log(np.maximum(error[rows], 1e-4)).mean(axis=0)).round(4).tolist(), strict=True)
            ),
            "worst": dict(zip(METHODS, error[rows].max(axis=0).round(4).tolist(), strict=True)),
            "log_error": round(float(log_error[rows].mean()), 4),
            "coverage": dict(zip(map(str, LEVELS), coverage[rows].mean(axis=0).round(3).tolist(), strict=True)),
        }

    everything = {"all": scores(np.ones(len(learner), bool))}
    return everything | {name: scores(learner == i) for i, name in enumerate(names) if np.any(learner == i)}


def draw(summary: dict[str, Any], path: Path) -> None:
    figure = Figure(figsize=(10.5, 6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    half = summary["held-out half"]
    names = sorted((n for n in half if n != "all"), key=lambda n: -half[n]["mean"]["forecast"])
    for method, marker, color in zip(METHODS[:4], "o|x+", ("C0", "C1", "C2", "C3"), strict=True):
        values = [half[n]["mean"][method] for n in names]
        left.plot(values, range(len(names)), marker, color=color, label=method.replace("_", " "))
    left.set_yticks(range(len(names)), names, fontsize=7)
    left.set(xscale="log", xlabel="mean absolute error at 4 x the largest fitted size")
    left.set_title("held-out half of the data sets", fontsize="medium")
    left.legend(fontsize=8)
    shares = {name: np.array(list(scores["coverage"].values())) for name, scores in half.items()}
    plot_coverage(np.array(LEVELS), shares, right)
    right.set_title("held-out half (grey: each learner)", fontsize="medium")
    save_figure(figure, path)


def report(summary: dict[str, Any]) -> str:
    """Return the requirements and the measurements as text."""
    lines = []
    for half in ("tuning half", "held-out half", "all curves"):
        found = summary[half]
        lines.append(f"{half}: {found['all']['curves']} curves, mean {found['all']['mean']}")
        lines.append("  coverage " + " ".join(f"{k}: {v}" for k, v in found["all"]["coverage"].items()))
        for name, bound in DEMANDED.items():
            means = found[name]["mean"]
            best = min(means[m] for m in ("last_value", "power_law_offset", "mmf"))
            lines.append(f"  {name}: {means['forecast']:.4f}, best single {best:.4f}, required on all {bound:.4f}")
        covers = {name: found[name]["coverage"]["0.9"] for name in summary["well_behaved"] if name in found}
        least = min(covers, key=covers.__getitem__)
        lines.append(f"  90 % intervals of {len(covers)} well-behaved learners: at least {covers[least]} ({least})")
        last = [n for n in found if n != "all" and found[n]["mean"]["forecast"] > found[n]["mean"]["last_value"]]
        lines.append(f"  learners where the last value is better on average: {', '.join(last) or 'none'}")
    return "\n".join(lines)


def main() -> None:
    data, output = Path(sys.argv[1]), Path(sys.argv[2])
    curves = int(sys.argv[3]) if len(sys.argv) > 3 else None
    summary = run(data, output / "runs", curves)
    write_json(output / "lcdb11.json", summary)
    draw(summary, output / "lcdb11")
    (output / "report.txt").write_text(report(summary) + "\n")
    print(report(summary))


if __name__ == "__main__":
    main()
