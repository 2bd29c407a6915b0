"""Plain summary of fitted curves, as in `fit.json`."""

from typing import TypeVar

import jax
import numpy as np

from lcjax.curves.answer.plausibility import is_share, is_unbounded
from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.forecast.mixture import MixtureForecast
from lcjax.studies.fitting.fitted_curves import FittedCurves

__all__ = ["summary"]

T = TypeVar("T")

_NO_TARGET = dict.fromkeys(
    ("size_for_error", "lasting_size_for_error", "assurance", "next_size", "test_examples"), None
)


def summary(fitted: FittedCurves) -> list[dict[str, object]]:
    """Return the fits as plain data for JSON, one dictionary per curve, with intervals in place of draws.

    Values of the table's metric are stored under its name, such as "error" and "target_error", or "accuracy" and
    "target_accuracy".
    """
    table = fitted.table
    metric = table.metric
    size, error = np.asarray(table.curve.size, float), np.asarray(table.curve.error, float)
    low, high = metric.interval(fitted.low, fitted.high)
    ahead = {"size": fitted.ahead, metric.name: metric.from_error(fitted.predicted), "low": low, "high": high}
    target = None if fitted.target is None else metric.from_error(fitted.target.error)
    shapes = fitted.shapes or ("",) * len(table.names)
    return [
        {
            "curve": name,
            "size": size[i][present],
            metric.name: metric.from_error(error[i][present]),
            "fitted": table.fitted[i][present],
            "forecast": {**{name: value[i] for name, value in ahead.items()}, "level": fitted.level},
            "shape": "" if is_unbounded(table.curve, error[i]) else shapes[i],
            "diagnosis": _describe_cause(fitted, i),
            **_components(fitted.forecast, i, fitted.level),
            "regions": _row(fitted.regions, i),
            f"target_{metric.name}": target,
            **(_NO_TARGET if fitted.target is None else fitted.target.fields(i)),
            "notes": list(fitted.notes[i]),
        }
        for i, (name, present) in enumerate(zip(table.names, ~np.isnan(size), strict=True))
    ]


def _describe_cause(fitted: FittedCurves, i: int) -> dict[str, object] | None:
    """Return the probabilities of the causes of the error of curve `i`, and the verdict in a sentence."""
    if fitted.diagnosis is None or is_unbounded(fitted.table.curve, np.asarray(fitted.table.curve.error, float)[i]):
        return None
    causes = {name: _row(getattr(fitted.diagnosis, name), i) for name in ("data", "model", "noise", "undecided")}
    metric = fitted.table.metric
    percent = is_share(metric, np.asarray(fitted.table.curve.error, float))
    return {**causes, "sentence": fitted.diagnosis.sentence(i, percent=percent, metric=metric)}


def _components(prediction: Forecast | MixtureForecast, i: int, level: float) -> dict[str, object]:
    """Return the weights of the families, or the forms with their parameters, and the noise of curve `i`."""
    weight = np.asarray(prediction.weight, float)[i]
    if isinstance(prediction, Forecast):
        evidence = np.asarray(prediction.posterior.log_evidence, float)[i]
        families = {
            name: {"weight": weight[j], "log_evidence": evidence[j], "shape": words}
            for j, (name, words) in enumerate(zip(prediction.families, prediction.words, strict=True))
        }
        return {"families": families, "noise": float(np.asarray(prediction.noise_level)[i])}
    score = np.asarray(prediction.score, float)[i]
    forms = {
        fit.form.__name__: {"weight": weight[j], "back_test": score[j], "parameters": _parameters(fit, i, level)}
        for j, fit in enumerate(prediction.fits)
        if weight[j] > 0
    }
    back_test = float(np.asarray(prediction.back_test)[i])
    return {"forms": forms, "back_test": back_test, "noise": float(np.asarray(prediction.noise)[i])}


def _row(batch: T, i: int) -> T:
    """Return the entry of curve `i` of a batched record; None stays None."""
    row: T = jax.tree.map(lambda leaf: np.asarray(leaf, float)[i], batch)
    return row


def _parameters(fit: CurveFit, i: int, level: float) -> dict[str, dict[str, float]]:
    draws = {name: np.asarray(values, float)[i] for name, values in fit.parameter_draws.items()}
    return {
        name: {
            "value": float(np.asarray(value)[i]),
            "low": float(np.quantile(draws[name], 0.5 - level / 2)),
            "high": float(np.quantile(draws[name], 0.5 + level / 2)),
        }
        for name, value in fit.parameters.items()
    }
