"""Amounts of data at which learning curves are equivalent, and sizes for a target error."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.answer.crossing import first_crossing
from lcjax.curves.answer.joint_draws import search_grid
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.comparison.joint_curves import JointCurves
from lcjax.typing import Array

__all__ = ["DataAnswers"]


class DataAnswers(JointCurves):
    """Numbers of examples at which the curves reach the same error."""

    def data_equivalent(
        self, size: Num[Array, " s"] | Sequence[float], curve: int | str, other: int | str | None = None
    ) -> SizeForError:
        """Return the size at which a curve reaches the error that another one has at each of some sizes.

        Divided by the sizes, these are the ratios of the amounts of data at which the curves are equivalent.

        Args:
            size: numbers of training examples of the other curve, `(s,)`.
            curve: name or index of the curve.
            other: name or index of the other one; the baseline by default.

        Returns:
            `SizeForError` of batch shape `(s,)`: "never" where the curve does not reach the error, and the smallest
            measured size where that one is enough.

        Raises:
            ValueError: a name is unknown, or a size is not finite or lies below `start`.
        """
        draws = self._equivalent_draws(size, self._find(curve), self._find(other))
        return self._answer(draws, self._find(curve))

    def examples_saved(
        self, size: Num[Array, " s"] | Sequence[float], curve: int | str, other: int | str | None = None
    ) -> SizeForError:
        """Return the number of further examples that another curve needs for the error of a curve at some sizes.

        Args:
            size: numbers of training examples of the curve, `(s,)`.
            curve: name or index of the curve.
            other: name or index of the other one; the baseline by default.

        Returns:
            `SizeForError` of batch shape `(s,)`, negative where the other curve needs fewer examples, and "never" where
            it does not reach the error.

        Raises:
            ValueError: a name is unknown, or a size is not finite or lies below `start`.
        """
        sizes = self._check_sizes(size)
        extra = self._equivalent_draws(size, self._find(other), self._find(curve)) - sizes[:, None]
        value = np.quantile(extra, 0.5, axis=-1, method="lower")
        return SizeForError.from_draws(value, extra, self.level)

    def sizes_for_error(self, error: float) -> SizeForError:
        """Return the size at which each curve first reaches an error, by the joint draws.

        Args:
            error: target, above 0.

        Returns:
            `SizeForError` of batch shape `(c,)`.

        Raises:
            ValueError: the error is not a positive number.
        """
        draws = self._draws_for_error(error)
        observed = self.forecast.observed
        middle = np.quantile(draws, 0.5, axis=-1, method="lower")
        limits = {"smallest": np.asarray(observed.smallest, float), "largest": np.asarray(observed.largest, float)}
        return SizeForError.from_draws(middle, draws, self.level, **limits)

    def saving(self, error: float, curve: int | str, other: int | str | None = None) -> SizeForError:
        """Return how many examples fewer a curve needs for an error than another one.

        Joint draws in which neither reaches the error are left out.

        Args:
            error: target, above 0.
            curve: name or index of the curve.
            other: name or index of the other one; the baseline by default.

        Returns:
            `SizeForError` of batch shape `()`, negative where the curve needs more; `never` is the probability that the
            other curve does not reach the error, and minus infinity stands for a curve that does not. It is nan if
            neither curve reaches the error in any draw.

        Raises:
            ValueError: the error is not a positive number, or a name is unknown.
        """
        draws = self._draws_for_error(error)
        i, j = self._find(curve), self._find(other)
        needed, reference = draws[:, self._rows(i, j)][[i, j]]
        known = np.isfinite(needed) | np.isfinite(reference)
        if not known.any():
            return SizeForError.without_interval(np.asarray(np.nan))
        with np.errstate(invalid="ignore"):
            saved = (reference - needed)[known]
        return SizeForError.from_draws(np.asarray(np.quantile(saved, 0.5, method="lower")), saved, self.level)

    def probability_of_fewer(self, error: float) -> Float[np.ndarray, "c c"]:
        """Return the probability that each curve (row) needs fewer examples for an error than each other one (column).

        Equal numbers, and two curves that do not reach the error, count a half.

        Args:
            error: target, above 0.

        Raises:
            ValueError: the error is not a positive number.
        """
        draws = self._draws_for_error(error)
        with np.errstate(invalid="ignore"):
            share = (draws[:, None] < draws[None]) + 0.5 * (draws[:, None] == draws[None])
        return np.asarray(np.sum(share * self.weight, axis=-1) / np.sum(self.weight, axis=-1))

    def _equivalent_draws(
        self, size: Num[Array, " s"] | Sequence[float], curve: int, other: int
    ) -> Float[np.ndarray, "s n"]:
        """Return the size at which `curve` reaches the error of `other` at every size, in every joint draw."""
        rows = self._rows(curve, other)
        target = self.draws(size)[other][rows]
        observed = self.forecast.observed
        smallest, largest = (float(np.asarray(a)[curve]) for a in (observed.smallest, observed.largest))
        grid = np.asarray(search_grid(np.asarray(smallest), np.asarray(largest)))
        errors = self._joint(grid)[curve][rows]
        reached = [first_crossing(grid.astype(errors.dtype), errors, column) for column in target.T]
        return np.stack([np.asarray(row) for row in reached])

    def _draws_for_error(self, error: float) -> Float[np.ndarray, "c n"]:
        """Return the size at which each curve first reaches an error, in every joint draw."""
        if not 0 < error < np.inf:
            raise ValueError(f"A target must be a positive number, got {error:g}.")
        observed = self.forecast.observed
        rows = []
        for i in range(len(self.names)):
            smallest, largest = (np.asarray(np.asarray(a)[i], float) for a in (observed.smallest, observed.largest))
            grid = np.asarray(search_grid(smallest, largest))
            errors = self._joint(grid)[i]
            rows.append(np.asarray(first_crossing(grid.astype(errors.dtype), errors, np.full(len(errors), error))))
        return np.stack(rows)

    def _answer(self, draws: Float[np.ndarray, "s n"], curve: int) -> SizeForError:
        observed = self.forecast.observed
        smallest, largest = (float(np.asarray(a)[curve]) for a in (observed.smallest, observed.largest))
        middle = np.quantile(draws, 0.5, axis=-1, method="lower")
        limits = {"smallest": np.full(len(draws), smallest), "largest": np.full(len(draws), largest)}
        return SizeForError.from_draws(middle, draws, self.level, **limits)
