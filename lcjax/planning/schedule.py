"""Cheapest schedules of rounds for one type of data, by an exact dynamic program over the sizes it may require."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from lcjax.records import record

__all__ = ["Schedules", "cheapest_schedules"]


@record
class Schedules:
    """For each number of rounds and each last size, the schedule of the least expected cost.

    Attributes:
        size: sizes at which a round may end, ascending, the size at hand first, `(m,)`.
        missing: probability that the target is missed at each size, `(m,)`.
        expected: least expected cost of exactly n rounds that end at a size, n = 0, 1, ..., `(n, m)`; inf if none does.
        most: cost of these rounds if all are made, `(n, m)`; inf if none does.
        before: index of the size before the last round, `(n, m)`.
    """

    size: Float[np.ndarray, " m"]
    missing: Float[np.ndarray, " m"]
    expected: Float[np.ndarray, "n m"]
    most: Float[np.ndarray, "n m"]
    before: Int[np.ndarray, "n m"]

    def path(self, rounds: int, last: int) -> list[int]:
        """Return the indices of the sizes after each of the rounds that end at a size."""
        indices = []
        for n in range(rounds, 0, -1):
            indices.append(last)
            last = int(self.before[n, last])
        return indices[::-1]


def cheapest_schedules(
    required: Float[np.ndarray, " k"],
    start: float,
    *,
    cost: float,
    fixed_cost: float = 0.0,
    rounds: int = 1,
    limit: float = np.inf,
    weight: Float[np.ndarray, " k"] | None = None,
) -> Schedules:
    """Find the schedule of the least expected cost for each number of rounds and each last size.

    A round collects up to a size, at a fixed cost and a cost for each new example. If a model trained on all examples
    then meets the target, the collection ends; else the next round is made. With S(q) the probability that the required
    size exceeds q, rounds that end at q_1 < ... < q_n cost in expectation

        sum_t (fixed_cost + cost (q_t - q_{t-1})) S(q_{t-1}),    S(q_0) = 1.

    For weighted draws S is a step function, so the best sizes are among the draws. For the last size q_j of n rounds,

        C_n(q_j) = min_{i < j} C_{n-1}(q_i) + (fixed_cost + cost (q_j - q_i)) S(q_i)

    is the lower envelope of lines in q_j whose slopes fall with i; it is followed in O(m) for each n.

    Args:
        required: sizes at which the target is met, above `start`; inf for never.
        start: size at hand.
        cost: cost of one example, not negative.
        fixed_cost: cost of a round, not negative.
        rounds: largest number of rounds.
        limit: largest size that can be collected.
        weight: weights of the draws, with sum 1; equal by default.

    Examples:
        >>> draws = np.array([200.0, 300.0, 400.0, 1000.0])
        >>> schedules = cheapest_schedules(draws, 100.0, cost=1.0, rounds=2)
        >>> schedules.size, schedules.missing
        (array([ 100.,  200.,  300.,  400., 1000.]), array([1.  , 0.75, 0.5 , 0.25, 0.  ]))
        >>> schedules.path(2, 4), float(schedules.expected[2, 4])  # to 400, then with probability 1/4 to 1,000
        ([3, 4], 450.0)
    """
    weight = np.full(required.shape, 1 / required.size) if weight is None else weight
    inside = (required <= limit) & np.isfinite(required) & (weight > 0)
    atoms, index = np.unique(required[inside], return_inverse=True)
    mass = np.bincount(index, weight[inside], minlength=len(atoms))
    beyond = float(np.sum(weight[~inside]))
    size = np.concatenate([[start], atoms])
    missing = np.concatenate([[1.0], beyond + np.cumsum(mass[::-1])[::-1][1:], [beyond]])[: len(size)]
    expected = np.full((rounds + 1, len(size)), np.inf)
    before = np.zeros(expected.shape, int)
    expected[0, 0] = 0.0
    for n in range(1, rounds + 1):
        expected[n], before[n] = _add_round(size, missing, expected[n - 1], cost, fixed_cost)
    spent = np.arange(rounds + 1)[:, None] * fixed_cost + cost * (size - start)
    return Schedules(size, missing, expected, np.where(np.isfinite(expected), spent, np.inf), before)


def _add_round(
    size: Float[np.ndarray, " m"],
    missing: Float[np.ndarray, " m"],
    previous: Float[np.ndarray, " m"],
    cost: float,
    fixed_cost: float,
) -> tuple[Float[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Return the least expected cost with one more round for each last size, and the size before that round."""
    slopes = (cost * missing).tolist()
    offsets = (previous + missing * (fixed_cost - cost * size)).tolist()
    sizes: Sequence[float] = size.tolist()
    least, before = np.full(len(sizes), np.inf), np.zeros(len(sizes), int)
    lines: list[int] = []  # indices of the lines on the lower envelope, from the steepest to the flattest
    at = 0  # position in `lines` of the lowest line at the current size
    for j in range(1, len(sizes)):
        if offsets[j - 1] < np.inf:
            _insert(lines, j - 1, slopes, offsets)
        at = min(at, max(len(lines) - 1, 0))
        x = sizes[j]
        while at + 1 < len(lines) and (
            offsets[lines[at + 1]] + slopes[lines[at + 1]] * x <= offsets[lines[at]] + slopes[lines[at]] * x
        ):
            at += 1
        if lines:
            least[j], before[j] = offsets[lines[at]] + slopes[lines[at]] * x, lines[at]
    return least, before


def _insert(lines: list[int], new: int, slopes: Sequence[float], offsets: Sequence[float]) -> None:
    """Add a line that is not steeper than the others to a lower envelope."""
    b, a = slopes[new], offsets[new]
    if lines and slopes[lines[-1]] == b:
        if offsets[lines[-1]] <= a:
            return
        lines.pop()
    while len(lines) >= 2:
        first, last = lines[-2], lines[-1]
        # The new line meets the first one before the last one does.
        left = (a - offsets[first]) * (slopes[first] - slopes[last])
        if left > (offsets[last] - offsets[first]) * (slopes[first] - b):
            break
        lines.pop()
    lines.append(new)
