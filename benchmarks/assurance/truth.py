"""Share of trainings that meet a target at a size, from fresh trainings at a grid of sizes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["Estimate", "Truth", "fit_truth", "mean_share", "resample"]

_CENTER, _SPREAD = 3, 2  # degrees of the polynomials in log size
_LEAST = 1e-6  # lower bound of the standard deviation of the log error, for networks with equal errors


@dataclasses.dataclass(frozen=True)
class Truth:
    """Smooth distribution of the error of one training as a function of the size.

    The mean log error is a cubic in log size, and the logarithm of its standard deviation a quadratic. The distribution
    of standardized deviations is that of all fresh trainings pooled over sizes. Without smoothing, each share would
    depend on the fresh trainings at one or two sizes.

    Attributes:
        size: sizes of the fresh trainings, ascending, `(g,)`.
        errors: errors of the fresh trainings, `(f, g)`.
        center: coefficients of the mean log error.
        spread: coefficients of the log of the standard deviation of the log error.
        deviates: standardized deviations of all fresh trainings, ascending.
    """

    size: Float[np.ndarray, " g"]
    errors: Float[np.ndarray, "f g"]
    center: Float[np.ndarray, " _"]
    spread: Float[np.ndarray, " _"]
    deviates: Float[np.ndarray, " fg"]

    def mean_log_error(self, size: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return the mean log error at sizes, clipped to the range of the grid."""
        return np.polyval(self.center, np.log(self._clip(size) / self.size[0]))

    def standard_deviation(self, size: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return the standard deviation of the log error at sizes, clipped to the range of the grid."""
        return np.exp(np.polyval(self.spread, np.log(self._clip(size) / self.size[0])))

    def share(self, size: Float[np.ndarray, "..."], target: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return the share of trainings that meet a target; nan where the size is not finite."""
        deviate = (np.log(target) - self.mean_log_error(size)) / self.standard_deviation(size)
        share = np.searchsorted(self.deviates, deviate, side="right") / len(self.deviates)
        return np.where(np.isfinite(size), share, np.nan)

    def rough_share(self, size: Float[np.ndarray, " b"], target: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """Return the share without smoothing, from quantiles of the error interpolated between neighboring sizes."""
        ordered, grid = np.log(np.sort(self.errors, axis=0)), np.log(self.size)
        place = np.interp(np.log(self._clip(size)), grid, np.arange(len(grid)))
        left = np.minimum(place.astype(int), len(grid) - 2)
        quantiles = ordered[:, left] + (place - left) * (ordered[:, left + 1] - ordered[:, left])
        return np.where(np.isfinite(size), (quantiles <= np.log(target)).mean(axis=0), np.nan)

    def size_for_share(self, target: Float[np.ndarray, "..."], share: float) -> Float[np.ndarray, "..."]:
        """Return the size at which a share of trainings first meets a target; nan outside the grid."""
        fine = np.geomspace(self.size[0], self.size[-1], 500)
        reached = self.share(fine, np.asarray(target)[..., None]) >= share
        first = reached.argmax(axis=-1)
        return np.where(reached.any(axis=-1) & (first > 0), fine[first], np.nan)

    def quantile(self, share: float) -> float:
        """Return the standardized deviation below which a share of trainings lies."""
        return float(np.quantile(self.deviates, share))

    def is_outside(self, size: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Return True for sizes outside the grid, whose shares are computed at its ends."""
        return (size < self.size[0]) | (size > self.size[-1])

    def _clip(self, size: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return np.clip(np.nan_to_num(size, nan=self.size[0]), self.size[0], self.size[-1])


def fit_truth(size: Float[np.ndarray, " g"], errors: Float[np.ndarray, "f g"]) -> Truth:
    """Fit the distribution of the error to fresh trainings, `f` at each size."""
    size, logs = np.asarray(size, float), np.log(errors)
    time = np.log(size / size[0])
    center = np.polyfit(time, logs.mean(axis=0), _CENTER)
    rest = logs - np.polyval(center, time)
    spread = np.polyfit(time, np.log(np.maximum(rest.std(axis=0), _LEAST)), _SPREAD)
    deviates = np.sort((rest / np.exp(np.polyval(spread, time))).ravel())
    return Truth(size, np.asarray(errors), center, spread, deviates)


def resample(truth: Truth, count: int, *, seed: int = 0) -> list[Truth]:
    """Return truths fitted to bootstrap samples of the fresh trainings at each size."""
    rng = np.random.default_rng(seed)
    fresh, sizes = truth.errors.shape
    rows = (rng.integers(fresh, size=(fresh, sizes)) for _ in range(count))
    return [fit_truth(truth.size, np.take_along_axis(truth.errors, row, axis=0)) for row in rows]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Mean share over plans and targets.

    Attributes:
        value: the mean.
        low: lower limit of the 95 % interval, from a bootstrap over plans and fresh trainings.
        high: upper limit.
        truth_error: standard error of the mean from the fresh trainings alone.
        spread: standard deviation over plans of their mean shares.
        answers: number of answers with a finite size.
        infinite: number of answers without a finite size, which are excluded from the mean.
        outside: number of answers outside the sizes of the truth, which count with the share at the nearest size.
        rough: mean of the shares without smoothing.
    """

    value: float
    low: float
    high: float
    truth_error: float
    spread: float
    answers: int
    infinite: int
    outside: int
    rough: float


def mean_share(
    size: Sequence[Float[np.ndarray, "p t"]],
    target: Sequence[Float[np.ndarray, "p t"]],
    truths: Sequence[Truth],
    samples: Sequence[Sequence[Truth]],
    *,
    seed: int = 0,
) -> Estimate:
    """Average the share of trainings that meet the target at the answered size.

    Args:
        size: answers for each data set.
        target: targets for each data set.
        truths: distribution of the errors for each data set.
        samples: bootstrap samples of the truth for each data set, the same number for all.
        seed: seed of the bootstrap over plans.
    """
    rng = np.random.default_rng(seed)
    sets = list(zip(size, target, truths, samples, strict=True))
    shares = [truth.share(n, e) for n, e, truth, _ in sets]
    together, fixed = [], []
    for i in range(len(samples[0])):
        again = [sample[i].share(n, e) for n, e, _, sample in sets]
        fixed.append(_mean(again))
        together.append(_mean([share[rng.integers(len(share), size=len(share))] for share in again]))
    low, high = np.nanquantile(together, (0.025, 0.975)) if np.isfinite(together).any() else (np.nan, np.nan)
    finite = sum(int(np.isfinite(n).sum()) for n in size)
    by_plan = [row[np.isfinite(row)].mean() for share in shares for row in share if np.isfinite(row).any()]
    return Estimate(
        value=_mean(shares),
        low=float(low),
        high=float(high),
        truth_error=float(np.std(fixed)),
        spread=float(np.std(by_plan, ddof=1)) if len(by_plan) > 1 else float("nan"),
        answers=finite,
        infinite=sum(n.size for n in size) - finite,
        outside=sum(int((truth.is_outside(n) & np.isfinite(n)).sum()) for n, _, truth, _ in sets),
        rough=_mean([truth.rough_share(n.ravel(), e.ravel()) for n, e, truth, _ in sets]),
    )


def _mean(shares: Sequence[Float[np.ndarray, "..."]]) -> float:
    values = np.concatenate([share.ravel() for share in shares])
    finite = np.isfinite(values)
    return float(values[finite].mean()) if finite.any() else float("nan")
