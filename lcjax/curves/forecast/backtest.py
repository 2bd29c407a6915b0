"""Back-test of forms inside the observed range: what each would have forecast from the smaller sizes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.forms import Form, power_law
from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.records import record

__all__ = ["BackTest", "Observed", "anchor", "back_test", "observe"]

Array = jax.Array | np.ndarray

# Tuned on half of the data sets of LCDB 1.1 (sizes to a quarter of the largest fitted, the rest scored).
_SCORE_FLOOR, _SCORE_POWER = 0.01, 2.0
# A law that loses its back-test against the last value, and any law on a curve that rises as it falls.
_LOSES, _WANDERS = 0.1, 0.3
# Without a test the last value has this weight beside any law: curves fall.
_UNTESTED = 1 / 30
# Correlation of neighbouring residuals from which the last of them is trusted wholly to be the form's misfit.
_CORRELATED = 0.5
# Error of a curve too short for a back-test, and how many observations that counts for otherwise.
_TYPICAL, _TYPICAL_COUNT = 0.1, 0.5


@record
class Observed:
    """A batch of curves, sizes in ascending order and absent ones last, and their early parts.

    Attributes:
        size: `(*b, s)`.
        log_error: errors of zero raised to half of the smallest one; 0 where absent, `(*b, s)`.
        present: `(*b, s)`.
        early: sizes that the back-test fits, `(*b, s)`.
        rest: sizes that it is scored on, `(*b, s)`; none where too few sizes lie on either side.
        largest: largest size, `(*b,)`.
        cut: largest size that the back-test may fit, `(*b,)`.
        smallest_error: smallest positive error, `(*b,)`.
    """

    size: Float[Array, "*b s"]
    log_error: Float[Array, "*b s"]
    present: Bool[Array, "*b s"]
    early: Bool[Array, "*b s"]
    rest: Bool[Array, "*b s"]
    largest: Float[Array, "*b"]
    cut: Float[Array, "*b"]
    smallest_error: Float[Array, "*b"]


@record
class BackTest:
    """Which forms have earned how much weight.

    Attributes:
        weight: of each form, sums to 1, `(*b, f)`.
        score: root mean square of `log(forecast / error)` of each form on the sizes left out, `(*b, f)`.
        trust: share of its last residual by which each form's forecast is moved, `(*b, f)`.
        error: root mean square of the mixture's `log(forecast / error)`, with a half observation of 0.1, `(*b,)`.
        ratio: logarithm of the ratio of sizes that was bridged, `(*b,)`.
    """

    weight: Float[Array, "*b f"]
    score: Float[Array, "*b f"]
    trust: Float[Array, "*b f"]
    error: Float[Array, "*b"]
    ratio: Float[Array, "*b"]


def observe(size: Array, error: Array) -> Observed:
    """Sizes in order, and the cut: a quarter of the largest size, or the middle of the log range.

    Args:
        size: training examples, `(s,)` or `(*b, s)`.
        error: `(*b, s)`; nan marks an absent size, and negative errors count as absent.

    Returns:
        An `Observed`.

    Examples:
        >>> import jax.numpy as jnp
        >>> observe(jnp.array([1.0, 2.0, 4.0, 8.0, 16.0]), jnp.ones(5)).early.tolist()
        [True, True, True, False, False]
    """
    error = jnp.asarray(error)
    size = jnp.broadcast_to(jnp.asarray(size, error.dtype), error.shape)
    present = jnp.isfinite(error) & jnp.isfinite(size) & (size > 0) & (error >= 0)
    words = order_words(jnp.where(present, size, jnp.inf))
    order = argsort([word.reshape(-1, error.shape[-1]) for word in words]).reshape(error.shape)
    size, error, present = (jnp.take_along_axis(a, order, axis=-1) for a in (size, error, present))
    largest = jnp.max(jnp.where(present, size, -jnp.inf), axis=-1)
    smallest = jnp.min(jnp.where(present, size, jnp.inf), axis=-1)
    quarter, middle = largest / 4, jnp.sqrt(smallest * largest)
    enough = jnp.sum(present & (size <= quarter[..., None]), axis=-1) >= 3
    cut = jnp.where(enough, quarter, jnp.where(jnp.isfinite(middle), middle, quarter))
    early = present & (size <= cut[..., None])
    # One size left out, or two to fit, is no test of a law.
    tested = (jnp.sum(early, axis=-1) >= 3) & (jnp.sum(present & ~early, axis=-1) >= 2)
    smallest_error = jnp.min(jnp.where(present & (error > 0), error, jnp.inf), axis=-1)
    smallest_error = jnp.where(jnp.isfinite(smallest_error), smallest_error, 1e-6)
    log_error = jnp.log(jnp.where(present, jnp.maximum(error, 0.5 * smallest_error[..., None]), 1.0))
    return Observed(size, log_error, present, early, present & ~early & tested[..., None], largest, cut, smallest_error)


def anchor(log_prediction: Array, at_largest: Array, last: Array, trust: Array, part: Array | float = 1.0) -> jax.Array:
    """A form's forecast moved by the trusted share of its residual at the largest size.

    A form is never exact: where its residuals agree with their neighbours, the last one goes on beyond the data.

    Args:
        log_prediction: logarithms of its forecast.
        at_largest: logarithm of its fit at the largest size.
        last: logarithm of the error measured there.
        trust: share of the residual, in [0, 1].
        part: how much of the move counts at a size: 1 beyond the data, less before.

    Returns:
        Logarithms, broadcast.

    Examples:
        >>> import numpy as np
        >>> fit, at_largest, last, trust = np.array([-2.0, -1.5, -1.4, 1.0])[:, None]
        >>> print(*(f"{value:.2f}" for value in anchor(fit, at_largest, last, trust)))
        -1.90
    """
    return jnp.asarray(log_prediction) + part * trust * (jnp.asarray(last) - at_largest)


def back_test(forms: Sequence[Form], full: Sequence[CurveFit], early: Sequence[CurveFit], seen: Observed) -> BackTest:
    """Weights of forms by their forecasts of the sizes left out.

    The weight of a form is `1 / (0.01 + rms log error)^2`; a law that does worse than the last value loses weight by
    10, and so do all laws, by 3, on a curve that rises by more than half of what it falls. Forms with as many
    parameters as there are sizes are left out, the power law apart, which two sizes determine. Where nothing could be
    tested all laws weigh alike, and the last value a thirtieth.

    Args:
        forms: `f` forms.
        full: their fits to all sizes.
        early: their fits to the early sizes.
        seen: the curves.

    Returns:
        A `BackTest`.
    """
    log_error, rest = jnp.asarray(seen.log_error), jnp.asarray(seen.rest)
    tested = jnp.any(rest, axis=-1)
    left = jnp.maximum(jnp.sum(rest, axis=-1), 1)
    lowest = jnp.log(jnp.asarray(seen.smallest_error))[..., None] - 3.0
    scores, logs, trusts = [], [], []
    for form, fit_full, fit_early in zip(forms, full, early, strict=True):
        log = jnp.fmax(jnp.log(fit_early.predict(seen.size)), lowest)
        trust = _trust(form, log, log_error, jnp.asarray(seen.early))
        log = anchor(log, *_at_last(log, log_error, jnp.asarray(seen.early)), trust[..., None])
        log = jnp.where(rest, jnp.fmax(log, lowest), 0.0)
        square = jnp.sum(jnp.where(rest, (log - log_error) ** 2, 0.0), axis=-1) / left
        # More parameters than early sizes: the form was not tested, and counts as a poor one.
        known = (jnp.sum(seen.early, axis=-1) >= len(form.parameters)) & jnp.isfinite(square)
        score = jnp.sqrt(jnp.where(known, square, 0.0))
        scores.append(jnp.where(known, score, jnp.maximum(score, 0.5)))
        logs.append(log)
        fitted = jnp.log(fit_full.predict(seen.size))
        trusts.append(_trust(form, fitted, log_error, jnp.asarray(seen.present)))
    score = jnp.stack(scores, axis=-1)
    weight = _weights(forms, score, seen, tested)
    mean = sum(
        (weight[..., i, None] * jnp.where(weight[..., i, None] > 0, a, 0.0) for i, a in enumerate(logs)), lowest * 0
    )
    count = jnp.sum(rest, axis=-1)
    squares = jnp.sum(jnp.where(rest, (mean - log_error) ** 2, 0.0), axis=-1)
    ratio = jnp.where(count > 0, jnp.log(seen.largest / seen.cut), jnp.log(4.0))
    return BackTest(
        weight,
        score,
        jnp.stack(trusts, axis=-1),
        jnp.sqrt((squares + _TYPICAL_COUNT * _TYPICAL**2) / (count + _TYPICAL_COUNT)),
        jnp.where(jnp.isfinite(ratio), ratio, jnp.log(4.0)),
    )


def _weights(forms: Sequence[Form], score: jax.Array, seen: Observed, tested: jax.Array) -> jax.Array:
    is_last = jnp.array([form.last_only for form in forms])
    weight = (_SCORE_FLOOR + score) ** -_SCORE_POWER
    best_last = jnp.min(jnp.where(is_last, score, jnp.inf), axis=-1, keepdims=True)
    weight = weight * jnp.where((score > best_last) & ~is_last, _LOSES, 1.0)
    weight = jnp.where(tested[..., None], weight, jnp.where(is_last, _UNTESTED, 1.0))
    weight = weight * jnp.where(_wanders(seen)[..., None] & ~is_last, _WANDERS, 1.0)
    count = jnp.sum(seen.present, axis=-1)[..., None]
    needs = jnp.array([0 if f.last_only else 2 if f is power_law else len(f.parameters) + 1 for f in forms])
    usable = count >= needs
    usable = jnp.where(jnp.any(usable, axis=-1, keepdims=True), usable, jnp.arange(len(forms)) == 0)
    weight = jnp.where(usable, weight, 0.0)
    return weight / jnp.sum(weight, axis=-1, keepdims=True)


def _at_last(log: jax.Array, log_error: jax.Array, where: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A form and the error at the last of the sizes `where`, which come first, each with a last axis of 1."""
    place = jnp.maximum(jnp.sum(where, axis=-1, keepdims=True) - 1, 0)
    return jnp.take_along_axis(log, place, axis=-1), jnp.take_along_axis(log_error, place, axis=-1)


def _trust(form: Form, log: jax.Array, log_error: jax.Array, where: jax.Array) -> jax.Array:
    """Share of the last residual that is misfit rather than noise, by how neighbouring residuals correlate."""
    if form.last_only:
        return jnp.zeros(where.shape[:-1], log.dtype)
    residual = jnp.where(where, log_error - log, 0.0)
    squares = jnp.maximum(jnp.sum(residual**2, axis=-1), jnp.finfo(residual.dtype).tiny)
    correlation = jnp.sum(residual[..., 1:] * residual[..., :-1], axis=-1) / squares
    return jnp.clip(correlation / _CORRELATED, 0.0, 1.0)


def _wanders(seen: Observed) -> Bool[jax.Array, "*b"]:
    """Whether a curve rises by more than half of what it falls.

    The fall is that from the mean of the first third of the sizes to that of the last; the rise is the largest one
    above an earlier minimum, of running means of three.
    """
    log_error, present = jnp.asarray(seen.log_error), jnp.asarray(seen.present)
    count = jnp.sum(present, axis=-1, keepdims=True)
    place = jnp.arange(log_error.shape[-1])
    third = jnp.maximum(3, count // 3)

    def mean(where: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(where, log_error, 0.0), axis=-1) / jnp.maximum(jnp.sum(where, axis=-1), 1)

    fall = mean(present & (place < third)) - mean(present & (place >= count - third))
    if log_error.shape[-1] < 6:
        return jnp.zeros(fall.shape, bool)
    smooth = (log_error[..., :-2] + log_error[..., 1:-1] + log_error[..., 2:]) / 3
    there = present[..., 2:]
    lowest = jax.lax.cummin(jnp.where(there, smooth, jnp.inf), axis=smooth.ndim - 1)
    rise = jnp.max(jnp.where(there, smooth - lowest, 0.0), axis=-1)
    return (count[..., 0] >= 6) & (rise > 0.5 * jnp.maximum(fall, 0.02))
