"""Discrepancy between a method and the curve beyond the fitted sizes, from a rolling back-test inside them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float

from lcjax.studies.prediction.methods.points import Fit, Points, Used
from lcjax.studies.prediction.methods.power_laws import power_law_rows

__all__ = ["EXACT", "PRIOR", "Discrepancy", "Predictive", "back_test_cuts", "estimate_discrepancy", "residual_noise"]

_STRATA = 8  # deviates of each draw in a sample of its distribution


class Discrepancy(NamedTuple):
    """Student distribution of `log(curve / prediction)` at a log ratio x of sizes: scale `scale * x^power`.

    Attributes:
        scale: scale at a ratio of e.
        degrees: degrees of freedom.
        power: power of the log ratio.
    """

    scale: float
    degrees: float
    power: float = 0.75

    def at(self, log_ratio: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
        """Return the scale at log ratios of the size to the largest fitted one, 0 within the fitted sizes."""
        scale: Float[np.ndarray, " t"] = self.scale * np.maximum(log_ratio, 0.0) ** self.power
        return scale


# Learned for power laws of four to seven sizes on the tuning half of LCDB 1.1 (benchmarks.prediction_prior): the log
# ratio of measured to predicted errors at 2 to 16 times the largest fitted size.
PRIOR = Discrepancy(0.195, 2.3, 0.75)
EXACT = Discrepancy(0.0, 30.0)
"""No discrepancy, for the forecast, whose families contain it."""


def back_test_cuts(used: Used, size: Float[np.ndarray, " s"], count: int) -> list[Used]:
    """Return selections without the largest one, two, ... of the fitted sizes; each keeps at least two."""
    order = np.flatnonzero(used)[np.argsort(size[used], kind="stable")]
    cuts = []
    for drop in range(1, min(count, len(order) - 2) + 1):
        cut = used.copy()
        cut[order[-drop:]] = False
        cuts.append(cut)
    return cuts


def residual_noise(points: Points, used: Used) -> Float[np.ndarray, " s"]:
    """Return the standard deviation of measured minus extrapolated log errors that is due to seeds and examples.

    A power law is fitted to every bootstrap draw; examples and seeds are those of the same draw, so that a validation
    set that is harder than others by chance counts once.
    """
    rows = points.joint
    exponent, log_scale = power_law_rows(points.size[used], rows[:, used], points.weight[used])
    residual = rows - (log_scale[:, None] + exponent[:, None] * np.log(points.size))
    return np.asarray(residual.std(axis=0))


def estimate_discrepancy(
    fits: Sequence[Fit],
    cuts: Sequence[Used],
    used: Used,
    points: Points,
    columns: np.ndarray,
    *,
    prior: Discrepancy = PRIOR,
) -> Discrepancy:
    """Update the prior scale by a method's errors in the back-test, less their noise.

        scale^2 = (degrees prior^2 + sum_j r_j^2) / (degrees + J),    r_j^2 = mean((e^2 - noise^2)+ / x^(2 power))

    over the J cuts, where the mean is over the fitted sizes that the cut leaves out.

    Args:
        fits: the method fitted to each cut.
        cuts: selections of sizes of these fits.
        used: sizes of the fit itself.
        points: measured errors.
        columns: places of the sizes in the grid of the fits.
        prior: prior of the discrepancy.
    """
    total = prior.degrees * prior.scale**2
    for fit, cut in zip(fits, cuts, strict=True):
        left = used & ~cut
        x = np.log(points.size[left] / points.size[cut].max())
        error, noise = points.log_error[left] - fit.center[columns[left]], residual_noise(points, cut)[left]
        total += np.mean(np.maximum(error**2 - noise**2, 0) / x ** (2 * prior.power))
    return Discrepancy(float(np.sqrt(total / (prior.degrees + len(cuts)))), prior.degrees + len(cuts), prior.power)


class Predictive(NamedTuple):
    """Distribution of measured log errors: draws of the mean error, discrepancy and noise.

    Attributes:
        sample: equally likely log errors without noise, `(n, u)`.
        noise: standard deviation of one measured log error, `(u,)`.
    """

    sample: Float[np.ndarray, "n u"]
    noise: Float[np.ndarray, " u"]

    @classmethod
    def of(
        cls,
        draws: Float[np.ndarray, "k u"],
        log_ratio: Float[np.ndarray, " u"],
        discrepancy: Discrepancy,
        noise: Float[np.ndarray, " u"],
    ) -> "Predictive":
        """Widen draws by a discrepancy, with stratified deviates."""
        offset = (np.arange(len(draws)) * 0.6180339887 + 0.5) % 1.0
        level = (np.arange(_STRATA)[:, None] + offset) / _STRATA
        deviate = scipy.special.stdtrit(discrepancy.degrees, np.clip(level, 1e-3, 1 - 1e-3))
        sample = draws + discrepancy.at(log_ratio) * deviate[:, :, None]
        return cls(sample.reshape(-1, draws.shape[1]), noise)

    def log_density(self, log_error: Float[np.ndarray, " u"]) -> Float[np.ndarray, " u"]:
        """Return the log density per unit of log error."""
        noise = np.maximum(self.noise, 0.01)
        each = -0.5 * ((log_error - self.sample) / noise) ** 2 - np.log(noise) - 0.5 * np.log(2 * np.pi)
        return np.asarray(scipy.special.logsumexp(each, axis=0) - np.log(len(self.sample)))

    def measurements(self) -> Float[np.ndarray, "n u"]:
        """Return equally likely measured log errors."""
        level = (np.arange(len(self.sample)) * 0.7548776662 + 0.5) % 1.0
        return np.asarray(self.sample + self.noise * scipy.special.ndtri(np.clip(level, 1e-4, 1 - 1e-4))[:, None])
