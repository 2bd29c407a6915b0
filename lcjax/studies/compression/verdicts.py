"""What nets compressed under several losses say about the claims of Sharma et al."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

from lcjax.studies.compression.compress import Compression
from lcjax.studies.compression.compressed_loss import TOLERANCE, CompressedLoss
from lcjax.studies.compression.losses import pairs

__all__ = ["Verdict", "verdicts"]

LEVEL = 0.05
SLACK = 1e-3  # of accuracy above the largest class's share, for a net to say anything


class Verdict(NamedTuple):
    """One claim, for one net and one pair of losses (or one loss).

    Attributes:
        data: the data set.
        model: the net.
        claim: what is claimed.
        losses: "without -> with" the data-dependent term, or the one loss.
        before: the quantity without the term (of full precision), geometric mean of ratios, mean of others, over seeds.
        after: the quantity with it (at the best number of bits).
        pvalue: of equality, over seeds: Welch's test; for the peak, paired and times the bits that were tried.
        holds: whether it is better so, the p-value is below 5 %, accuracy is not more than 1 % lower, and the nets say
            more than the largest class: their accuracy with the term, pruned for the claim about compression, quantized
            for that about the peak, exceeds the class's share. A ratio of 5,000 at that share says nothing.
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
    """A verdict for each claim, net and pair of losses.

    - "compresses further at equal accuracy": the compression ratio, by the logarithm.
    - "converges faster": the first epoch at which the validation accuracy is within 1 % of its last value.
    - "stands fewer bits": the fewest bits that keep the test accuracy within 1 %.
    - "peaks below full precision": the test accuracy at some number of bits exceeds that of the net as trained.

    Examples:
        >>> verdicts([])
        []
    """
    found = []
    for one in compressions:
        by_name = {loss.name: loss for loss in one.losses}
        for without, with_term in pairs(tuple(by_name)):
            a, b = by_name[without], by_name[with_term]
            equal = _fair(one, a.pruned_accuracy, b.pruned_accuracy)
            no_worse = _fair(one, a.accuracy, b.accuracy)
            for claim, first, second, larger, fair in (
                ("compresses further at equal accuracy", np.log(a.ratio), np.log(b.ratio), True, equal),
                ("converges faster", _epoch(a), _epoch(b), False, no_worse),
                ("stands fewer bits", a.fewest_bits, b.fewest_bits, False, no_worse),
            ):
                pvalue = _welch(first, second)
                means = float(np.mean(first)), float(np.mean(second))
                better = means[1] > means[0] if larger else means[1] < means[0]
                before, after = np.exp(means) if larger else means
                holds = bool(better and pvalue < LEVEL and fair)
                losses = f"{without} -> {with_term}"
                found.append(Verdict(one.data, one.model, claim, losses, float(before), float(after), pvalue, holds))
        for loss in one.losses:
            found.append(_peak(one, loss))
    return found


def _fair(one: Compression, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether accuracy is not lower by more than the tolerance, and not that of saying the largest class."""
    return float(np.mean(after)) >= float(np.mean(before)) - TOLERANCE and float(np.mean(after)) > one.majority + SLACK


def _epoch(loss: CompressedLoss) -> np.ndarray:
    curve = np.asarray(loss.validation_curve)
    near = curve >= curve[:, -1:] - TOLERANCE - 1e-6
    return np.asarray(loss.epoch)[np.argmax(near, axis=1)]


def _peak(one: Compression, loss: CompressedLoss) -> Verdict:
    full = np.asarray(loss.quantization.full_measured["accuracy"], float)
    every = np.asarray(loss.quantization.measured["accuracy"], float)
    best = int(np.argmax(every.mean(axis=0)))
    pvalue = min(1.0, _paired(every[:, best], full) * every.shape[1])
    after = float(every[:, best].mean())
    holds = bool(after > full.mean() and pvalue < LEVEL and after > one.majority + SLACK)
    name = f"{loss.name}, {int(loss.quantization.bits[best])} bits"
    return Verdict(one.data, one.model, "peaks below full precision", name, float(full.mean()), after, pvalue, holds)


def _welch(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided; where neither varies, 0 for different values and 1 for equal ones."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if len(first) < 2 or len(second) < 2:
        return float("nan")
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        return float(first[0] == second[0])
    return float(scipy.stats.ttest_ind(first, second, equal_var=False).pvalue)


def _paired(first: np.ndarray, second: np.ndarray) -> float:
    difference = first - second
    if len(difference) < 2:
        return float("nan")
    if np.ptp(difference) == 0:
        return float(difference[0] == 0)
    return float(scipy.stats.ttest_1samp(difference, 0).pvalue)
