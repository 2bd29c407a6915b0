"""Learning curves from a file, forecast: checked, fitted together, told in numbers, scored where sizes are held out."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Float, Key

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.forecast.forecast import Forecast, NextSize, forecast
from lcjax.curves.forecast.size_for_error import SizeForError
from lcjax.curves.forms import FORMS, Form
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.readers.csv import CurveTable
from lcjax.curves.regions import Regions, find_regions
from lcjax.records import record

__all__ = ["FittedCurves", "HeldOutScores", "fit_learning_curves", "score_held_out", "summary"]

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_AHEAD = (2.0, 4.0, 8.0, 16.0)


@record
class FittedCurves:
    """Curves of a file with their forecasts.

    Attributes:
        table: the curves as read.
        forecast: of every curve, batched, from its fitted sizes alone.
        ahead: sizes beyond the data at which the forecast is told, `(b, a)`.
        predicted: forecast errors there, `(b, a)`.
        low: lower limits of their intervals at `level`.
        high: upper limits.
        regions: borders of the power-law region, by the form `mmf`; `None` where it is not among the forms.
        target_error: the error asked for, or `None`.
        target: examples that reach it, or `None`.
        next_size: the measurement to make next for that target, or `None`.
        notes: what is doubtful, one line each, for each curve.
        level: of all intervals.
    """

    table: CurveTable
    forecast: Forecast
    ahead: Float[np.ndarray, "b a"]
    predicted: Float[np.ndarray, "b a"]
    low: Float[np.ndarray, "b a"]
    high: Float[np.ndarray, "b a"]
    regions: Regions | None
    target_error: float | None
    target: SizeForError | None
    next_size: NextSize | None
    notes: tuple[tuple[str, ...], ...] = jax.tree.static()
    level: float = jax.tree.static(default=0.9)


@record
class HeldOutScores:
    """Forecasts against the held-out sizes of a file.

    Attributes:
        score: `sqrt(mean((log prediction - log error)^2))` over the held-out sizes of each curve, `(b,)`, the measure
            of Alabdulmohsin, Neyshabur and Zhai (2022); nan for curves without any.
        mean: of the scores by group, "all" among them.
        geometric_mean: alike.
        curves: number of curves by group.
        levels: nominal levels, `(l,)`.
        coverage: share of held-out sizes in the interval at each level, averaged over curves, by group, `(l,)` each.
        last_value: mean score of the last value by group, to be beaten.
    """

    score: Float[np.ndarray, " b"]
    mean: dict[str, float]
    geometric_mean: dict[str, float]
    curves: dict[str, int]
    levels: Float[np.ndarray, " l"]
    coverage: dict[str, Float[np.ndarray, " l"]]
    last_value: dict[str, float]


def fit_learning_curves(
    key: Key[jax.Array, ""],
    table: CurveTable,
    *,
    forms: Sequence[Form] = FORMS,
    dimension: float | None = None,
    guess: float | None = None,
    target_error: float | None = None,
    draws: int = 200,
    level: float = 0.9,
    allow_rising: bool = False,
) -> FittedCurves:
    r"""Fit and forecast every curve of a table in one compiled call.

    Args:
        key: a typed key.
        table: from `lcjax.curves.readers.csv.read_curves`.
        forms: forms to mix.
        dimension: effective dimension of the features; `-1 / dimension` is then the expected exponent (Bisla et al.
            2021, Eq. 7), which helps curves of three to six sizes.
        guess: error of guessing: no forecast exceeds it.
        target_error: error asked for.
        draws: draws of every curve.
        level: of all intervals.
        allow_rising: fit curves that rise, too.

    Returns:
        A `FittedCurves`.

    Raises:
        ValueError: a curve has fewer than two sizes to fit, or no form has few enough parameters for it; it rises; no
            error lies below `guess`; or an argument is outside its range.

    Examples:
        >>> import jax, tempfile, pathlib
        >>> from lcjax.curves.forms import last_value, power_law
        >>> from lcjax.curves.readers.csv import read_curves
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "curve.csv")
        >>> _ = path.write_text("size,error\n100,0.4\n200,0.29\n400,0.2\n800,0.14\n1600,0.1\n3200,0.071\n")
        >>> found = fit_learning_curves(
        ...     jax.random.key(0), read_curves(path), forms=(last_value, power_law), draws=20, target_error=0.05
        ... )
        >>> [round(float(e), 3) for e in found.predicted[0]], 5e3 < float(found.target.value[0]) < 8e3
        ([0.05, 0.035, 0.025, 0.018], True)
        >>> folder.cleanup()
    """
    for name, value, least, most in (
        ("dimension", dimension, 0, np.inf),
        ("guess", guess, 0, np.inf),
        ("target_error", target_error, 0, np.inf),
        ("level", level, 0, 1),
    ):
        if value is not None and not least < value < most:
            raise ValueError(f"{name} must lie in ({least}, {most}), got {value}.")
    error = np.where(table.fitted, np.asarray(table.curve.error, float), np.nan)
    _check(table.names, np.asarray(table.curve.size, float), error, forms, guess, allow_rising)
    dtype = jnp.result_type(float)
    replicates = table.curve.replicates
    curve = LearningCurve(
        jnp.asarray(table.curve.size, dtype),
        jnp.asarray(error, dtype),
        None,
        None if replicates is None else jnp.asarray(np.where(table.fitted[:, None, :], replicates, np.nan), dtype),
        None,
        None if table.curve.test_count is None else jnp.asarray(table.curve.test_count, dtype),
    )
    told = forecast(
        key,
        curve,
        forms=tuple(forms),
        prior=None if dimension is None else ExponentPrior(-1 / dimension),
        draws=draws,
        guess=guess,
    )
    ahead = np.asarray(told.largest, float)[:, None] * np.array(_AHEAD)
    low, high = told.interval(jnp.asarray(ahead, dtype), level)
    fits = {fit.form.__name__: fit for fit in told.fits}
    enough = np.sum(~np.isnan(error), axis=1) > 4
    return FittedCurves(
        table,
        told,
        ahead,
        np.asarray(told.predict(jnp.asarray(ahead, dtype)), float),
        np.asarray(low, float),
        np.asarray(high, float),
        find_regions(fits["mmf"], level=level) if "mmf" in fits and enough.any() else None,
        target_error,
        None if target_error is None else told.size_for_error(target_error, level),
        None if target_error is None else told.next_size(target_error),
        _notes(told, table, error, guess),
        level,
    )


def score_held_out(fitted: FittedCurves, *, levels: Sequence[float] = LEVELS) -> HeldOutScores:
    """Score forecasts on the held-out sizes of a table, as the public benchmark does, and the cover of their intervals.

    Args:
        fitted: from `fit_learning_curves`, of a table that holds sizes out.
        levels: nominal levels of the intervals.

    Returns:
        A `HeldOutScores`, by domain and over "all".

    Raises:
        ValueError: no curve has a held-out size with a positive error.
    """
    table = fitted.table
    size, error = np.asarray(table.curve.size, float), np.asarray(table.curve.error, float)
    held = ~table.fitted & (error > 0)
    if not held.any():
        raise ValueError("No size is held out, so there is nothing to score; the benchmark marks them by Training = 0.")
    dtype = jnp.result_type(float)
    at = jnp.asarray(np.where(held, size, np.nanmax(size, axis=1, keepdims=True)), dtype)
    truth = np.log(np.where(held, error, 1.0))

    def scored(prediction: Any) -> np.ndarray:
        squares = np.where(held, (np.log(np.asarray(prediction, float)) - truth) ** 2, 0).sum(axis=1)
        return np.sqrt(squares / np.where(held.any(axis=1), held.sum(axis=1), np.nan))

    score = scored(fitted.forecast.predict(at))
    last = np.where(table.fitted & ~np.isnan(error), size, -np.inf).argmax(axis=1)
    last_score = scored(np.broadcast_to(np.take_along_axis(error, last[:, None], 1), error.shape))
    tails = jnp.asarray([0.5 + sign * level / 2 for sign in (-1, 1) for level in levels], dtype)
    limits = np.asarray(jnp.quantile(fitted.forecast.predict_draws(at), tails, axis=-2), float)
    low, high = limits.reshape(2, len(levels), *held.shape)
    inside = (low <= error) & (error <= high) & held
    cover = inside.sum(axis=-1) / np.where(held.any(axis=1), held.sum(axis=1), np.nan)
    scored_curves: np.ndarray = np.asarray(held.any(axis=1))
    groups: dict[str, np.ndarray] = {"all": scored_curves}
    for group in dict.fromkeys(g for g in table.groups if g):
        groups[group] = scored_curves & np.array([g == group for g in table.groups])
    groups = {name: rows for name, rows in groups.items() if rows.any()}

    def geometric(rows: np.ndarray) -> float:
        return float(np.exp(np.mean(np.log(np.maximum(score[rows], 1e-12)))))

    return HeldOutScores(
        score,
        {name: float(score[rows].mean()) for name, rows in groups.items()},
        {name: geometric(rows) for name, rows in groups.items()},
        {name: int(rows.sum()) for name, rows in groups.items()},
        np.asarray(levels, float),
        {name: cover[:, rows].mean(axis=1) for name, rows in groups.items()},
        {name: float(last_score[rows].mean()) for name, rows in groups.items()},
    )


def summary(fitted: FittedCurves) -> list[dict[str, Any]]:
    """Plain form of the fits, one dictionary a curve, ready for JSON: no bootstrap draws, but their intervals."""
    told, table = fitted.forecast, fitted.table
    parameters = {fit.form.__name__: _parameters(fit, fitted.level) for fit in told.fits}
    weight, score = np.asarray(told.weight, float), np.asarray(told.score, float)
    return [
        {
            "curve": name,
            "size": _present(table.curve.size[i]),
            "error": np.asarray(table.curve.error, float)[i][~np.isnan(table.curve.size[i])],
            "fitted": table.fitted[i][~np.isnan(table.curve.size[i])],
            "forecast": {
                "size": fitted.ahead[i],
                "error": fitted.predicted[i],
                "low": fitted.low[i],
                "high": fitted.high[i],
                "level": fitted.level,
            },
            "forms": {
                form: {
                    "weight": weight[i, j],
                    "back_test": score[i, j],
                    "parameters": {p: {k: v[i] for k, v in limits.items()} for p, limits in own.items()},
                }
                for j, (form, own) in enumerate(parameters.items())
                if weight[i, j] > 0
            },
            "back_test": float(np.asarray(told.back_test)[i]),
            "noise": float(np.asarray(told.noise)[i]),
            "regions": _row(fitted.regions, i),
            "target_error": fitted.target_error,
            "target": _row(fitted.target, i),
            "next_size": _row(fitted.next_size, i),
            "notes": list(fitted.notes[i]),
        }
        for i, name in enumerate(table.names)
    ]


def _row(values: Any, i: int) -> Any:
    """The i-th curve of a batched record, as a dictionary."""
    return None if values is None else vars(jax.tree.map(lambda a: np.asarray(a, float)[i], values))


def _present(values: Any) -> np.ndarray:
    values = np.asarray(values, float)
    return values[~np.isnan(values)]


def _parameters(fit: CurveFit, level: float) -> dict[str, dict[str, np.ndarray]]:
    tails = [0.5 - level / 2, 0.5 + level / 2]
    drawn = fit.parameter_draws
    return {
        name: {
            "value": np.asarray(value, float),
            "low": np.quantile(np.asarray(drawn[name], float), tails[0], axis=-1),
            "high": np.quantile(np.asarray(drawn[name], float), tails[1], axis=-1),
        }
        for name, value in fit.parameters.items()
    }


def _check(
    names: Sequence[str], size: np.ndarray, error: np.ndarray, forms: Sequence[Form], guess: float | None, rising: bool
) -> None:
    """Refuse what cannot be meant: curves too short, upside down, or nowhere better than guessing."""
    needed = min((1 if form.last_only else len(form.parameters)) for form in forms) if forms else 1
    least = max(2, needed)
    for name, own_size, own_error in zip(names, size, error, strict=True):
        label = f"The curve {name!r}" if name else "The curve"
        there = ~np.isnan(own_error)
        x, y = own_size[there], own_error[there]
        if len(x) < least:
            listed = ", ".join(f"{form.__name__} ({len(form.parameters)})" for form in forms)
            raise ValueError(
                f"{label} has {len(x)} size{'s' if len(x) != 1 else ''}, at least {least} are needed: measure more, or "
                f"take a form with fewer parameters than {listed}."
            )
        if not rising and y[-1] > 1.1 * y[0] and _rank_correlation(x, y) > 0.5:
            raise ValueError(
                f"{label} rises with size, from {y[0]:.3g} at {x[0]:,.0f} to {y[-1]:.3g} at {x[-1]:,.0f}: an error "
                "falls. If this is an accuracy, flip it: error = 1 - accuracy; if it is an error, pass --allow-rising."
            )
        if guess is not None and np.all(y >= guess):
            raise ValueError(
                f"{label} is nowhere below the error of guessing, {guess:g}; its smallest error is {y.min():.3g}. "
                "Nothing can be learnt from it about more data: measure larger sizes, or correct --guess."
            )


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    return 1.0 if len(x) == 2 else float(scipy.stats.spearmanr(x, y).statistic)


def _notes(told: Forecast, table: CurveTable, error: np.ndarray, guess: float | None) -> tuple[tuple[str, ...], ...]:
    best = [told.fits[j] for j in np.argmax(np.asarray(told.weight), axis=-1)]
    count = np.sum(~np.isnan(error), axis=1)
    notes = []
    for i, fit in enumerate(best):
        own = []
        flags = {name: bool(np.asarray(value)[i]) for name, value in vars(fit.flags).items()}
        left_out = [f.form.__name__ for f, w in zip(told.fits, np.asarray(told.weight)[i], strict=True) if w == 0]
        if left_out:
            own.append(f"{count[i]} sizes are too few for {', '.join(left_out)}: left out.")
        if np.any(error[i] == 0):
            told_count = (
                "half an error in test_count"
                if table.curve.test_count is not None
                else ("half of the smallest positive error; a column test_count would tell better")
            )
            own.append(f"Errors of 0 at {np.sum(error[i] == 0)} sizes count as {told_count}.")
        if guess is not None and np.any(error[i] >= guess):
            own.append(f"{np.sum(error[i] >= guess)} sizes are no better than guessing ({guess:g}).")
        if flags["not_monotone"]:
            own.append("The error rises somewhere by more than its noise.")
        if flags["break_suspected"]:
            own.append(f"Neighbouring residuals of {fit.form.__name__} agree in sign: the curve may bend otherwise.")
        if flags["starts_disagree"] or flags["ill_conditioned"]:
            own.append(f"The sizes do not determine all parameters of {fit.form.__name__}.")
        notes.append(tuple(own))
    return tuple(notes)
