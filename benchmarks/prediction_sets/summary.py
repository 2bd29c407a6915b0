"""Summary of one prediction: errors, held-out scores of every method, dimension by three rules, and caveats."""

from typing import Any

import numpy as np
from jaxtyping import Float

from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import to_dict
from lcjax.studies import Prediction, caveats, held_out_factor
from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.theory.widths.saturation import saturation_dimension
from lcjax.theory.widths.weights import dimension_weights

__all__ = ["FLAGS", "exponent_interval", "raised_flags", "summarize"]

PRECISE, OFF = 0.03, 0.1  # relative standard error below which an error is precise; deviation of an answer that is off
QUANTILE = 1.645  # of a 90 % interval

FLAGS = {
    "small_data": "small-data region",
    "training_error": "training error above 1 %",
    "rising": "rising errors",
    "radius": "radius not converged",
    "not_established": "dimension not established",
    "not_spanned": "dimension not spanned",
    "contradicted": "dimension contradicted",
}
"""Titles of the caveats of `lcjax.studies.caveats` by name, except the one about the answer for a target."""


def summarize(prediction: Prediction, chance_error: float) -> dict[str, Any]:
    """Summarize a prediction by name, as plain data with six significant digits."""
    validation, test = prediction.validation, prediction.measured
    assert test is not None
    shift = prediction.answer.shift
    low, high = exponent_interval(prediction)
    target = prediction.answer.target
    answers = {} if target is None else target.fields()
    answers.pop("next_size", None)
    result = {
        "size": validation.size,
        "fitted": prediction.fitted,
        "validation": _errors(validation),
        "test": _errors(test),
        "train_error": validation.train_error,
        "chance_error": chance_error,
        "methods": _scores(prediction),
        "dimension": None if prediction.bottleneck is None else _dimensions(prediction.bottleneck),
        "exponent": {"value": prediction.exponent, "low": low, "high": high},
        "exponents": {name: {**to_dict(one), "verdict": one.verdict} for name, one in prediction.exponents.items()},
        "shift": None if shift is None else {"value": shift.value, "standard_error": shift.standard_error},
        "caveats": caveats(prediction, chance_error=chance_error),
        "diagnosis": prediction.answer.diagnosis,
        "target": answers,
        "flags": raised_flags(prediction, chance_error),
        "precise_sizes": _precise_sizes(prediction),
    }
    rounded: dict[str, Any] = _round(to_dict(result))
    return rounded


def raised_flags(prediction: Prediction, chance_error: float) -> list[str]:
    """Return the names of the caveats that apply, by the rules of `lcjax.studies.caveats`."""
    error, train_error = np.asarray(prediction.validation.error), prediction.validation.train_error
    exponent, bottleneck = prediction.exponent, prediction.bottleneck
    implied = -1 / exponent if exponent else np.inf
    raised = {
        "small_data": bool(np.any(error[np.asarray(prediction.fitted)] > 0.5 * chance_error)),
        "training_error": train_error is not None and not float(np.max(train_error)) <= 0.01,
        "rising": bool(error[-1] > 1.02 * error[0]),
        "radius": any("radius" in one.parameters and not one.converged for one in prediction.methods.values()),
        "not_established": bottleneck is not None and not bool(bottleneck.estimate.established),
        "not_spanned": bottleneck is not None and int(prediction.dimension) < int(bottleneck.estimate.value),
        "contradicted": not 1 / 1.5 <= implied / int(prediction.dimension) <= 1.5,
    }
    return [name for name, value in raised.items() if value]


def exponent_interval(prediction: Prediction) -> tuple[float, float]:
    """Return the 90 % interval of the power law's exponent, from the standard deviations of its curve.

    The log error of a power law is linear in log size, so its variance over bootstrap draws is quadratic in log size,
    with the variance of the exponent as the quadratic coefficient. The curve records the standard deviation of the
    error, from which that of the log error follows if the draws are log-normal. Sizes up to the largest measured one
    are used.
    """
    curve = prediction.methods["power_law"].curve
    size, error = np.asarray(curve.size, float), np.asarray(curve.error, float)
    measured = size <= np.max(np.asarray(prediction.validation.size))
    relative = (np.asarray(curve.standard_error, float) / error)[measured] ** 2
    variance = np.log((1 + np.sqrt(1 + 4 * relative)) / 2)  # exp(v) (exp(v) - 1) = relative
    x = np.log(size[measured])
    quadratic = np.polyfit(x - x.mean(), variance, 2)[0]
    half = QUANTILE * float(np.sqrt(max(quadratic, 0.0)))
    return prediction.exponent - half, prediction.exponent + half


def _errors(curve: LearningCurve) -> dict[str, object]:
    return {"error": curve.error, "standard_error": curve.standard_error, "count": curve.test_count}


def _scores(prediction: Prediction) -> dict[str, Any]:
    """Return the scores of the answer and of every method, with the curves of the methods fitted below one half."""
    held_out, weights = prediction.held_out, prediction.answer.weights
    factor = held_out_factor({name: one.log_error for name, one in held_out.items()})
    reference, largest = held_out["power_law"], np.max(np.asarray(prediction.validation.size))
    scores: dict[str, Any] = {}
    for name, one in held_out.items():
        scores[name] = {
            "log_score": one.log_score,
            "behind": one.behind,
            "behind_error": one.behind_error,
            "above_power_law": np.asarray(one.log_score) - np.asarray(reference.log_score),
            "above_power_law_error": _error_above(prediction, name),
            "factor": factor[name],
            "log_error": one.log_error,
            "log_density": one.log_density,
            "inside": one.inside,
            "interval": one.interval,
        }
        if name in prediction.methods:
            curve = prediction.methods[name].curve
            shown = np.asarray(curve.size) <= largest
            scores[name]["weight"] = weights[name]
            scores[name]["curve"] = {"size": np.asarray(curve.size)[shown], "error": np.asarray(curve.error)[shown]}
    return scores


def _error_above(prediction: Prediction, name: str) -> float:
    """Return the standard error of the log score minus that of the power law, nan unless one of the two is the best."""
    one, reference = prediction.held_out[name], prediction.held_out["power_law"]
    if name == "power_law":
        return 0.0
    if float(reference.behind) == 0:
        return float(one.behind_error)
    return float(reference.behind_error) if float(one.behind) == 0 else np.nan


def _dimensions(sweep: BottleneckSweep) -> dict[str, object]:
    """Return the effective dimension by three rules, and the intrinsic dimensions averaged over seeds."""
    width, accuracy, spread = (np.asarray(value) for value in (sweep.width, sweep.accuracy, sweep.difference_error))
    saturation = saturation_dimension(width, accuracy, spread)
    weights = dimension_weights(width, accuracy, spread)
    return {
        "non_inferiority": {"value": sweep.estimate.value, "established": sweep.estimate.established},
        "saturation": {"value": saturation.value, "established": saturation.established},
        "weights": {
            "value": np.exp(-np.asarray(weights.log_exponent)),
            "log_deviation": weights.log_exponent_deviation,
            "width": weights.width,
            "weight": weights.weight,
        },
        "intrinsic": {name: np.mean(np.asarray(one.value)) for name, one in sweep.intrinsic.items()},
        "accuracy": accuracy,
        "difference_error": spread,
        "reference": sweep.reference,
    }


def _precise_sizes(prediction: Prediction) -> list[dict[str, object]]:
    """Return the held-out sizes with a relative standard error below 3 %, flagged where the answer is 10 % off."""
    left = ~np.asarray(prediction.fitted)
    size, error, spread = (
        np.asarray(value)[left]
        for value in (prediction.validation.size, prediction.validation.error, prediction.validation.standard_error)
    )
    factor: Float[np.ndarray, " u"] = np.exp(np.asarray(prediction.held_out["answer"].log_error))
    relative = spread / np.maximum(error, 1e-9)
    return [
        {"size": n, "relative_error": r, "predicted_to_measured": f, "off": bool(abs(f - 1) > OFF)}
        for n, r, f in zip(size, relative, factor, strict=True)
        if r < PRECISE
    ]


def _round(value: Any) -> Any:
    """Round the floats in nested plain data to six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_round(part) for part in value]
    return {name: _round(part) for name, part in value.items()} if isinstance(value, dict) else value
