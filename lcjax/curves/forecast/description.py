"""The shape of a learning curve in words, from the draws of its forecast."""

import numpy as np
from jaxtyping import Float

from lcjax.curves.forecast.condensed import log_range
from lcjax.curves.forecast.forecast import Forecast
from lcjax.formats import format_probability
from lcjax.records import record

__all__ = ["Stage", "describe", "stage"]

# Slopes inside the data are averaged over half an octave, the slope ahead over a factor of four in size.
_WINDOW, _AHEAD, _GRID = 0.35, float(np.log(4.0)), 49
# A curve is flat below this slope; it is on its steepest part above this share of its steepest slope, and flattens if
# the slope ahead falls below this share of the present one.
_FLAT, _STEEP, _FLATTENS = 0.03, 0.75, 0.6
# Families with less weight are not mentioned.
_MENTIONED = 0.15


@record
class Stage:
    """Probabilities of the behaviour of a curve at its largest size, each `(*b,)`; they add up to one.

    Attributes:
        rising: the error rises with size.
        flat: the error hardly changes.
        steep: the error falls as steeply as anywhere in the data, and continues to do so.
        flattening: the error falls more slowly than before, or is about to.
    """

    rising: Float[np.ndarray, "*b"]
    flat: Float[np.ndarray, "*b"]
    steep: Float[np.ndarray, "*b"]
    flattening: Float[np.ndarray, "*b"]


def stage(forecast: Forecast) -> Stage:
    """Return the probabilities of the behaviour of each curve at its largest size.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(8)
        >>> ahead = lc.forecast(jax.random.key(0), lc.LearningCurve(size, size**-0.5))
        >>> bool(stage(ahead).steep > 0.9)
        True
    """
    largest = np.asarray(forecast.largest, float)
    span = np.asarray(log_range(forecast.observed.time, forecast.observed.present), float)
    time = np.concatenate([-span[..., None] * np.linspace(1.0, 0.0, _GRID), np.full((*span.shape, 1), _AHEAD)], -1)
    draws = np.log(np.asarray(forecast.predict_draws(largest[..., None] * np.exp(time)), float))
    inside = draws[..., :-1]
    step = span[..., None] / (_GRID - 1)
    window = int(np.clip(np.round(_WINDOW / np.maximum(np.max(step), 1e-6)), 1, _GRID - 1))
    slope = (inside[..., :-window] - inside[..., window:]) / (window * step[..., None])
    now, steepest = slope[..., -1], np.max(slope, axis=-1)
    ahead = (inside[..., -1] - draws[..., -1]) / _AHEAD
    rising = now < -_FLAT
    flat = ~rising & (now < _FLAT)
    falls = ~rising & ~flat
    flattening = falls & ((ahead < _FLATTENS * now) | (now < _STEEP * steepest))
    shares = (np.mean(member, axis=-1) for member in (rising, flat, falls & ~flattening, flattening))
    return Stage(*shares)


def describe(forecast: Forecast) -> list[str]:
    """Describe each curve of a batch `(b,)`: its behaviour at its largest size, and the shapes that fit.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(8)
        >>> ahead = lc.forecast(jax.random.key(0), lc.LearningCurve(size, (size**-0.5)[None]))
        >>> describe(ahead)[0].startswith("As steep as anywhere (probability 9")
        True
    """
    at_end = stage(forecast)
    sayings = {"rising": "Rising", "flat": "Flat", "steep": "As steep as anywhere", "flattening": "Flattening"}
    weights = np.asarray(forecast.weight, float)
    sentences = []
    for i, weight in enumerate(weights):
        shares = {name: float(np.asarray(getattr(at_end, name))[i]) for name in sayings}
        best = max(shares, key=lambda name: shares[name])
        order = np.argsort(-weight)
        listed = [j for j in order if weight[j] >= _MENTIONED] or [int(order[0])]
        shapes = ", ".join(f"{forecast.words[j]} ({weight[j]:.2f})" for j in listed)
        count = {1: "One shape fits", 2: "Two shapes fit", 3: "Three shapes fit"}.get(len(listed), "Several shapes fit")
        sentences.append(
            f"{sayings[best]} (probability {format_probability(shares[best])}) at the largest size. {count}: {shapes}."
        )
    return sentences
