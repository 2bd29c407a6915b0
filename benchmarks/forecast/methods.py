"""Forecasters to compare: the posterior, the back-tested mixture, the last value, and single forms by least squares."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from benchmarks.forecast.predictive import Method, Predictive, StudentMixture
from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.forecast.mixture import MixtureForecast, mixture_forecast
from lcjax.curves.forms import Form, broken_power_law, m3, m4, mmf, power_law, power_law_offset, twice_broken_power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.typing import Array, KeyArray

__all__ = ["METHODS", "FormFit", "LastValue", "Mixture", "PosteriorForecast", "find_method"]

# Typical relative noise, which counts as one observation when a scale is estimated, as in `fit_curve`.
_TYPICAL = 0.03
_DEGREES = 1.4  # degrees of freedom of the draws of the back-tested mixture
_LEAST, _MOST = 1e-30, 1e30
_BLOCK = 128


@dataclasses.dataclass(frozen=True)
class PosteriorForecast:
    """The Bayesian forecast, `lcjax.curves.forecast.forecast.forecast`, with keyword arguments of that function."""

    name: str = "posterior"
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    batched: bool = False

    def fit(self, key: KeyArray, curves: LearningCurve) -> Predictive:
        """Draw from the posterior of every curve."""
        return _Posterior(forecast(key, curves, **self.arguments, allow_rising=True))


@dataclasses.dataclass(frozen=True)
class _Posterior:
    ahead: Forecast

    def log_median(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b s"]:
        return _log(_in_blocks(self.ahead.predict, size))

    def log_quantile(self, size: Float[np.ndarray, "b s"], levels: Float[np.ndarray, " l"]) -> np.ndarray:
        return _log(_in_blocks(lambda size: self.ahead.quantile(size, jnp.asarray(levels)), size))

    def log_draws(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b k s"]:
        return _log(_in_blocks(lambda size: self.ahead.predict_draws(size, measured=True), size, axis=2))

    def log_density(self, size: Float[np.ndarray, "b s"], log_error: Float[np.ndarray, "b s"]) -> np.ndarray:
        density = _in_blocks(self.ahead.log_density, size, np.exp(log_error))
        return density + log_error  # per unit of the error, made per unit of its logarithm


def _in_blocks(
    function: Callable[..., Array], *arrays: Float[np.ndarray, "b s"], axis: int = 1
) -> Float[np.ndarray, "..."]:
    """Evaluate a forecast at blocks of at most 128 sizes, since it pads more to 512."""
    number = -(-arrays[0].shape[1] // _BLOCK)
    blocks = zip(*(np.array_split(a, number, axis=1) for a in arrays), strict=True)
    return np.concatenate([np.asarray(function(*map(jnp.asarray, block)), float) for block in blocks], axis=axis)


@dataclasses.dataclass(frozen=True)
class Mixture:
    """The back-tested mixture of forms, `lcjax.curves.forecast.mixture.mixture_forecast`."""

    name: str = "mixture"
    draws: int = 40
    batched: bool = True

    def fit(self, key: KeyArray, curves: LearningCurve) -> Predictive:
        """Fit and back-test all forms of the mixture."""
        return _BackTested(mixture_forecast(key, curves, draws=self.draws))


@dataclasses.dataclass(frozen=True)
class _BackTested(StudentMixture):
    ahead: MixtureForecast

    def log_median(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b s"]:
        return _log(self.ahead.predict(jnp.asarray(size)))

    def components(self, size: Float[np.ndarray, "b s"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the log curves of the draws without their shift, and the scale by which a shift of 1 moves them."""
        shift = jnp.asarray(self.ahead.shift)
        center, moved = (
            _log(dataclasses.replace(self.ahead, shift=jnp.full_like(shift, value)).predict_draws(jnp.asarray(size)))
            for value in (0.0, 1.0)
        )
        return center, np.maximum(moved - center, 1e-6), np.full((1, 1, 1), _DEGREES)


@dataclasses.dataclass(frozen=True)
class LastValue:
    """The last error, with an interval that grows as that of a random walk in log size.

    The squared scale per unit of log size is the mean over neighboring sizes of
    `log(error_{i+1} / error_i)^2 / log(size_{i+1} / size_i)`, with one more observation of 0.03^2; the scale at a size
    is its root times the square root of `log(size / largest)`, in Student's distribution with as many degrees of
    freedom as observations. An error of 0 counts as half of the smallest positive one.
    """

    name: str = "last_value"
    batched: bool = False

    def fit(self, key: KeyArray, curves: LearningCurve) -> Predictive:
        """Estimate the scale of the walk of every curve; the key is not used."""
        del key
        size, error = np.asarray(curves.size, float), np.asarray(curves.error, float)
        last, largest, variance, degrees = (np.empty(len(error)) for _ in range(4))
        for i, (x, y) in enumerate(zip(size, error, strict=True)):
            there = np.flatnonzero(~np.isnan(y) & ~np.isnan(x))
            there = there[np.argsort(x[there], kind="stable")]
            smallest = np.min(y[there], where=y[there] > 0, initial=np.inf)
            log_error = np.log(np.where(y[there] > 0, y[there], smallest / 2 if np.isfinite(smallest) else 1e-6))
            squares = np.diff(log_error) ** 2 / np.maximum(np.diff(np.log(x[there])), 1e-6)
            last[i], largest[i], degrees[i] = log_error[-1], x[there[-1]], len(squares) + 1
            variance[i] = (squares.sum() + _TYPICAL**2) / (len(squares) + 1)
        return _Walk(last, largest, np.sqrt(variance), degrees)


@dataclasses.dataclass(frozen=True)
class _Walk(StudentMixture):
    last: Float[np.ndarray, " b"]
    largest: Float[np.ndarray, " b"]
    scale: Float[np.ndarray, " b"]
    degrees: Float[np.ndarray, " b"]

    def log_median(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b s"]:
        return np.broadcast_to(self.last[:, None], size.shape)

    def components(self, size: Float[np.ndarray, "b s"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        beyond = np.maximum(np.log(size / self.largest[:, None]), 1e-6)
        scale = self.scale[:, None] * np.sqrt(beyond)
        return self.log_median(size)[:, None], scale[:, None], self.degrees[:, None, None]


@dataclasses.dataclass(frozen=True)
class FormFit:
    """One form by least squares of log errors, `fit_curve`, with bootstrap draws and Student noise of a measurement.

    The noise has the residual standard deviation of `fit_curve`, to which one observation of 0.03 is added, and
    `max(n - p, 0) + 1` degrees of freedom, so that curves with as few sizes as parameters have a density.
    """

    name: str
    form: Form
    draws: int = 40
    batched: bool = True

    def fit(self, key: KeyArray, curves: LearningCurve) -> Predictive:
        """Fit the form from all starts of its grid, and to every bootstrap sample."""
        fit = fit_curve(curves, self.form, key=key, draws=self.draws)
        count = np.sum(~np.isnan(np.asarray(curves.error)), axis=1)
        return _Fitted(fit, np.maximum(count - len(self.form.parameters), 0) + 1.0)


@dataclasses.dataclass(frozen=True)
class _Fitted(StudentMixture):
    result: CurveFit
    degrees: Float[np.ndarray, " b"]

    def log_median(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b s"]:
        return _log(_predict(self.result, jnp.asarray(size)))

    def components(self, size: Float[np.ndarray, "b s"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        noise = np.asarray(self.result.noise, float)
        return _log(_predict_draws(self.result, jnp.asarray(size))), noise[:, None, None], self.degrees[:, None, None]


@jax.jit
def _predict(fit: CurveFit, size: jax.Array) -> jax.Array:
    return fit.predict(size)


@jax.jit
def _predict_draws(fit: CurveFit, size: jax.Array) -> jax.Array:
    return fit.predict_draws(size)


def _log(error: Array) -> np.ndarray:
    """Return logarithms in double precision; predictions are limited to the range from 1e-30 to 1e30."""
    return np.asarray(np.log(np.clip(np.asarray(error, float), _LEAST, _MOST)))


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        PosteriorForecast(),
        Mixture(),
        LastValue(),
        FormFit("M1", power_law),
        FormFit("M2", power_law_offset),  # the power law with an offset: one formula, one entry
        FormFit("M3", m3),
        FormFit("M4", m4),
        FormFit("MMF", mmf),
        FormFit("BNSL-1", broken_power_law),
        FormFit("BNSL-2", twice_broken_power_law),
    )
}
"""Methods by name, ours first."""


def find_method(name: str) -> Method:
    """Return a method of `METHODS`, or the method at `module:attribute`, such as a variant or a peer package.

    Raises:
        ValueError: there is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ValueError(f"No method {name!r}. Methods: {', '.join(METHODS)}, or module:attribute.")
    method: Method = getattr(importlib.import_module(module), attribute)
    return method
