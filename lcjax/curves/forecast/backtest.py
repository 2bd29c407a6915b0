"""Back-test of functional forms inside the observed range: forecasts of the larger sizes from the smaller ones."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.forms import Form, power_law
from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["BackTest", "ObservedCurves", "anchor", "back_test", "observe"]

# Tuned on half of the data sets of LCDB 1.1: sizes up to a quarter of the largest were fitted and the rest scored.
_SCORE_FLOOR, _SCORE_POWER = 0.01, 2.0
# Factors on the weight of a form that loses its back-test to the last value, and of all others on a rising curve.
_LOSING, _RISING = 0.1, 0.3
# Weight of the last value relative to any other form without a back-test: curves fall.
_UNTESTED = 1 / 30
# Correlation of neighboring residuals from which the last one is attributed entirely to the form's misfit.
_CORRELATED = 0.5
# Error assumed for a curve too short for a back-test; otherwise it counts as this many observations.
_TYPICAL, _TYPICAL_COUNT = 0.1, 0.5


@record
class ObservedCurves:
    """Curves with sizes in ascending order, absent ones last, and their split for the back-test.

    Attributes:
        size: numbers of training examples, `(*b, s)`.
        log_error: logarithms of errors, zeros raised to half of the smallest positive error; 0 where absent, `(*b, s)`.
        present: True where a size was measured, `(*b, s)`.
        early: sizes to which the back-test fits, `(*b, s)`.
        rest: sizes on which the back-test is scored, `(*b, s)`; none if there are too few sizes on either side.
        largest: largest size, `(*b,)`.
        cut: largest size to which the back-test may fit, `(*b,)`.
        smallest_error: smallest positive error, `(*b,)`.
    """

    size: Float[jax.Array, "*b s"]
    log_error: Float[jax.Array, "*b s"]
    present: Bool[jax.Array, "*b s"]
    early: Bool[jax.Array, "*b s"]
    rest: Bool[jax.Array, "*b s"]
    largest: Float[jax.Array, "*b"]
    cut: Float[jax.Array, "*b"]
    smallest_error: Float[jax.Array, "*b"]


@record
class BackTest:
    """Weights of functional forms and the errors of their back-test.

    Attributes:
        weight: weight of each form, `(*b, f)`; sums to 1.
        score: root mean square of `log(forecast / error)` of each form on the held-out sizes, `(*b, f)`.
        trust: share of its last residual by which each form's forecast is moved, `(*b, f)`.
        error: root mean square of the mixture's `log(forecast / error)`, with half an observation of 0.1, `(*b,)`.
        ratio: logarithm of the ratio of sizes across which the back-test extrapolates, `(*b,)`.
    """

    weight: Float[jax.Array, "*b f"]
    score: Float[jax.Array, "*b f"]
    trust: Float[jax.Array, "*b f"]
    error: Float[jax.Array, "*b"]
    ratio: Float[jax.Array, "*b"]


def observe(size: Num[Array, "..."], error: Float[Array, "..."]) -> ObservedCurves:
    """Sort sizes and split them at a quarter of the largest size, or at the middle of the log range.

    Args:
        size: numbers of training examples, `(s,)` or `(*b, s)`.
        error: errors, `(*b, s)`; nan marks an absent size, and negative errors count as absent.

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
    # One held-out size does not test a form, nor does a fit to two sizes.
    tested = (jnp.sum(early, axis=-1) >= 3) & (jnp.sum(present & ~early, axis=-1) >= 2)
    smallest_error = jnp.min(jnp.where(present & (error > 0), error, jnp.inf), axis=-1)
    smallest_error = jnp.where(jnp.isfinite(smallest_error), smallest_error, 1e-6)
    log_error = jnp.log(jnp.where(present, jnp.maximum(error, 0.5 * smallest_error[..., None]), 1.0))
    rest = present & ~early & tested[..., None]
    return ObservedCurves(size, log_error, present, early, rest, largest, cut, smallest_error)


def anchor(
    log_prediction: Float[Array, "..."],
    at_largest: Float[Array, "..."],
    last: Float[Array, "..."],
    trust: Float[Array, "..."],
    part: Float[Array, "..."] | float = 1.0,
) -> Float[jax.Array, "..."]:
    """Move a form's log forecast by the trusted share of its residual at the largest size; the arguments broadcast.

    No form is exact: where neighboring residuals agree, the last one persists beyond the data.

    Args:
        log_prediction: logarithms of the form's forecast.
        at_largest: logarithm of the form's fit at the largest size.
        last: logarithm of the error measured there.
        trust: share of the residual, in [0, 1].
        part: fraction of the move that applies at a size: 1 beyond the data, less below.

    Examples:
        >>> import numpy as np
        >>> fit, at_largest, last, trust = np.array([-2.0, -1.5, -1.4, 1.0])[:, None]
        >>> print(*(f"{value:.2f}" for value in anchor(fit, at_largest, last, trust)))
        -1.90
    """
    return jnp.asarray(log_prediction) + part * trust * (jnp.asarray(last) - at_largest)


def back_test(
    forms: Sequence[Form], full: Sequence[CurveFit], early: Sequence[CurveFit], observed: ObservedCurves
) -> BackTest:
    """Weight functional forms by their back-tested forecasts.

    The weight of a form is `1 / (0.01 + rms log error)^2`. It is multiplied by 0.1 for a form that does worse than the
    last value, and by 0.3 for all but the last value on a curve whose rise exceeds half of its fall. Forms with as many
    parameters as there are sizes have no weight, except the power law, which two sizes determine. Without a back-test
    the weights are equal, except that of the last value, a thirtieth of the others.

    Args:
        forms: `f` forms.
        full: their fits to all sizes.
        early: their fits to the early sizes.
        observed: the curves.
    """
    log_error, rest = observed.log_error, observed.rest
    tested = jnp.any(rest, axis=-1)
    rest_count = jnp.sum(rest, axis=-1)
    lowest = jnp.log(observed.smallest_error)[..., None] - 3.0
    scores, logs, trusts = [], [], []
    for form, fit_full, fit_early in zip(forms, full, early, strict=True):
        log = jnp.fmax(jnp.log(fit_early.predict(observed.size)), lowest)
        trust = _trust(form, log, log_error, observed.early)
        log = anchor(log, *_at_last(log, log_error, observed.early), trust[..., None])
        log = jnp.where(rest, jnp.fmax(log, lowest), 0.0)
        square = jnp.sum(jnp.where(rest, (log - log_error) ** 2, 0.0), axis=-1) / jnp.maximum(rest_count, 1)
        # A form with more parameters than early sizes is not tested and scores at least 0.5, a poor score.
        known = (jnp.sum(observed.early, axis=-1) >= len(form.parameters)) & jnp.isfinite(square)
        score = jnp.sqrt(jnp.where(known, square, 0.0))
        scores.append(jnp.where(known, score, jnp.maximum(score, 0.5)))
        logs.append(log)
        trusts.append(_trust(form, jnp.log(fit_full.predict(observed.size)), log_error, observed.present))
    score = jnp.stack(scores, axis=-1)
    weight = _weights(forms, score, observed, tested)
    share = [weight[..., i, None] for i in range(len(forms))]
    mean = sum((w * jnp.where(w > 0, a, 0.0) for w, a in zip(share, logs, strict=True)), lowest * 0)
    squares = jnp.sum(jnp.where(rest, (mean - log_error) ** 2, 0.0), axis=-1)
    ratio = jnp.where(rest_count > 0, jnp.log(observed.largest / observed.cut), jnp.log(4.0))
    ratio = jnp.where(jnp.isfinite(ratio), ratio, jnp.log(4.0))
    error = jnp.sqrt((squares + _TYPICAL_COUNT * _TYPICAL**2) / (rest_count + _TYPICAL_COUNT))
    return BackTest(weight, score, jnp.stack(trusts, axis=-1), error, ratio)


def _weights(
    forms: Sequence[Form], score: Float[jax.Array, "*b f"], observed: ObservedCurves, tested: Bool[jax.Array, "*b"]
) -> Float[jax.Array, "*b f"]:
    is_last = jnp.array([form.last_only for form in forms])
    weight = (_SCORE_FLOOR + score) ** -_SCORE_POWER
    best_last = jnp.min(jnp.where(is_last, score, jnp.inf), axis=-1, keepdims=True)
    weight = weight * jnp.where((score > best_last) & ~is_last, _LOSING, 1.0)
    weight = jnp.where(tested[..., None], weight, jnp.where(is_last, _UNTESTED, 1.0))
    weight = weight * jnp.where(_is_rising(observed)[..., None] & ~is_last, _RISING, 1.0)
    count = jnp.sum(observed.present, axis=-1)[..., None]
    needed = jnp.array([0 if f.last_only else 2 if f is power_law else len(f.parameters) + 1 for f in forms])
    usable = count >= needed
    usable = jnp.where(jnp.any(usable, axis=-1, keepdims=True), usable, jnp.arange(len(forms)) == 0)
    weight = jnp.where(usable, weight, 0.0)
    return weight / jnp.sum(weight, axis=-1, keepdims=True)


def _at_last(
    log: Float[jax.Array, "*b s"], log_error: Float[jax.Array, "*b s"], where: Bool[jax.Array, "*b s"]
) -> tuple[Float[jax.Array, "*b 1"], Float[jax.Array, "*b 1"]]:
    """Return the logarithms of a form and of the error at the last of the sizes `where`, which come first."""
    place = jnp.maximum(jnp.sum(where, axis=-1, keepdims=True) - 1, 0)
    return jnp.take_along_axis(log, place, axis=-1), jnp.take_along_axis(log_error, place, axis=-1)


def _trust(
    form: Form, log: Float[jax.Array, "*b s"], log_error: Float[jax.Array, "*b s"], where: Bool[jax.Array, "*b s"]
) -> Float[jax.Array, "*b"]:
    """Estimate the share of the last residual that is misfit, not noise, from the correlation of neighbors."""
    if form.last_only:
        return jnp.zeros(where.shape[:-1], log.dtype)
    residual = jnp.where(where, log_error - log, 0.0)
    squares = jnp.maximum(jnp.sum(residual**2, axis=-1), np.finfo(residual.dtype).tiny)
    correlation = jnp.sum(residual[..., 1:] * residual[..., :-1], axis=-1) / squares
    return jnp.clip(correlation / _CORRELATED, 0.0, 1.0)


def _is_rising(observed: ObservedCurves) -> Bool[jax.Array, "*b"]:
    """Return True where the rise of a curve exceeds half of its fall.

    The fall is measured from the mean of the first third of the sizes to that of the last third; the rise is the
    largest one above an earlier minimum, of running means of three sizes.
    """
    log_error, present = observed.log_error, observed.present
    count = jnp.sum(present, axis=-1, keepdims=True)
    place = jnp.arange(log_error.shape[-1])
    third = jnp.maximum(3, count // 3)

    def mean(where: Bool[jax.Array, "*b s"]) -> Float[jax.Array, "*b"]:
        return jnp.sum(jnp.where(where, log_error, 0.0), axis=-1) / jnp.maximum(jnp.sum(where, axis=-1), 1)

    fall = mean(present & (place < third)) - mean(present & (place >= count - third))
    if log_error.shape[-1] < 6:
        return jnp.zeros(fall.shape, bool)
    smooth = (log_error[..., :-2] + log_error[..., 1:-1] + log_error[..., 2:]) / 3
    there = present[..., 2:]
    lowest = jax.lax.cummin(jnp.where(there, smooth, jnp.inf), axis=smooth.ndim - 1)
    rise = jnp.max(jnp.where(there, smooth - lowest, 0.0), axis=-1)
    return (count[..., 0] >= 6) & (rise > 0.5 * jnp.maximum(fall, 0.02))
