"""Error on new groups minus the error on new examples of known groups, with standard errors clustered by group."""

import math

import jax
import numpy as np
from jaxtyping import Bool, Float, Num, Shaped

from lcjax.records import record
from lcjax.typing import Array

__all__ = ["GroupShift", "error_by_group", "group_shift"]


@record
class GroupShift:
    """Difference between the error on new groups, such as persons, and that on new examples of known groups.

    Attributes:
        known: error on held-out examples of groups that are in training, a fraction, `()`.
        known_error: its standard error, clustered by group, `()`.
        new: error on examples of groups that are not in training, `()`.
        new_error: its standard error, clustered by group, `()`.
        shift: `new - known`, `()`.
        standard_error: of `shift`, `()`.
        low: lower limit of the shift, `()`.
        high: upper limit, `()`.
        level: nominal coverage of the interval.
    """

    known: Float[Array, ""]
    known_error: Float[Array, ""]
    new: Float[Array, ""]
    new_error: Float[Array, ""]
    shift: Float[Array, ""]
    standard_error: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    level: float = jax.tree.static()

    def sentence(self) -> str:
        """State both errors and the shift in words.

        Examples:
            >>> numbers = [np.array(x) for x in (0.04, 0.01, 0.09, 0.02, 0.05, 0.022, 0.01, 0.09)]
            >>> print(GroupShift(*numbers, level=0.9).sentence())
            The error is 9.0 % on new groups and 4.0 % on new examples of known groups: a difference of 5.0 points (1.0
            to 9.0). Validation by example underestimates the error on new groups.
        """
        numbers = [100 * float(x) for x in (self.new, self.known, self.shift, self.low, self.high)]
        new, known, shift, low, high = (f"{number:.1f}" for number in numbers)
        if self.low > 0:
            verdict = "Validation by example underestimates the error on new groups."
        elif self.high < 0:
            verdict = "New groups are easier than known ones."
        else:
            verdict = "With these groups the difference is not significant."
        return (
            f"The error is {new} % on new groups and {known} % on new examples of known groups: a difference of "
            f"{shift} points ({low} to {high}). {verdict}"
        )


def group_shift(
    known_wrong: Bool[Array, "*r m"] | Num[Array, "*r m"],
    known_groups: Shaped[Array, " m"],
    new_wrong: Bool[Array, "*r k"] | Num[Array, "*r k"],
    new_groups: Shaped[Array, " k"],
    *,
    level: float = 0.9,
) -> GroupShift:
    """Compare the error on new groups with the error on held-out examples of the groups in training.

    A model that recognizes the persons, sites or devices of its training set has a smaller error on their other
    examples than on those of new ones. Mistakes within a group are correlated, so the independent units are groups, not
    examples, and both standard errors are clustered (`error_by_group`). The interval is Student's, with the degrees of
    freedom of Welch (1947), where each part has one fewer than its number of groups.

    Args:
        known_wrong: mistakes (0 or 1), or losses, on held-out examples of known groups, `(m,)`, or `(r, m)` for r
            repeats, which are averaged.
        known_groups: group of each of these examples, `(m,)`.
        new_wrong: mistakes on examples of groups without training examples, `(k,)` or `(r, k)`.
        new_groups: group of each of these examples, `(k,)`.
        level: nominal coverage of the interval, in (0, 1).

    Raises:
        ValueError: a part has fewer than two groups, a group occurs in both parts, mistakes and groups differ in
            number, or the level is outside (0, 1).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> known, new = np.repeat(np.arange(20), 50), np.repeat(np.arange(20, 30), 50)
        >>> shift = group_shift(rng.random(1000) < 0.1, known, rng.random(500) < 0.2, new)
        >>> bool(0 < shift.low < shift.high < 0.2)
        True
    """
    import scipy.special

    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, got {level}.")
    common = np.intersect1d(known_groups, new_groups)
    if common.size:
        raise ValueError(f"{common.size} groups occur among the known and the new ones, such as {common[0]!r}.")
    known, known_error, known_count = error_by_group(known_wrong, known_groups)
    new, new_error, new_count = error_by_group(new_wrong, new_groups)
    variance = known_error**2 + new_error**2
    parts = known_error**4 / (known_count - 1) + new_error**4 / (new_count - 1)
    degrees = variance**2 / parts if parts > 0 else math.inf
    half = float(scipy.special.stdtrit(min(degrees, 1e9), 0.5 + level / 2)) * math.sqrt(variance)
    shift = new - known
    return GroupShift(
        known=np.asarray(known),
        known_error=np.asarray(known_error),
        new=np.asarray(new),
        new_error=np.asarray(new_error),
        shift=np.asarray(shift),
        standard_error=np.asarray(math.sqrt(variance)),
        low=np.asarray(shift - half),
        high=np.asarray(shift + half),
        level=level,
    )


def error_by_group(
    wrong: Bool[Array, "*r m"] | Num[Array, "*r m"], groups: Shaped[Array, " _"]
) -> tuple[float, float, int]:
    """Return the mean of mistakes, its standard error clustered by group, and the number of groups G.

    The squared standard error is that of a ratio of sums over groups,

        G / (G - 1) * sum_g (sum_{i in g} (wrong_i - mean))^2 / m^2,

    which allows for any correlation within a group.

    Args:
        wrong: mistakes (0 or 1), or losses, `(m,)` or `(r, m)`; repeats are averaged.
        groups: group of each example, `(m,)`.

    Raises:
        ValueError: there are fewer than two groups, or mistakes and groups differ in number.

    Examples:
        >>> mean, error, count = error_by_group(np.array([0, 0, 1, 1]), np.array(["a", "a", "b", "b"]))
        >>> mean, round(error, 3), count
        (0.5, 0.5, 2)
    """
    value = np.asarray(wrong, float)
    value = value.reshape(-1, value.shape[-1]).mean(axis=0)
    if np.shape(groups) != value.shape:
        raise ValueError(f"There are {value.size} mistakes and groups of shape {np.shape(groups)}.")
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if names.size < 2:
        raise ValueError(f"A standard error by group needs at least 2 groups, got {names.size}.")
    mean = float(value.mean())
    sums = np.bincount(member, weights=value - mean)
    return mean, math.sqrt(names.size / (names.size - 1) * np.sum(sums**2)) / value.size, int(names.size)
