"""Synthetic learning curves for development: NSL-PFN's published prior, rough M4 curves, and random classifier curves.

Sizes are in numbers of training examples. NSL-PFN's prior (Lee et al., 2025, arXiv 2505.23032) is written from its
definition; its sizes, in [0.01, 1], are multiplied by 1e5 here.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import scipy.special
from jaxtyping import Float

from benchmarks.forecast.cases import Cases, make_cases

__all__ = [
    "SAMPLERS",
    "CutCurve",
    "classifier",
    "make_set",
    "nsl",
    "nsl_downward",
    "nsl_upward",
    "rough",
    "synthetic_sets",
]

Array: TypeAlias = Float[np.ndarray, " n"]

_LARGEST = 1e5  # number of examples that stands for the largest size of a curve on (0, 1]
_POINTS, _SMALLEST, _LOWEST, _NOISE = 60, 0.01, 0.01, float(np.exp(-5.0))  # of NSL-PFN's curves
_GAP = 0.05  # from the reference break of NSL-PFN's curves to the cut
_SEED = 11


@dataclasses.dataclass(frozen=True)
class CutCurve:
    """A learning curve and the size at which it is cut.

    Attributes:
        size: sizes in ascending order, `(n,)`.
        error: errors, `(n,)`.
        cut: largest size to fit.
        cluster: name of the unit of the bootstrap.
        name: name of the curve.
    """

    size: Array
    error: Array
    cut: float
    cluster: str = ""
    name: str = ""


Sampler = Callable[[np.random.Generator], CutCurve]


def make_set(name: str, curves: Sequence[CutCurve], *, step: float = 0.0) -> Cases:
    """Pad the curves of a set with nan and divide them at their cuts; the family of every case is the set's name.

    Args:
        name: name of the set.
        curves: its curves.
        step: step in which errors are stored; 0 if they are exact.
    """
    width = max(len(curve.size) for curve in curves)
    size, error = np.full((2, len(curves), width), np.nan)
    for i, curve in enumerate(curves):
        size[i, : len(curve.size)], error[i, : len(curve.size)] = curve.size, curve.error
    return make_cases(
        size,
        error,
        np.array([curve.cut for curve in curves]),
        cluster=[curve.cluster for curve in curves],
        family=[name] * len(curves),
        name=[curve.name for curve in curves],
        step=step,
    )


def synthetic_sets(curves: int) -> dict[str, Cases]:
    """Draw all synthetic sets. Every curve has its own seed and cluster, so a smaller set is part of a larger one.

    Args:
        curves: number of curves in each set.
    """
    sets = {}
    for number, (name, sample) in enumerate(SAMPLERS.items()):
        drawn = [sample(np.random.default_rng([_SEED, number, i])) for i in range(curves)]
        named = [dataclasses.replace(c, cluster=f"{name} {i}", name=f"{name} {i}") for i, c in enumerate(drawn)]
        sets[name] = make_set(name, named)
    return sets


# NSL-PFN's prior


def nsl(rng: np.random.Generator) -> CutCurve:
    """Sample a curve without breaks."""
    return _sample_nsl(rng, lambda x, cut: _piece(rng, x))


def nsl_downward(rng: np.random.Generator) -> CutCurve:
    """Sample a curve with one or two breaks, the last of them before the cut; every piece falls."""

    def pieces(x: Array, cut: float) -> Array:
        place = _breaks(rng, int(rng.integers(1, 3)), cut)
        ends = _ends(x, place * (min(place[-1], cut - _GAP) / place[-1]))
        error = _piece(rng, x)[: ends[0]]
        for begin, end in itertools.pairwise(ends):
            error = _continue(error, _piece(rng, x)[begin - 1 : end])
        return error

    return _sample_nsl(rng, pieces)


def nsl_upward(rng: np.random.Generator) -> CutCurve:
    """Sample a fall, a rise that begins before the cut, and a fall; no error exceeds the first one."""

    def pieces(x: Array, cut: float) -> Array:
        place = _breaks(rng, 2, cut)
        ends = _ends(x, place * (min(place[0], cut - _GAP) / place[0]))
        error = _piece(rng, x)[: ends[0]]
        error = _continue(error, _rise(rng, x[ends[0] - 1 : ends[1]]))
        return _continue(error, _piece(rng, x)[ends[1] - 1 : ends[2]])

    while True:
        curve = _sample_nsl(rng, pieces)
        if np.all(curve.error <= curve.error[0]):
            return curve


def _sample_nsl(rng: np.random.Generator, pieces: Callable[[Array, float], Array]) -> CutCurve:
    """Sample sizes, even or uniform, a cut after 30 to 70 % of them, and a noisy curve that stays above 0.01."""
    while True:
        x = np.linspace(_SMALLEST, 1.0, _POINTS)
        if rng.random() < 0.5:
            x[1:-1] = np.sort(rng.uniform(_SMALLEST, 1.0, _POINTS - 2))
        cut = float(x[int(rng.uniform(0.3, 0.7) * _POINTS)])
        error = pieces(x, cut) + _NOISE * rng.normal(size=_POINTS)
        if np.all(np.isfinite(error)) and np.all(error >= _LOWEST):
            return CutCurve(_LARGEST * x, error, _LARGEST * cut)


def _breaks(rng: np.random.Generator, number: int, cut: float) -> Array:
    """Sample positions of breaks, in ascending order: products of uniform factors."""
    factors = rng.uniform(min(max(cut - _GAP, 0.0), 0.2), 0.4, number + 1)
    return np.sort(np.cumprod(factors)[:number])


def _ends(x: Array, breaks: Array) -> list[int]:
    """Return the indices at which the pieces end; the first piece has a point at least."""
    return [*(int(i) for i in np.maximum(np.searchsorted(x, breaks), 1)), len(x)]


def _continue(error: Array, piece: Array) -> Array:
    """Append a piece, shifted so that its first point is the last one of the curve."""
    return np.append(error, (piece - piece[0] + error[-1])[1:])


def _rise(rng: np.random.Generator, x: Array) -> Array:
    """Sample a rise: the distribution function of a symmetric beta distribution, to a power."""
    length = x[-1] - x[0]
    slope, shape, power = rng.uniform(0.01, 0.7), np.exp(rng.uniform(0.5, 1.0)), rng.lognormal(0.0, 0.1)
    return np.asarray(scipy.special.betainc(shape, shape, (x - x[0]) / x[-1]) ** power * slope * length)


def _piece(rng: np.random.Generator, x: Array) -> Array:
    """Sample an M3 or an M4 curve, scaled to a random first and a lower random last error."""
    if rng.random() < 0.5:
        power, offset = rng.lognormal(-2.0, 1.0), rng.lognormal(0.0, 1.0)
        shape = (1 / x + offset) ** power
    else:
        shape = _m4(rng, x)
    first = rng.uniform(0.2, 1.2)
    last = rng.uniform(0.0, first)
    return last + (first - last) * (shape - shape[-1]) / (shape[0] - shape[-1])


def _m4(rng: np.random.Generator, x: Array) -> Array:
    """Sample `error = b x^c (1 - error)^a` (M4 of Alabdulmohsin et al., 2022), solved by bisection."""
    a, b, c = rng.lognormal(0.0, 0.5), rng.lognormal(-1.0, 0.5), -rng.lognormal(0.0, 0.5)
    low, high = np.zeros_like(x), np.ones_like(x)
    for _ in range(50):
        middle = (low + high) / 2
        above = middle < b * x**c * (1 - middle) ** a
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2


# Rough and classifier curves


def rough(rng: np.random.Generator) -> CutCurve:
    """Sample an M4 curve at 50 even sizes with correlated and white noise of its logarithm, cut at the middle."""
    x = np.linspace(0.02, 1.0, 50)
    while True:
        error = _m4(rng, x)
        scale, length = np.exp(rng.normal(-5.0, 0.7)), np.exp(rng.normal(-1.0, 0.5))
        error = error / error.max() * _roughness(rng, np.log(x), scale, length, np.sqrt(2))
        if error.min() > 2e-3:
            return CutCurve(_LARGEST * x, error, _LARGEST * float(x[25]))


def classifier(rng: np.random.Generator) -> CutCurve:
    """Sample a classifier's error: from guessing to a power law, or a power law with one or two breaks.

    There are 24 to 59 even sizes, up to between 2e4 and 1e9 examples, cut at the middle. Times are relative to the cut.
    """
    count = int(rng.integers(24, 60))
    largest = np.exp(rng.uniform(np.log(2e4), np.log(1e9)))
    size = np.linspace(largest / count * rng.uniform(0.3, 1.5), largest, count)
    middle = count // 2
    time = np.log(size / size[middle])
    while True:
        kind = int(rng.integers(3))
        error = _broken(rng, time, middle, kind) if kind else _onset(rng, time)
        if np.all((error > 5e-3) & (error < 1.0)) and error[middle] < 0.97 * error[0]:
            break
    scale, length = np.exp(rng.normal(np.log(0.006), 0.6)), np.exp(rng.normal(-1.0, 0.6))
    error = error * _roughness(rng, time, scale, length, rng.uniform(0.0, 1.2))
    return CutCurve(size, error, float(size[middle]))


def _onset(rng: np.random.Generator, time: Array) -> Array:
    """Sample a logistic switch from guessing to a power law with a floor."""
    guess = rng.choice([0.5, 0.8, 0.9, 0.99, 0.999])
    place, width = rng.uniform(0.9 * time[0], 0.1), np.exp(rng.normal(-1.1, 0.6))
    power, level = np.exp(rng.normal(-1.1, 0.6)), guess * rng.uniform(0.2, 0.8)
    floor = rng.uniform(0.0, 0.5) if rng.random() < 0.6 else 0.0
    learned = scipy.special.expit((time - place) / width)
    law = level * (floor + (1 - floor) * np.exp(-power * (time - place)))
    return np.asarray(guess * (1 - learned) + learned * law)


def _broken(rng: np.random.Generator, time: Array, middle: int, breaks: int) -> Array:
    """Sample a power law with smooth breaks and a floor relative to the error at the cut."""
    slope = np.exp(rng.normal(-2.5, 0.8))
    places = np.sort(rng.uniform(0.9 * time[0], 0.3, breaks))
    slopes, widths = np.exp(rng.normal(-0.5, 0.8, breaks)), np.exp(rng.normal(-1.2, 0.6, breaks))
    log_error = -slope * time
    for place, width, change in zip(places, widths, np.diff(slopes, prepend=slope), strict=True):
        log_error = log_error - change * width * np.logaddexp(0.0, (time - place) / width)
    error = np.exp(log_error - log_error[0]) * rng.uniform(0.3, 0.98)
    floor = rng.uniform(0.0, 0.3) if rng.random() < 0.5 else 0.0
    return np.asarray(error * (1 - floor) + floor * error[middle])


def _roughness(rng: np.random.Generator, time: Array, scale: float, length: float, ratio: float) -> Array:
    """Sample factors: white noise of the logarithm, and `ratio` times noise with an exponential kernel in log size."""
    kernel = np.exp(-np.abs(time[:, None] - time) / length) + 1e-9 * np.eye(len(time))
    correlated = np.linalg.cholesky(kernel) @ rng.normal(size=len(time))
    return np.asarray(np.exp(scale * (ratio * correlated + rng.normal(size=len(time)))))


SAMPLERS: dict[str, Sampler] = {
    "nsl": nsl,
    "nsl down": nsl_downward,
    "nsl up": nsl_upward,
    "rough": rough,
    "classifier": classifier,
}
"""Samplers by the name of their set."""
