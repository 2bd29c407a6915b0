"""Answers of any forecast, from joint draws of its curve."""

import abc
import dataclasses

import jax
import numpy as np
from jaxtyping import Float, Num
from numpy.typing import DTypeLike

from lcjax.curves.answer.crossing import HORIZON, find_bracket
from lcjax.curves.answer.next_size import REPEATS, Cost, NextSize, default_candidates, label_cost, select
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import namespace
from lcjax.typing import Array

__all__ = ["JointDraws", "search_grid", "spread_target"]

# Points of the grid on which crossings are searched: inside the measured range, and from there to the horizon.
_INSIDE, _BEYOND = 72, 56


class JointDraws(abc.ABC):
    """A forecast whose answers come from the same k draws of whole curves.

    Inside the measured range a draw is the measured curve, smoothed within its noise; beyond it the draw continues with
    its family or form.
    """

    measured: LearningCurve

    @abc.abstractmethod
    def _range(self) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
        """Return the smallest and the largest measured size."""

    @abc.abstractmethod
    def _crossings(
        self,
        error: Num[Array, "..."] | float,
        *,
        share: float | None = None,
        repeats: float = 1.0,
        lasting: bool = False,
    ) -> Float[Array, "*b k"]:
        """Return the size at which every draw reaches an error.

        Args:
            error: target, `()` or `(*b,)`.
            share: share of trainings that reach the target; if None, the mean over trainings reaches it.
            repeats: number of trainings whose mean counts as one.
            lasting: True for the size from which the draw meets the target up to the largest measured size.
        """

    @abc.abstractmethod
    def _information(
        self, error: Num[Array, "..."] | float, sizes: Float[Array, "..."], repeats: tuple[int, ...]
    ) -> Float[Array, "*b c r"]:
        """Return the expected information about the size for an error, in nats, at candidate sizes `(*b, c)`."""

    @abc.abstractmethod
    def _rises(self) -> Float[Array, "*b k"]:
        """Return the largest rise of every draw inside the measured range, in log error."""

    def size_for_error(self, error: Num[Array, "..."] | float, level: float = 0.9) -> SizeForError:
        """Return the number of training examples at which the mean error of trainings first falls to a target.

        Value, limits and probabilities are computed from the first crossings of all draws between the smallest measured
        size and a million times the largest one. The interval always touches the measured crossing, if there is one. A
        draw that starts at or below the target counts as the smallest size (`at_smallest`), and one that does not reach
        the target as infinite (`never`). The value is the median crossing.

        With `test_count`, the target refers to the expected error rather than to that on the test set at hand, whose
        sampling error is common to all sizes and widens the interval.

        Args:
            error: target, `()` or `(*b,)`.
            level: probability of the interval.
        """
        return self._touch_crossing(self._answer(self._crossings(error), level), error)

    def lasting_size_for_error(self, error: Num[Array, "..."] | float, level: float = 0.9) -> SizeForError:
        """Return the size from which the curve stays at or below a target, up to the largest measured size.

        It exceeds `size_for_error` where the curve rises above the target again (see `rise_probability`).

        Args:
            error: target, `()` or `(*b,)`.
            level: probability of the interval.
        """
        return self._touch_crossing(self._answer(self._crossings(error, lasting=True), level), error)

    def size_for_share(
        self, error: Num[Array, "..."] | float, share: float = 0.8, *, repeats: float = 1.0, level: float = 0.9
    ) -> SizeForError:
        """Return the number of training examples at which a single training meets a target with probability `share`.

        A training differs from the mean by the draw of its training set and by its seed. The interval is for the
        uncertainty of the curve.

        Args:
            error: target, `()` or `(*b,)`.
            share: probability that one training meets the target, in (0, 1), static.
            repeats: number of trainings whose mean counts as one, positive.
            level: probability of the interval.

        Raises:
            ValueError: `share` is outside (0, 1), or `repeats` is not positive.
        """
        if not 0 < share < 1:
            raise ValueError(f"share is a probability between 0 and 1, got {share}.")
        if not repeats > 0:
            raise ValueError(f"repeats must be positive, got {repeats}.")
        return self._answer(self._crossings(error, share=share, repeats=repeats), level)

    def rise_probability(self, rise: float = 0.05) -> Float[Array, "*b"]:
        """Return the probability that the curve rises by more than a fraction inside the measured range, `(*b,)`.

        Args:
            rise: relative rise above the smallest error at any smaller size.
        """
        rises = self._rises()
        xp = namespace(rises)
        probability: Array = xp.asarray(xp.mean(rises > np.log1p(rise), axis=-1, dtype=rises.dtype))
        return probability

    def next_size(
        self,
        error: Num[Array, "..."] | float,
        *,
        candidates: Num[Array, "..."] | None = None,
        repeats: tuple[int, ...] = REPEATS,
        cost: Cost = label_cost,
    ) -> NextSize:
        """Select the measurement with the largest expected reduction of the entropy of log(size) per unit of cost.

        Args:
            error: target, `()` or `(*b,)`.
            candidates: sizes to choose from, `(c,)` or `(*b, c)`; by default the measured sizes, and four per octave
                up to 16 times the largest one.
            repeats: numbers of trainings to compare at every size, static.
            cost: function of size, repeats and largest size that returns the cost, in any unit.
        """
        _, largest = self._range()
        xp = namespace(largest, candidates)
        if candidates is None:
            candidates = default_candidates(xp.asarray(self.measured.size, largest.dtype), largest)
        sizes = xp.asarray(candidates, largest.dtype)
        sizes = xp.broadcast_to(sizes, (*largest.shape, sizes.shape[-1]))
        return select(sizes, self._information(error, sizes, repeats), largest, repeats=repeats, cost=cost)

    def _targets(self, error: Num[Array, "..."] | float, count: int) -> Float[Array, "*b {count}"]:
        """Return the target on the test set at hand, for each of `count` draws, of a target for the expected error.

        All sizes are measured on the same m test examples. If the examples misclassified at a size are also
        misclassified at all smaller ones, the relative deviations of two measured errors have covariance
        (1 - e) / (e m), with e the larger error of the pair. Beyond the data the curve is therefore off by the relative
        deviation at the largest size, inside by that at the target. Without `test_count` the targets are equal.
        """
        import scipy.special

        curve = self.measured
        _, largest = self._range()
        xp = namespace(largest, error)
        target = xp.asarray(spread_target(error, largest.shape, largest.dtype))
        if curve.test_count is None:
            same: Array = xp.broadcast_to(target[..., None], (*largest.shape, count))
            return same
        size, errors = xp.asarray(curve.size, largest.dtype), xp.asarray(curve.error, largest.dtype)
        at_largest = xp.where(size >= largest[..., None] * (1 - 1e-5), errors, 0.0)
        tests = xp.asarray(curve.test_count, largest.dtype)
        level = xp.clip(xp.maximum(target, xp.max(at_largest, axis=-1)), 0.5 / tests, 1.0)  # 0 counts as half an error
        spread = xp.sqrt((1 - level) / (level * tests))
        place = np.random.default_rng(0).permutation(count)  # independent of the order of the draws
        deviate = scipy.special.ndtri((place + 0.5) / count).astype(largest.dtype)
        targets: Array = target[..., None] * xp.exp(spread[..., None] * deviate)
        return targets

    def _answer(self, crossing: Float[Array, "*b k"], level: float) -> SizeForError:
        xp = namespace(crossing)
        middle = xp.asarray(xp.quantile(crossing, 0.5, axis=-1, method="lower"))
        smallest, largest = self._range()
        return SizeForError.from_draws(middle, crossing, level, smallest=smallest, largest=largest)

    def _touch_crossing(self, answer: SizeForError, error: Num[Array, "..."] | float) -> SizeForError:
        """Extend an interval to the measured crossing if, by noise and smoothing, it does not contain it."""
        curve = self.measured
        xp = namespace(answer.low, curve.error)
        size, errors = xp.asarray(curve.size, answer.low.dtype), xp.asarray(curve.error, answer.low.dtype)
        before, after = find_bracket(size, errors, xp.asarray(error, answer.low.dtype))
        low, high = xp.asarray(xp.minimum(answer.low, after)), xp.asarray(xp.maximum(answer.high, before))
        return dataclasses.replace(answer, low=low, high=high)


def spread_target(error: Num[Array, "..."] | float, shape: tuple[int, ...], dtype: DTypeLike) -> Num[Array, "*b"]:
    """Return one target for each curve of a batch of this shape.

    Raises:
        ValueError: there are more targets than curves, or, outside of `jax.jit`, a target is not a positive number.

    Examples:
        >>> spread_target(0.05, (2,), np.float32).tolist() == [np.float32(0.05)] * 2
        True
        >>> spread_target(np.array([0.05, 0.0]), (2,), np.float32)
        Traceback (most recent call last):
        ValueError: A target must be a positive number, got 0.
    """
    xp = namespace(error)
    target = xp.asarray(error, dtype)
    if np.shape(target) not in ((), shape):
        allowed = f"() or {shape}" if shape else "(), because there is one curve"
        raise ValueError(f"Targets need shape {allowed}, got {np.shape(target)}.")
    if not isinstance(target, jax.core.Tracer):
        values = np.asarray(target).ravel()
        if np.any(wrong := ~((values > 0) & (values < np.inf))):
            raise ValueError(f"A target must be a positive number, got {values[wrong][0]:g}.")
    spread: Array = xp.broadcast_to(target, shape)
    return spread


def search_grid(smallest: Float[Array, "*b"], largest: Float[Array, "*b"]) -> Float[Array, "*b g"]:
    """Return geometric grids from the smallest to the largest measured size and on to a million times the latter.

    Examples:
        >>> import numpy as np
        >>> grid = search_grid(np.array(10.0), np.array(1000.0))
        >>> print(grid.shape, grid[0].round(3), grid[71].round(3), grid[-1].round(-3))
        (128,) 10.0 1000.0 1000000000.0
    """
    xp = namespace(largest)
    low, middle = xp.log(xp.asarray(smallest))[..., None], xp.log(xp.asarray(largest))[..., None]
    inside = np.linspace(0.0, 1.0, _INSIDE).astype(low.dtype)
    beyond = (np.arange(1, _BEYOND + 1) / _BEYOND * np.log(HORIZON)).astype(low.dtype)
    grid: Array = xp.exp(xp.concatenate([low + (middle - low) * inside, middle + beyond], axis=-1))
    return grid
