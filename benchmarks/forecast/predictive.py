"""Predictive distributions of a measurement of the error, in log error, and mixtures of Student distributions."""

from typing import Protocol

import numpy as np
import scipy.special
from jaxtyping import Float

from lcjax.curves.learning_curve import LearningCurve
from lcjax.typing import KeyArray

__all__ = ["Method", "Predictive", "StudentMixture"]

_SAMPLE = 512  # draws from which the quantiles of a mixture are taken


class Predictive(Protocol):
    """Distribution of the logarithm of one measured error at sizes `(b, s)`, for b curves."""

    def log_median(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b s"]:
        """Return the point forecast of the log error."""

    def log_quantile(self, size: Float[np.ndarray, "b s"], levels: Float[np.ndarray, " l"]) -> np.ndarray:
        """Return quantiles of the log error, `(b, s, l)`."""

    def log_draws(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b k s"]:
        """Return draws of the log error; those of one size represent its distribution, joint or not."""

    def log_density(self, size: Float[np.ndarray, "b s"], log_error: Float[np.ndarray, "b s"]) -> np.ndarray:
        """Return the log density at `log_error`, per unit of log error, `(b, s)`."""


class Method(Protocol):
    """A forecaster.

    Attributes:
        name: name in tables, and of the files of its scores.
        batched: True if one program fits the whole batch and is compiled for its shape; False if a program fits one
            curve, so that one curve suffices to compile it.
    """

    @property
    def name(self) -> str:
        """Return the name."""

    @property
    def batched(self) -> bool:
        """Return whether one program fits the whole batch."""

    def fit(self, key: KeyArray, curves: LearningCurve) -> Predictive:
        """Fit a batch of curves, `(b, n)`, padded with nan."""


class StudentMixture:
    """Base of predictive distributions that are equal mixtures of k Student distributions of the log error.

    A subclass defines `log_median` and `components`. Quantiles and draws are taken from a stratified sample of the
    mixture, the density is exact.
    """

    def components(self, size: Float[np.ndarray, "b s"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the centres, `(b, k, s)`, and scales and degrees of freedom that broadcast to them."""
        raise NotImplementedError

    def log_draws(self, size: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b k s"]:
        """Return quantiles of all components at offset levels, so that they fill the distribution evenly."""
        center, scale, degrees = self.components(size)
        parts = center.shape[1]
        strata = -(-_SAMPLE // parts)
        offset = ((np.arange(parts) + 0.5) * 0.6180339887) % 1.0
        level = (np.arange(strata)[:, None, None] + offset[:, None]) / strata
        level = np.clip(level, 0.1 / _SAMPLE, 1 - 0.1 / _SAMPLE)
        deviate = scipy.special.stdtrit(degrees[:, None], level)
        draws = center[:, None] + scale[:, None] * deviate
        return np.asarray(draws.reshape(len(center), -1, center.shape[2]))

    def log_quantile(self, size: Float[np.ndarray, "b s"], levels: Float[np.ndarray, " l"]) -> np.ndarray:
        """Return quantiles of the stratified sample."""
        return np.moveaxis(np.quantile(self.log_draws(size), levels, axis=1), 0, -1)

    def log_density(self, size: Float[np.ndarray, "b s"], log_error: Float[np.ndarray, "b s"]) -> np.ndarray:
        """Return the log density of the mixture."""
        center, scale, degrees = self.components(size)
        square = ((log_error[:, None] - center) / scale) ** 2
        constant = scipy.special.gammaln((degrees + 1) / 2) - scipy.special.gammaln(degrees / 2)
        constant = constant - 0.5 * np.log(degrees * np.pi)
        each = constant - np.log(scale) - (degrees + 1) / 2 * np.log1p(square / degrees)
        return np.asarray(scipy.special.logsumexp(each, axis=1) - np.log(center.shape[1]))
