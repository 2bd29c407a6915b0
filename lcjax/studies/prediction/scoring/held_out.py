"""Scores of predictions against measured errors at held-out sizes of the same split."""

import numpy as np
import scipy.special
from jaxtyping import Bool, Float

from lcjax.records import record
from lcjax.studies.prediction.scoring.discrepancy import Predictive
from lcjax.typing import Array

__all__ = ["LEVEL", "HeldOut", "score_methods"]

LEVEL = 0.9
"""Nominal coverage of every interval."""


BOOTSTRAP = 100  # draws of the measured errors for the standard error of a score
_SAMPLE = 20_000  # of the mixture


@record
class HeldOut:
    """Score of a prediction at the held-out sizes.

    The distribution of a measured log error has the draws of the method, its discrepancy, and the noise of the
    measurement; see `lcjax.studies.prediction.scoring.discrepancy`.

    Attributes:
        log_error: `log(predicted / measured)`, `(u,)`.
        log_density: log density of the measured log error, `(u,)`.
        log_score: its mean over sizes, `()`; larger is better.
        behind: log score of the best method minus this one, `()`.
        behind_error: standard error of `behind`, `()`, by a bootstrap over seeds and examples of the measured errors.
        interval: 90 % interval of the measured error, `(2, u)`.
        inside: True where it contains the measured error, `(u,)`.
    """

    log_error: Float[Array, " u"]
    log_density: Float[Array, " u"]
    log_score: Float[Array, ""]
    behind: Float[Array, ""]
    behind_error: Float[Array, ""]
    interval: Float[Array, "2 u"]
    inside: Bool[Array, " u"]


def score_methods(
    centers: dict[str, Float[np.ndarray, " u"]],
    predictives: dict[str, Predictive],
    weights: dict[str, float],
    measured: Float[np.ndarray, " u"],
    draws: Float[np.ndarray, "k u"],
) -> dict[str, HeldOut]:
    """Score every method, and as "answer" their mixture, whose point prediction is the median.

    Args:
        centers: predicted log errors by method.
        predictives: distribution of the measured log errors by method.
        weights: weights that sum to 1.
        measured: measured log errors.
        draws: bootstrap draws of them.
    """
    names = list(predictives)
    rows = np.concatenate([measured[None], draws[:BOOTSTRAP]])
    density = {name: np.stack([predictives[name].log_density(row) for row in rows]) for name in names}
    logs = np.log(np.maximum([weights[name] for name in names], 1e-300))
    mixture = scipy.special.logsumexp(np.stack([density[name] for name in names], axis=-1) + logs, axis=-1)
    density = {"answer": mixture, **density}
    samples = {name: predictives[name].measurements() for name in names}
    mixed, middle = [], []
    for name in names:
        place = _places(weights[name], len(samples[name]))
        mixed.append(np.sort(samples[name], axis=0)[place])
        middle.append(np.sort(predictives[name].sample, axis=0)[place])
    samples = {"answer": np.concatenate(mixed), **samples}
    centers = {"answer": np.median(np.concatenate(middle), axis=0), **centers}
    scores = {name: value.mean(axis=1) for name, value in density.items()}
    best = scores[max(scores, key=lambda name: scores[name][0])]
    return {
        name: _record(
            centers[name] - measured, density[name][0], best - scores[name], scores[name][0], sample, measured
        )
        for name, sample in samples.items()
    }


def _places(weight: float, count: int) -> np.ndarray:
    """Return evenly spaced places in a sample, as many as the share of a method in a sample of the mixture."""
    number = round(_SAMPLE * weight)
    return ((np.arange(number) + 0.5) / max(number, 1) * count).astype(int)


def _record(
    log_error: np.ndarray,
    density: np.ndarray,
    behind: np.ndarray,
    score: float,
    sample: np.ndarray,
    measured: np.ndarray,
) -> HeldOut:
    low, high = np.quantile(sample, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    inside = (low <= measured) & (measured <= high)
    error = behind[1:].std(ddof=1) if len(behind) > 2 else np.nan
    return HeldOut(
        log_error, density, np.asarray(score), np.asarray(behind[0]), np.asarray(error), np.exp(np.stack([low, high])),
        inside,
    )  # fmt: skip
