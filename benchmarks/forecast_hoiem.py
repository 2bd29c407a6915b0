"""Forecasts of the learning curves of Hoiem et al. (2021): five image classifiers with repeats at five sizes.

Sizes up to a quarter, and up to a half, of the largest are fitted, with all repeats; the error at the largest size is
held out. No constant was tuned on these curves.

    python -m benchmarks.forecast_hoiem DATA_FOLDER OUTPUT_FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from lcjax.cli.output import save_figure
from lcjax.curves.forecast.mixture import mixture_forecast
from lcjax.curves.learning_curve import curve_from_replicates
from lcjax.files import write_json
from lcjax.provenance import environment

RATIOS, REPEATS, DRAWS, LEVEL = (4, 2), 10, 200, 0.9


def load(folder: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names, sizes `(s,)` and errors of all repeats `(b, r, s)`, nan where a size has fewer repeats."""
    points = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    size = np.unique([p["num_train_samples"] for curve in points.values() for p in curve]).astype(float)
    replicates = np.full((len(points), REPEATS, len(size)), np.nan)
    for rows, curve in zip(replicates, points.values(), strict=True):
        for point in curve:
            errors = np.array(point["test_errors"]) / 100
            rows[: len(errors), np.searchsorted(size, point["num_train_samples"])] = errors
    return list(points), size, replicates


def run(folder: Path) -> dict[str, Any]:
    names, size, replicates = load(folder)
    truth = replicates[:, 0, -1]
    shown = np.concatenate([np.where(size <= size[-1] / ratio, replicates, np.nan) for ratio in RATIOS])[..., :-1]
    curve = curve_from_replicates(
        jnp.broadcast_to(jnp.asarray(size[:-1]), (len(shown), len(size) - 1)), jnp.asarray(shown)
    )
    forecasts = mixture_forecast(jax.random.key(0), curve, draws=DRAWS)
    at = jnp.asarray(size[-1:])
    low, high = (np.asarray(limit, float)[:, 0] for limit in forecasts.interval(at, LEVEL))
    predicted = np.asarray(forecasts.predict(at), float)[:, 0]
    single = {fit.form.__name__: np.asarray(fit.predict(at), float)[:, 0] for fit in forecasts.fits}
    result: dict[str, Any] = {"environment": environment(), "size": size, "truth": dict(zip(names, truth, strict=True))}
    for i, ratio in enumerate(RATIOS):
        part = slice(i * len(names), (i + 1) * len(names))
        result[f"fitted to 1/{ratio}"] = {
            "forecast": dict(zip(names, predicted[part], strict=True)),
            "low": dict(zip(names, low[part], strict=True)),
            "high": dict(zip(names, high[part], strict=True)),
            "mean_absolute_error": {
                "forecast": np.abs(predicted[part] - truth).mean(),
                **{f: np.abs(single[f][part] - truth).mean() for f in ("last_value", "power_law", "power_law_offset")},
            },
            "inside": int(np.sum((low[part] <= truth) & (truth <= high[part]))),
        }
    return result


def draw(result: dict[str, Any], folder: Path, path: Path) -> None:
    names, size, replicates = load(folder)
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    for axes, name, rows in zip(figure.subplots(1, len(names), sharey=True), names, replicates, strict=True):
        for one in rows:
            axes.plot(size, one, ".", color="0.6", markersize=3)
        for ratio, color in zip(RATIOS, ("#D55E00", "#0072B2"), strict=True):
            found = result[f"fitted to 1/{ratio}"]
            middle = found["forecast"][name]
            bar = [[middle - found["low"][name]], [found["high"][name] - middle]]
            place = size[-1] * (1.06 if ratio == RATIOS[0] else 0.94)
            axes.errorbar([place], [middle], yerr=bar, fmt="o", color=color, capsize=2, label=f"from 1/{ratio}")
        axes.set(xscale="log", yscale="log", xlabel="examples per class", ylim=(0.1, 1.0))
        axes.set_xticks(size, [f"{n:g}" for n in size], minor=False)
        axes.set_yticks(ticks := [0.1, 0.2, 0.3, 0.5, 0.7, 1.0], [f"{t:g}" for t in ticks], minor=False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
            axis.set_minor_locator(NullLocator())
        axes.set_title(name, fontsize="small")
    figure.axes[0].set_ylabel("test error")
    figure.axes[0].legend(frameon=False, fontsize="small")
    save_figure(figure, path)


def main() -> None:
    data, output = Path(sys.argv[1]), Path(sys.argv[2])
    result = run(data)
    write_json(output / "hoiem2021.json", result)
    draw(result, data, output / "hoiem2021")
    for ratio in RATIOS:
        found = result[f"fitted to 1/{ratio}"]
        errors = ", ".join(f"{name} {value:.4f}" for name, value in found["mean_absolute_error"].items())
        print(
            f"fitted to 1/{ratio}: mean absolute error {errors}; {found['inside']} of 5 inside the {LEVEL:.0%} interval"
        )


if __name__ == "__main__":
    main()
