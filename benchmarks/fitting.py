"""Curve fits compared with loops over SciPy and lmfit: `python -m benchmarks.fitting`.

Required wall-clock times, on two cores after compilation: 100,000 curves of pow3 in 2 s; 1,656 curves of pow4 with 42
starts each in 5 s; 4,000 draws of a two-way fit of 240 points in 20 s. The fit of pow4 solves for offset and scale at
all 42 points of a grid and minimizes from six of the best; it is compared with a minimization from each of the 42.

Every competitor minimizes the same sum of squared logarithmic residuals of the same form within the same bounds. The
loops start from a guess based on the curve (offset at half the smallest error, exponent -0.5). They are timed on 500
curves, lcjax on these and on 100,000. The facts include how much each sum of squares exceeds the smallest of all.
"""

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from benchmarks.harness import Case, main
from lcjax.curves import forms
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.fit.objective import CurveData, box, expansion
from lcjax.curves.fit.residual_losses import relative
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.scaling.fit import fit_scaling_law

SIZE = np.round(np.geomspace(16, 70_000, 72))
TIMED = 500


def curves(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Draw power laws with offset (and shift) and 3 % noise."""
    rng = np.random.default_rng(seed)
    offset, scale, exponent = rng.uniform(0, 0.2, count), rng.uniform(0.5, 3, count), -rng.uniform(0.15, 1, count)
    moved = SIZE + shift * rng.uniform(0, 1, count)[:, None]
    exact = offset[:, None] + scale[:, None] * moved ** exponent[:, None]
    return exact * np.exp(0.03 * rng.normal(size=exact.shape))


def log_power_law(size: np.ndarray, offset: float, log_scale: float, log_exponent: float) -> np.ndarray:
    """Return the logarithm of pow3 in the coordinates of our bounds."""
    return np.log(offset + np.exp(log_scale - np.exp(log_exponent) * np.log(size)))


def first_guess(error: np.ndarray) -> list[float]:
    return [0.5 * error.min(), float(np.log(error[0] / SIZE[0] ** -0.5)), float(np.log(0.5))]


def by_curve_fit(errors: np.ndarray) -> np.ndarray:
    """Return the sum of squares of each curve with SciPy's `curve_fit`."""
    found = []
    for error in errors:
        bounds = ([0, -40, np.log(1e-4)], [error.min(), 40, np.log(20)])
        best, _ = scipy.optimize.curve_fit(
            log_power_law, SIZE, np.log(error), p0=first_guess(error), bounds=bounds, maxfev=2000
        )
        found.append(np.sum((log_power_law(SIZE, *best) - np.log(error)) ** 2))
    return np.array(found)


def by_least_squares(errors: np.ndarray) -> np.ndarray:
    """Fit with SciPy's trust region, tolerances at rounding, and a hand-written derivative."""
    log_size = np.log(SIZE)
    found = []
    for error in errors:
        y = np.log(error)

        def residuals(v: np.ndarray, y: np.ndarray = y) -> np.ndarray:
            return log_power_law(SIZE, *v) - y

        def jacobian(v: np.ndarray) -> np.ndarray:
            power = np.exp(v[1] - np.exp(v[2]) * log_size)
            total = v[0] + power
            return np.stack([1 / total, power / total, -np.exp(v[2]) * log_size * power / total], axis=1)

        bounds = ([0, -40, np.log(1e-4)], [error.min(), 40, np.log(20)])
        tight = {"xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12}
        found.append(
            2 * scipy.optimize.least_squares(residuals, first_guess(error), jacobian, bounds=bounds, **tight).cost
        )
    return np.array(found)


def by_lmfit(errors: np.ndarray) -> np.ndarray:
    import lmfit

    found = []
    for error in errors:
        start = first_guess(error)
        parameters = lmfit.Parameters()
        parameters.add("offset", start[0], min=0, max=error.min())
        parameters.add("log_scale", start[1], min=-40, max=40)
        parameters.add("log_exponent", start[2], min=np.log(1e-4), max=np.log(20))

        def residuals(p: Any, y: np.ndarray) -> np.ndarray:
            return log_power_law(SIZE, p["offset"].value, p["log_scale"].value, p["log_exponent"].value) - y

        found.append(lmfit.minimize(residuals, parameters, args=(np.log(error),)).chisqr)
    return np.array(found)


def excess(found: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the largest relative excess of each competitor's sums of squares over the best, and those above 1e-8."""
    best = np.min(list(found.values()), axis=0)
    return {
        name: {"largest": (v / best - 1).max(), "above_1e-8": int(np.sum(v / best - 1 > 1e-8))}
        for name, v in found.items()
    }


def many() -> Iterable[Case]:
    """Yield 100,000 curves of pow3, and loops over a smaller number of curves."""
    for count in (100_000, TIMED):
        errors = curves(count)
        curve = LearningCurve(jnp.asarray(SIZE), jnp.asarray(errors))
        runs: dict[str, Callable[[], Any]] = {"lcjax": partial(fit_curve, curve, forms.power_law_offset)}
        facts: dict[str, Any] = {}
        if count == TIMED:
            peers = {"scipy curve_fit": by_curve_fit, "scipy least_squares": by_least_squares}
            if importlib.util.find_spec("lmfit"):
                peers["lmfit"] = by_lmfit
                facts["lmfit"] = importlib.metadata.version("lmfit")
            runs |= {name: partial(f, errors) for name, f in peers.items()}
            ours = np.asarray(fit_curve(curve, forms.power_law_offset).residual_sum)
            facts["excess"] = excess({"lcjax": ours} | {name: f(errors) for name, f in peers.items()})
        yield Case(f"pow3, {count:,} curves of {SIZE.size} sizes", runs, facts=facts)


def every_start() -> Iterable[Case]:
    """Yield 1,656 curves of pow4: the fit, and a minimization from each of 42 starts."""
    errors = curves(1656, shift=200.0)
    curve = LearningCurve(jnp.asarray(SIZE), jnp.asarray(errors))
    log_size, y = np.log(SIZE), np.log(errors).T
    reference = 0.5 * (log_size[0] + log_size[-1])
    unit = y.mean(axis=0)
    shape = y.shape
    data = CurveData(
        jnp.broadcast_to(jnp.asarray(log_size - reference)[:, None], shape),
        jnp.asarray(y - unit),
        jnp.ones(shape),
        jnp.full(shape[1], reference),
        None,
    )
    half = jnp.full(shape[1], log_size[-1] - reference)
    lower, upper = box(forms.shifted_power_law, jnp.asarray(y - unit), jnp.ones(shape, bool), half)
    seeds = forms.shifted_power_law.seeds(-half[0], half[0])

    @jax.jit
    def from_all(data: CurveData, lower: jax.Array, upper: jax.Array) -> LeastSquares:
        def repeated(tree: Any) -> Any:
            return jax.tree.map(lambda a: jnp.concatenate([a] * len(seeds), axis=-1), tree)

        count = lower.shape[1]
        points = jnp.stack([jnp.repeat(jnp.asarray([seed[i] for seed in seeds]), count) for i in (0, 1)])
        low, high = repeated((lower, upper))
        start = jnp.concatenate([0.5 * high[:1], jnp.full_like(high[:1], -0.7), points])
        return least_squares(
            None, start, repeated(data), low, high, steps=200, expand=expansion(forms.shifted_power_law, relative)
        )

    parts = os.cpu_count() or 1
    middle = [shape[1] * i // parts for i in range(parts + 1)]

    def on_every_core() -> list[LeastSquares]:
        def one(i: int) -> LeastSquares:
            with jax.enable_x64(True):
                rows = jnp.arange(middle[i], middle[i] + middle[1])  # equal parts, so that they are compiled once
                cut = jax.tree.map(lambda a: jnp.take(a, rows, axis=-1, mode="clip"), (data, lower, upper))
                return jax.block_until_ready(from_all(*cut))

        with ThreadPoolExecutor(parts) as pool:
            return list(pool.map(one, range(parts)))

    best = np.concatenate(
        [np.nanmin(2 * np.asarray(part.value).reshape(len(seeds), -1), axis=0) for part in on_every_core()]
    )[: shape[1]]
    ours = np.asarray(fit_curve(curve, forms.shifted_power_law).residual_sum)
    facts = {"excess": excess({"fit": ours, "all starts": best}), "starts": len(seeds)}
    yield Case(
        f"pow4, 1,656 curves of {SIZE.size} sizes",
        {"lcjax fit": partial(fit_curve, curve, forms.shifted_power_law), "lcjax, all 42 minimized": on_every_core},
        facts=facts,
    )


def bootstrap() -> Iterable[Case]:
    """Yield 4,000 draws of a two-way fit of 240 points."""
    rng = np.random.default_rng(0)
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e5, 1e9, 16), np.geomspace(1e6, 1e10, 15)))
    error = (1.7 + 400 * n**-0.34 + 1500 * d**-0.37) * np.exp(0.02 * rng.normal(size=n.size))
    runs: dict[str, Callable[[], Any]] = {
        "lcjax": partial(fit_scaling_law, jax.random.key(0), {"params": n, "tokens": d, "loss": error}, draws=4000)
    }
    yield Case("two-way, 240 points, 4,000 draws", runs)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main({"pow3": many, "pow4": every_start, "two-way": bootstrap}, __doc__ or "")
