"""Fits and forecasts of a table of learning curves: validation, fit, notes, and a plain summary."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.next_size import default_candidates
from lcjax.curves.answer.plausibility import check_rise, check_target, check_units, is_share, is_unbounded
from lcjax.curves.answer.target import TargetAnswer, answer_target
from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.curves.forecast import families as known
from lcjax.curves.forecast.batching import observe_curves
from lcjax.curves.forecast.description import describe
from lcjax.curves.forecast.diagnosis import Diagnosis, diagnose
from lcjax.curves.forecast.draws import compile_evaluation
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.forecast.mixture import MixtureForecast, mixture_forecast
from lcjax.curves.forecast.noise import NOISE
from lcjax.curves.forms import Form
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.pooling import pool_forecasts
from lcjax.curves.readers.csv import CurveTable
from lcjax.curves.regions import Regions, find_regions
from lcjax.formats import are_counts, format_size
from lcjax.records import record
from lcjax.threads import ThreadPool
from lcjax.typing import KeyArray, OnProgress, Progress, check_key

__all__ = ["FittedCurves", "fit_learning_curves"]

T = TypeVar("T")

_AHEAD = (2.0, 4.0, 8.0, 16.0)
_SHOWN = 4  # curves in a headline
_REPEATED = 16  # largest number of measured sizes at which another measurement is considered


@record
class FittedCurves:
    """Learning curves with their forecasts, all as errors; `summary` converts them to the metric of the table.

    Attributes:
        table: the curves as read.
        forecast: forecast of every curve from its fitted sizes alone, batched: the Bayesian average over families, or a
            back-tested mixture if forms were given.
        ahead: sizes beyond the data, `(b, a)`.
        predicted: forecast errors there, `(b, a)`.
        low: lower limits of their intervals at `level`, `(b, a)`.
        high: upper limits, `(b, a)`.
        regions: borders of the power-law region by the form `mmf`; `None` if it is not among the forms.
        shapes: a sentence on each curve's behavior at its largest size and the shapes that fit; empty for a mixture.
        target: answers for the target error, or `None` without one.
        diagnosis: whether more data or something else would lower the errors; `None` for a mixture.
        notes: warnings about each curve, one line each.
        level: nominal coverage of all intervals.
        pooled: True if several curves inform each other.
    """

    table: CurveTable
    forecast: Forecast | MixtureForecast
    ahead: Float[np.ndarray, "b a"]
    predicted: Float[np.ndarray, "b a"]
    low: Float[np.ndarray, "b a"]
    high: Float[np.ndarray, "b a"]
    regions: Regions | None
    target: TargetAnswer | None
    diagnosis: Diagnosis | None
    shapes: tuple[str, ...] = jax.tree.static()
    notes: tuple[tuple[str, ...], ...] = jax.tree.static()
    level: float = jax.tree.static(default=0.9)
    pooled: bool = jax.tree.static(default=False)

    def headline(self) -> str:
        """Return the forecast of each curve at four times its largest size, for notebooks."""
        metric, place, parts = self.table.metric, _AHEAD.index(4.0), []
        for name, sizes, *values in zip(self.table.names, self.ahead, self.predicted, self.low, self.high, strict=True):
            error, *limits = (float(row[place]) for row in values)
            value, low, high = map(metric.format, (metric.from_error(error), *metric.interval(*limits)))
            label = f"{name}: {metric.name}" if name else metric.name
            interval = f"{100 * self.level:g} % interval {low} to {high}"
            parts.append(f"{label} at {format_size(sizes[place])} examples {value} ({interval})")
        return "; ".join(parts[:_SHOWN]) + (f"; and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else "")


def fit_learning_curves(
    key: KeyArray,
    table: CurveTable,
    *,
    forms: Sequence[Form] | None = None,
    dimension: float | None = None,
    fine_tuning: bool = False,
    guess: float | None = None,
    target_error: float | None = None,
    draws: int = 512,
    level: float = 0.9,
    allow_rising: bool = False,
    pooled: bool = False,
    on_progress: OnProgress | None = None,
) -> FittedCurves:
    r"""Fit and forecast every curve of a table.

    Args:
        key: typed key.
        table: curves, from `lcjax.read_curves`.
        forms: functional forms to mix by their back-test; None for the Bayesian average over families.
        dimension: effective dimension of the features. A power law with an exponent near `-1 / dimension` (Bisla et
            al., 2021, Eq. (7)) is added to the families, or the exponent of the forms has a prior there. This helps
            curves of three to six sizes.
        fine_tuning: True for curves of a fine-tuned pre-trained network: the rectified scaling law (Lin et al., 2024)
            is added to the families.
        guess: chance error, an upper limit of every forecast; by default that of the metric, if it has one and every
            curve gets below it.
        target_error: error for which to estimate the number of training examples.
        draws: number of joint draws, or of bootstrap draws of the forms, per curve.
        level: nominal coverage of all intervals.
        allow_rising: True to accept rising curves.
        pooled: True for related curves, such as those of the classes of one data set, whose forecasts inform each other
            (see `lcjax.curves.pool_forecasts`).
        on_progress: progress callback, called after each of several curves on a CPU, with stage "fit".

    Returns:
        `FittedCurves` of the b curves of the table.

    Raises:
        ValueError: a curve has fewer than two sizes or than the parameters of every form, it rises, none of its errors
            is below `guess`, an argument is outside its range, or `fine_tuning` or `pooled` is combined with forms.

    Examples:
        >>> import jax, tempfile, pathlib
        >>> from lcjax.curves.forms import last_value, power_law
        >>> from lcjax.curves.readers.csv import read_curves
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "curve.csv")
        >>> _ = path.write_text("size,error\n100,0.4\n200,0.29\n400,0.2\n800,0.14\n1600,0.1\n3200,0.071\n")
        >>> fitted = fit_learning_curves(
        ...     jax.random.key(0), read_curves(path), forms=(last_value, power_law), draws=20, target_error=0.05
        ... )
        >>> [round(float(e), 3) for e in fitted.predicted[0]], 5e3 < float(fitted.target.size_for_error.value[0]) < 8e3
        ([0.05, 0.035, 0.025, 0.018], True)
        >>> folder.cleanup()
    """
    check_key(key)
    values = {"dimension": dimension, "guess": guess, "target_error": target_error, "level": level}
    for name, value in values.items():
        most = 1 if name == "level" else np.inf
        if value is not None and not 0 < value < most:
            raise ValueError(f"{name} must lie in (0, {most}), got {value}.")
    if fine_tuning and forms is not None:
        raise ValueError("fine_tuning adds a family to the Bayesian average; among the forms, the nearest is mmf.")
    if pooled and forms is not None:
        raise ValueError("Pooling needs the Bayesian average: leave out the forms.")
    error = np.where(table.fitted, np.asarray(table.curve.error, float), np.nan)
    if guess is not None and guess > 1 >= np.nanmax(error):
        raise ValueError(f"guess must be a fraction, as the errors are (at most {np.nanmax(error):.3g}), got {guess}.")
    if guess is None and np.all(np.nanmin(error, axis=1) < table.metric.chance_error):
        guess = table.metric.chance_error
    _check(table, error, forms, guess, allow_rising)
    target_notes = [] if target_error is None else list(check_target(error, target_error, table.metric, chance=guess))
    dtype = jnp.result_type(float)
    replicates = table.curve.replicates
    curve = LearningCurve(
        np.asarray(table.curve.size, dtype),
        np.asarray(error, dtype),
        None,
        None if replicates is None else np.asarray(np.where(table.fitted[:, None, :], replicates, np.nan), dtype),
        None,
        None if table.curve.test_count is None else np.asarray(table.curve.test_count, dtype),
        None if table.curve.sampling_error is None else np.asarray(table.curve.sampling_error, dtype),
    )
    prediction: Forecast | MixtureForecast
    if forms is None:
        families = known.FAMILIES if dimension is None else (*known.FAMILIES, known.nearest_neighbor(dimension))
        families = (*families, known.fine_tuning()) if fine_tuning else families
        with ThreadPool(1) as pool:  # so that XLA compiles both programs concurrently
            pool.submit(compile_evaluation, families, NOISE, draws=draws)
            with observe_curves(_observer(on_progress, len(error))):
                prediction = forecast(key, curve, families=families, chance=guess, draws=draws, allow_rising=True)
        prediction = pool_forecasts(prediction, families=tuple(families)) if pooled else prediction
        fits = {}
    else:
        prior = None if dimension is None else ExponentPrior(-1 / dimension)
        prediction = mixture_forecast(key, curve, forms=tuple(forms), prior=prior, draws=draws, guess=guess)
        fits = {fit.form.__name__: fit for fit in prediction.fits}
    ahead = np.asarray(prediction.largest, float)[:, None] * np.array(_AHEAD)
    low, high = (np.asarray(limit, float) for limit in prediction.interval(np.asarray(ahead, dtype), level))
    most = 1.0 if is_share(table.metric, error) else table.metric.largest_error
    low, high = np.minimum(low, most), np.minimum(high, most)
    enough = np.sum(~np.isnan(error), axis=1) > 4
    return FittedCurves(
        table,
        prediction,
        ahead,
        np.asarray(prediction.predict(np.asarray(ahead, dtype)), float),
        low,
        high,
        find_regions(fits["mmf"], level=level) if "mmf" in fits and enough.any() else None,
        None if target_error is None else _answer(prediction, table, error, target_error, level),
        diagnose(prediction, level=level) if isinstance(prediction, Forecast) else None,
        tuple(describe(prediction)) if isinstance(prediction, Forecast) else (),
        tuple((*table.notes, *target_notes, *_notes(prediction, table, error, guess, i)) for i in range(len(error))),
        level,
        pooled and len(error) > 1,
    )


def _observer(on_progress: OnProgress | None, count: int) -> Callable[[int, int], None] | None:
    """Return a function that reports the curves that are done, if there are several."""
    if on_progress is None or count < 2:
        return None
    return lambda done, total: on_progress(Progress("fit", done, total))


def _check(
    table: CurveTable, error: np.ndarray, forms: Sequence[Form] | None, guess: float | None, rising: bool
) -> None:
    """Raise ValueError for a curve that is too short, that rises, or that is never better than chance."""
    forms, metric = () if forms is None else forms, table.metric
    names, size = table.names, np.asarray(table.curve.size, float)
    least = max(2, min((1 if form.last_only else len(form.parameters) for form in forms), default=1))
    for name, sizes, errors in zip(names, size, error, strict=True):
        label = f"The curve {name!r}" if name else "The curve"
        present = ~np.isnan(errors)
        x, y = sizes[present], errors[present]
        if len(x) < least:
            listed = ", ".join(f"{form.__name__} ({len(form.parameters)})" for form in forms)
            remedy = f", or use a form with fewer parameters than {listed}" if forms else ""
            count = f"{len(x)} size{'s' if len(x) != 1 else ''}"
            raise ValueError(f"{label} has {count}; at least {least} are needed. Measure more sizes{remedy}.")
        check_units(label, x, y, metric)
        if not rising:
            check_rise(label, x, y, metric, is_named=table.is_named)
        if guess is not None and np.all(y >= guess):
            raise ValueError(
                f"{label} is nowhere {'above' if metric.rises else 'below'} the chance {metric.name}, "
                f"{metric.from_error(guess):g}; its {'largest' if metric.rises else 'smallest'} {metric.name} is "
                f"{metric.from_error(y.min()):.3g}. It cannot be forecast: measure larger sizes, or correct --guess."
            )


def _answer(
    prediction: Forecast | MixtureForecast, table: CurveTable, error: np.ndarray, target: float, level: float
) -> TargetAnswer:
    """Answer for the target, with the next measurement among the fitted sizes and rounded ones beyond them."""
    sizes = np.where(np.isnan(error), np.nan, np.asarray(table.curve.size, float))
    if (columns := sizes.shape[1]) > _REPEATED:
        keep = np.unique(np.round(np.linspace(0, columns - 1, _REPEATED)).astype(int))
        sizes = np.take_along_axis(np.sort(sizes, axis=1), keep[None], axis=1)
    candidates = default_candidates(sizes, np.nanmax(sizes, axis=1))
    beyond = candidates[:, sizes.shape[1] :]
    digits = 10 ** (np.floor(np.log10(beyond)) - 2)
    digits = np.maximum(digits, 1.0) if are_counts(np.ravel(sizes)) else digits
    candidates[:, sizes.shape[1] :] = np.round(beyond / digits) * digits
    return answer_target(prediction, target, level=level, candidates=candidates, is_share=is_share(table.metric, error))


def _notes(
    prediction: Forecast | MixtureForecast, table: CurveTable, error: np.ndarray, guess: float | None, i: int
) -> Iterator[str]:
    """Yield the warnings about curve `i`."""
    size = np.asarray(table.curve.size, float)[i]
    if np.any(size % 1 > 0):
        yield "Some sizes are not whole numbers; pass --unit to name what they count, such as hours."
    if is_unbounded(table.curve, error[i]):
        yield "All errors are 0, so the forecast has no meaning; a column test_count would tell how small they are."
    elif np.any(error[i] == 0):
        value = "half an error in test_count"
        if table.curve.test_count is None:
            value = "half of the smallest positive error; a column test_count would be more accurate"
        yield f"Errors of 0 (number of sizes: {np.sum(error[i] == 0)}) count as {value}."
    if guess is not None and np.any(error[i] >= guess):
        chance = f"{table.metric.from_error(guess):g}"
        yield f"Number of sizes that are no better than chance ({chance}): {np.sum(error[i] >= guess)}."
    if isinstance(prediction, MixtureForecast):
        yield from _notes_on_forms(prediction, error[i], i)


def _notes_on_forms(prediction: MixtureForecast, error: np.ndarray, i: int) -> Iterator[str]:
    """Yield the warnings about the forms fitted to curve `i`."""
    weight = np.asarray(prediction.weight)[i]
    best = prediction.fits[int(np.argmax(weight))]
    flags = {name: bool(np.asarray(value)[i]) for name, value in vars(best.flags).items()}
    left_out = [fit.form.__name__ for fit, w in zip(prediction.fits, weight, strict=True) if w == 0]
    if left_out:
        yield f"{np.sum(~np.isnan(error))} sizes are too few for these forms, which are omitted: {', '.join(left_out)}."
    if flags["not_monotone"]:
        yield "The error rises somewhere by more than its noise."
    if flags["break_suspected"]:
        yield f"Neighboring residuals of {best.form.__name__} have the same sign: the curve may have another shape."
    if flags["starts_disagree"] or flags["ill_conditioned"]:
        yield f"The sizes do not determine all parameters of {best.form.__name__}."
