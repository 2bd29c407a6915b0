"""How well forecasts extrapolate the learning curves of LCDB 1.1, and what their intervals cover.

Sizes up to a quarter of a curve's largest are fitted, the rest is held out: the absolute error of the error rate at the
largest size is scored, and the coverage of the intervals at every held-out size. Curves with fewer than 12 sizes to fit
are left out.

    python -m benchmarks.forecast_lcdb DATA_FOLDER OUTPUT_FOLDER [CURVES]
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.curves.forecast import Forecast, forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import write_json

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
METHODS = ("forecast", "last_value", "power_law_offset", "mmf", "shifted_power_law")
VALIDATION, FEWEST, RATIO, CHUNK, DRAWS = 1, 12, 4.0, 512, 40


def load(folder: Path) -> dict[str, Any]:
    """Curves in a fixed random order: sizes, errors with nan for absent ones, learner, which sizes are fitted."""
    meta = json.loads((folder / "lcdb11_meta.json").read_text())
    packed = np.load(folder / "lcdb11_error_rate.npz")["er"][:, :, 0, :, VALIDATION]
    size = np.asarray(meta["anchors"], float)
    error = np.where(packed < 0, np.nan, packed / 1e4).reshape(-1, len(size))
    learner = np.tile(np.arange(packed.shape[1]), packed.shape[0])
    present = ~np.isnan(error)
    largest = np.where(present, size, 0).max(axis=1)
    fitted = present & (size <= largest[:, None] / RATIO)
    keep = np.random.default_rng(0).permutation(np.flatnonzero(fitted.sum(axis=1) >= FEWEST))
    return {
        "size": size,
        "error": error[keep],
        "learner": learner[keep],
        "largest": largest[keep],
        "fitted": fitted[keep],
        "names": meta["learners"],
    }


@jax.jit
def evaluate(told: Forecast, sizes: jax.Array, largest: jax.Array) -> tuple[jax.Array, ...]:
    """Predictions at the largest size, one per method, and limits of the intervals at all sizes."""
    chosen = {fit.form.__name__: fit for fit in told.fits}
    at_largest = [told.predict(largest), *(chosen[name].predict(largest) for name in METHODS[1:])]
    draws = told.predict_draws(sizes)
    limits = jnp.asarray([0.5 - s * level / 2 for s in (1, -1) for level in LEVELS])
    return jnp.concatenate(at_largest, axis=-1), jnp.quantile(draws, limits, axis=-2)


def run(data: Path, curves: int | None = None) -> dict[str, Any]:
    lcdb = load(data)
    count = min(curves or len(lcdb["learner"]), len(lcdb["learner"]))
    size, width = lcdb["size"], int(lcdb["fitted"].any(axis=0).sum())
    error = np.where(lcdb["fitted"], lcdb["error"], np.nan)[:, :width]
    held = ~np.isnan(lcdb["error"]) & (size > lcdb["largest"][:, None] / RATIO)
    predicted, covered = [], []
    start = time.perf_counter()
    for first in range(0, count, CHUNK):
        rows = np.arange(first, first + CHUNK) % len(error)  # the last chunk wraps round, so that all have one shape
        part = LearningCurve(jnp.asarray(size[:width], jnp.float32), jnp.asarray(error[rows], jnp.float32))
        told = forecast(jax.random.key(first), part, draws=DRAWS)
        at_largest, limits = evaluate(
            told, jnp.asarray(size, jnp.float32), jnp.asarray(lcdb["largest"][rows, None], jnp.float32)
        )
        predicted.append(np.asarray(at_largest, float))
        low, high = np.asarray(limits, float).reshape(2, len(LEVELS), *held[rows].shape)
        # Error rates are stored in steps of 1e-4: an interval narrower than that cannot be asked to hold one.
        inside = (low - 5e-5 <= lcdb["error"][rows]) & (lcdb["error"][rows] <= high + 5e-5)
        covered.append(np.sum(inside & held[rows], axis=-1).T / held[rows].sum(axis=-1)[:, None])
        print(f"{min(first + CHUNK, count)} of {count} curves, {time.perf_counter() - start:.0f} s", flush=True)
    predictions, coverage = (np.concatenate(a)[:count] for a in (predicted, covered))
    target = lcdb["error"][np.arange(count), [np.flatnonzero(~np.isnan(e))[-1] for e in lcdb["error"][:count]]]
    return _summary(np.abs(predictions - target[:, None]), coverage, lcdb["learner"][:count], lcdb["names"])


def _summary(error: np.ndarray, coverage: np.ndarray, learner: np.ndarray, names: list[str]) -> dict[str, Any]:
    def scores(rows: np.ndarray) -> dict[str, Any]:
        return {
            "curves": int(rows.sum()),
            "mean": dict(zip(METHODS, error[rows].mean(axis=0).round(4).tolist(), strict=True)),
            # Errors below the step of the data, 1e-4, count as that step.
            "geometric_mean": dict(
                zip(METHODS, np.exp(np.log(np.maximum(error[rows], 1e-4)).mean(axis=0)).round(4).tolist(), strict=True)
            ),
            "worst": dict(zip(METHODS, error[rows].max(axis=0).round(4).tolist(), strict=True)),
            "coverage": dict(zip(map(str, LEVELS), coverage[rows].mean(axis=0).round(3).tolist(), strict=True)),
        }

    everything = {"all": scores(np.ones(len(learner), bool))}
    return everything | {name: scores(learner == i) for i, name in enumerate(names) if np.any(learner == i)}


def draw(summary: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 6), layout="constrained")
    names = [name for name in summary if name != "all"]
    for method, marker in zip(METHODS[:4], "o|x+", strict=True):
        left.plot([summary[n]["mean"][method] for n in names], range(len(names)), marker, label=method)
    left.set_yticks(range(len(names)), names, fontsize=7)
    left.set(xscale="log", xlabel="mean absolute error at 4 x the largest size fitted")
    left.legend(fontsize=8)
    for name in names:
        right.plot(LEVELS, list(summary[name]["coverage"].values()), color="0.8", lw=0.8)
    right.plot(LEVELS, list(summary["all"]["coverage"].values()), "o-", color="C0", label="all curves")
    right.plot([0.45, 1], [0.45, 1], "k:", lw=1, label="nominal")
    right.set(xlabel="nominal level", ylabel="coverage of held-out sizes (grey: each learner)")
    right.legend(fontsize=8)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    data, output = Path(sys.argv[1]), Path(sys.argv[2])
    curves = int(sys.argv[3]) if len(sys.argv) > 3 else None
    summary = run(data, curves)
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "lcdb11.json", summary)
    draw(summary, output / "lcdb11.png")
    print(json.dumps(summary["all"], indent=1))


if __name__ == "__main__":
    main()
