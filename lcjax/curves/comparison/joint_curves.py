"""Joint draws of several learning curves, from paired draws of their forecasts."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.typing import Array

__all__ = ["AHEAD", "JointCurves"]

AHEAD = 16.0
"""Largest size of a comparison unless one is given, relative to the largest measured size."""


class JointCurves:
    """Forecasts of c curves with n joint draws of all of them.

    Attributes:
        forecast: forecasts of the curves, batched, `(c,)`.
        curves: measured curves on the union of their sizes.
        place: index of the draw of each curve in every joint draw, `(c, n)`.
        pooling: weights of the pooled falls, `(c, c)`.
        weight: weight of every joint draw for each pair of curves, `(c, c, n)`.
        names: names of the curves.
        baseline: index of the curve with which the others are compared.
        level: probability of all intervals.
    """

    forecast: Forecast
    curves: LearningCurve
    place: Int[np.ndarray, "c n"]
    pooling: Float[np.ndarray, "c c"]
    weight: Float[np.ndarray, "c c n"]
    names: tuple[str, ...]
    baseline: int
    level: float

    @property
    def start(self) -> float:
        """Smallest size at which all curves are known."""
        return float(np.max(np.asarray(self.forecast.observed.smallest)))

    @property
    def now(self) -> float:
        """Largest size up to which all curves are measured."""
        return float(np.min(np.asarray(self.forecast.largest)))

    @property
    def largest(self) -> float:
        """Largest size at which any curve is measured."""
        return float(np.max(np.asarray(self.forecast.largest)))

    def draws(self, size: Num[Array, " s"] | Sequence[float], *, measured: bool = False) -> Float[np.ndarray, "c n s"]:
        """Return the errors of the curves in every joint draw.

        Args:
            size: numbers of training examples.
            measured: True for one measurement with its noise, False for the curve without it.

        Raises:
            ValueError: a size is not finite or lies below `start`.
        """
        return self._joint(self._check_sizes(size), measured)

    def _joint(self, sizes: Float[np.ndarray, " s"], measured: bool = False) -> Float[np.ndarray, "c n s"]:
        largest = np.asarray(self.forecast.largest, float)
        at = np.concatenate([sizes, np.maximum(largest, self.start)])
        log_error = np.log(np.asarray(self.forecast.predict_draws(at, measured=measured)))
        middle = np.median(log_error, axis=1).astype(float)
        count = len(sizes)
        # fall[i, j] is the forecast fall of curve j from the largest measured size of curve i.
        fall = middle[None, :, :count] - middle[:, count:].T[:, :, None]
        own = np.einsum("iis->is", fall)
        shift = np.einsum("ij,ijs->is", self.pooling, fall - own[:, None])
        shift = np.where(sizes > largest[:, None] * (1 + 1e-5), shift, 0.0).astype(log_error.dtype)
        paired = np.take_along_axis(log_error[..., :count], self.place[..., None], axis=1)
        bound = np.asarray(self.forecast.bound, log_error.dtype)[:, None, None]
        errors: np.ndarray = np.minimum(np.exp(paired + shift[:, None]), bound)
        return errors

    def _rows(self, i: int, j: int) -> Int[np.ndarray, " n"]:
        """Return joint draws that are equally likely for a pair of curves."""
        share = np.cumsum(self.weight[i, j], dtype=float)
        count = len(share)
        place = np.searchsorted(share, share[-1] * (np.arange(count) + 0.5) / count)
        return np.asarray(np.minimum(place, count - 1))

    def _find(self, curve: int | str | None) -> int:
        """Return the index of a curve given by its name or index; the baseline for None."""
        if curve is None:
            return self.baseline
        if curve in self.names:
            return self.names.index(str(curve))
        if isinstance(curve, str) or not 0 <= curve < len(self.names):
            raise ValueError(f"There is no curve {curve!r}; the curves are {', '.join(self.names)}.")
        return curve

    def _check_sizes(self, size: Num[Array, " s"] | Sequence[float]) -> Float[np.ndarray, " s"]:
        sizes = np.asarray(size, float)
        if sizes.ndim != 1 or not sizes.size:
            raise ValueError(f"Sizes need shape (s,), got shape {sizes.shape}.")
        if np.any(wrong := ~((sizes >= self.start * (1 - 1e-5)) & (sizes < np.inf))):
            raise ValueError(
                f"The curves can be compared from size {self.start:g} on, the largest of their smallest measured "
                f"sizes; got {sizes[wrong][0]:g}."
            )
        return sizes
