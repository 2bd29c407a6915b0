"""Tests of the claims of Sharma et al. (2019) on networks compressed under several losses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Num

from lcjax.studies.compression.compress import Compression
from lcjax.studies.compression.compressed_loss import TOLERANCE, CompressedLoss
from lcjax.studies.compression.losses import pairs

__all__ = ["Verdict", "verdicts"]

LEVEL = 0.05
SLACK = 1e-3  # accuracy above the largest class's fraction that a network needs to be informative


class Verdict(NamedTuple):
    """One claim for one network and one pair of losses, or one loss.

    Attributes:
        data: name of the data set.
        model: the network.
        claim: the claim.
        losses: "without -> with" the data-dependent term, or the one loss.
        before: the quantity without the term (in full precision): geometric mean of ratios, mean of others, over seeds.
        after: the quantity with it (at the best number of bits).
        pvalue: of equality over seeds: Welch's test; for the peak, a paired test times the number of bits tried.
        holds: True if it is better, the p-value is below 5 %, accuracy is at most 1 % lower, and the networks are
            informative: their accuracy with the term (pruned for the claim about compression, quantized for that about
            the peak) exceeds the fraction of the largest class. A ratio of 5,000 at that accuracy proves nothing.
    """

    data: str
    model: str
    claim: str
    losses: str
    before: float
    after: float
    pvalue: float
    holds: bool


def verdicts(compressions: Sequence[Compression]) -> list[Verdict]:
    """Return a verdict for each claim, network and pair of losses.

    - "compresses further at equal accuracy": the compression ratio, by its logarithm.
    - "converges faster": the first epoch at which the validation accuracy is within 1 % of its last value.
    - "stands fewer bits": the fewest bits that keep the test accuracy within 1 %.
    - "peaks below full precision": the test accuracy at some number of bits exceeds that in full precision.

    Examples:
        >>> verdicts([])
        []
    """
    results = []
    for one in compressions:
        by_name = {loss.name: loss for loss in one.losses}
        for without, with_term in pairs(tuple(by_name)):
            a, b = by_name[without], by_name[with_term]
            equal = _no_worse(one, a.pruned_accuracy, b.pruned_accuracy)
            no_worse = _no_worse(one, a.accuracy, b.accuracy)
            for claim, first, second, larger, fair in (
                ("compresses further at equal accuracy", np.log(a.ratio), np.log(b.ratio), True, equal),
                ("converges faster", _convergence_epoch(a), _convergence_epoch(b), False, no_worse),
                ("stands fewer bits", a.fewest_bits, b.fewest_bits, False, no_worse),
            ):
                pvalue = _welch(first, second)
                means = float(np.mean(first)), float(np.mean(second))
                better = means[1] > means[0] if larger else means[1] < means[0]
                before, after = np.exp(means) if larger else means
                holds = bool(better and pvalue < LEVEL and fair)
                losses = f"{without} -> {with_term}"
                results.append(Verdict(one.data, one.model, claim, losses, float(before), float(after), pvalue, holds))
        results += [_peak(one, loss) for loss in one.losses]
    return results


def _no_worse(one: Compression, before: Float[np.ndarray, " r"], after: Float[np.ndarray, " r"]) -> bool:
    """Return True if accuracy falls by at most the tolerance and the networks are informative."""
    return float(np.mean(after)) >= float(np.mean(before)) - TOLERANCE and _informative(one, float(np.mean(after)))


def _informative(one: Compression, accuracy: float) -> bool:
    return accuracy > 1 - one.chance_error + SLACK


def _convergence_epoch(loss: CompressedLoss) -> Float[np.ndarray, " r"]:
    curve = np.asarray(loss.validation_curve)
    return np.asarray(np.asarray(loss.epoch)[np.argmax(curve >= curve[:, -1:] - TOLERANCE - 1e-6, axis=1)])


def _peak(one: Compression, loss: CompressedLoss) -> Verdict:
    full = np.asarray(loss.quantization.full_measured["accuracy"], float)
    by_bits = np.asarray(loss.quantization.measured["accuracy"], float)
    best = int(np.argmax(by_bits.mean(axis=0)))
    pvalue = min(1.0, _pair_test(by_bits[:, best], full) * by_bits.shape[1])
    after = float(by_bits[:, best].mean())
    holds = bool(after > full.mean() and pvalue < LEVEL and _informative(one, after))
    name = f"{loss.name}, {int(loss.quantization.bits[best])} bits"
    return Verdict(one.data, one.model, "peaks below full precision", name, float(full.mean()), after, pvalue, holds)


def _welch(first: Num[np.ndarray, " r"], second: Num[np.ndarray, " q"]) -> float:
    """Return the two-sided p-value; if neither sample varies, 0 for different values and 1 for equal ones."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if len(first) < 2 or len(second) < 2:
        return float("nan")
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        return float(first[0] == second[0])
    return float(scipy.stats.ttest_ind(first, second, equal_var=False).pvalue)


def _pair_test(first: Num[np.ndarray, " r"], second: Num[np.ndarray, " r"]) -> float:
    difference = first - second
    if len(difference) < 2:
        return float("nan")
    if np.ptp(difference) == 0:
        return float(difference[0] == 0)
    return float(scipy.stats.ttest_1samp(difference, 0).pvalue)
