"""Scores of predictions against measured errors at held-out sizes of the same split."""

import numpy as np
import scipy.special
from jaxtyping import Bool, Float

from lcjax.records import record
from lcjax.studies.prediction.discrepancy import Predictive
from lcjax.typing import Array

__all__ = ["LEVEL", "HeldOut", "score", "score_mixture"]

LEVEL = 0.9
"""Nominal coverage of every interval."""


@record
class HeldOut:
    """Score of a prediction at the held-out sizes.

    The distribution of a measured log error has the draws of the method, its discrepancy, and the noise of the
    measurement; see `lcjax.studies.prediction.discrepancy`.

    Attributes:
        log_error: `log(predicted / measured)`, `(u,)`.
        log_density: log density of the measured log error, `(u,)`.
        log_score: its mean over sizes, `()`; larger is better.
        interval: 90 % interval of the measured error, `(2, u)`.
        inside: True where it contains the measured error, `(u,)`.
    """

    log_error: Float[Array, " u"]
    log_density: Float[Array, " u"]
    log_score: Float[Array, ""]
    interval: Float[Array, "2 u"]
    inside: Bool[Array, " u"]


def score(center: Float[np.ndarray, " u"], predictive: Predictive, measured: Float[np.ndarray, " u"]) -> HeldOut:
    """Score one method.

    Args:
        center: predicted log errors.
        predictive: distribution of the measured log errors.
        measured: measured log errors.
    """
    return _record(center, predictive.log_density(measured), predictive.measured(), measured)


def score_mixture(
    predictives: dict[str, Predictive], weights: dict[str, float], measured: Float[np.ndarray, " u"]
) -> HeldOut:
    """Score the mixture of methods; its point prediction is the median.

    Args:
        predictives: distribution of the measured log errors by method.
        weights: weights that sum to 1.
        measured: measured log errors.
    """
    names = list(predictives)
    logs = np.log(np.maximum([weights[name] for name in names], 1e-300))
    density = scipy.special.logsumexp(
        np.stack([predictives[name].log_density(measured) for name in names]) + logs[:, None], axis=0
    )
    values, center = [], []
    for name in names:
        sample = predictives[name].measured()
        count = max(1, round(20_000 * weights[name]))
        place = ((np.arange(count) + 0.5) / count * len(sample)).astype(int)
        values.append(np.sort(sample, axis=0)[place])
        center.append(np.sort(predictives[name].sample, axis=0)[place])
    return _record(np.median(np.concatenate(center), axis=0), density, np.concatenate(values), measured)


def _record(center: np.ndarray, density: np.ndarray, sample: np.ndarray, measured: np.ndarray) -> HeldOut:
    low, high = np.quantile(sample, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    mean = np.mean(density) if density.size else np.nan
    inside = (low <= measured) & (measured <= high)
    return HeldOut(center - measured, density, np.asarray(mean), np.exp(np.stack([low, high])), inside)
