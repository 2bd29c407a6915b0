"""Choice among the schedules of one or several types of data: by a penalty, a risk or a budget."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from lcjax.planning.schedule import Schedules
from lcjax.records import record

__all__ = ["Criterion", "Options", "best_options", "schedule_options"]

_STEPS = 80  # bisections of a multiplier, in its logarithm
_SMALLEST, _LARGEST = 1e-18, 1e18  # range of a multiplier
_NEVER = 1e-12  # probabilities below it count as this in logarithms
_STARTS = np.exp(np.linspace(-6.0, 2.0, 17)).tolist()  # multipliers from which coordinate descent starts, in penalties
_SLACK = 1e-12  # relative rounding error of sums of costs and of products of probabilities


@record
class Criterion:
    """The problem to solve: one of `penalty` and `risk`, or neither, and a budget.

    Attributes:
        penalty: cost of missing a target.
        risk: largest probability of missing one.
        budget: largest cost of all rounds together.
    """

    penalty: float | None = None
    risk: float | None = None
    budget: float = np.inf


@record
class Options:
    """Schedules of one type of data to choose from; the first one collects nothing.

    Attributes:
        rounds: number of rounds, `(o,)`.
        last: index of the last size in `Schedules.size`, `(o,)`.
        expected: expected cost, `(o,)`.
        most: cost if all rounds are made, `(o,)`.
        reach: probability that the target is met, `(o,)`.
    """

    rounds: Int[np.ndarray, " o"]
    last: Int[np.ndarray, " o"]
    expected: Float[np.ndarray, " o"]
    most: Float[np.ndarray, " o"]
    reach: Float[np.ndarray, " o"]


def schedule_options(schedules: Schedules, *, is_met: bool = False) -> Options:
    """Return all schedules as options, fewer rounds first; a target that is met leaves only that of no collection.

    Examples:
        >>> from lcjax.planning.schedule import cheapest_schedules
        >>> options = schedule_options(cheapest_schedules(np.array([200.0, 300.0]), 100.0, cost=1.0))
        >>> options.reach.tolist(), options.expected.tolist()
        ([0.0, 0.5, 1.0], [0.0, 100.0, 200.0])
    """
    rounds, last = np.nonzero(np.isfinite(schedules.expected))
    if is_met:
        rounds, last = rounds[:1], last[:1]
    reach = np.ones(1) if is_met else 1 - schedules.missing[last]
    return Options(rounds, last, schedules.expected[rounds, last], schedules.most[rounds, last], reach)


def best_options(types: Sequence[Options], criterion: Criterion) -> list[int] | None:
    """Return the index of the best option of every type, or None if no choice keeps the risk.

    The total cost is the sum over types, and the probability of meeting all targets is the product. With a penalty, the
    expected cost plus the expected penalty is least; with a risk, the expected cost is least among the choices that
    keep it; with a budget alone, the probability is largest, and then the expected cost is least. No choice exceeds the
    budget. For one type the choice is exact. For several, it is found by Lagrange multipliers of the budget and of the
    logarithm of the probability, and then improved one type at a time.

    Args:
        types: options of each type.
        criterion: the problem.

    Examples:
        >>> from lcjax.planning.schedule import cheapest_schedules
        >>> draws = 100.0 + np.arange(1, 101)
        >>> options = schedule_options(cheapest_schedules(draws, 100.0, cost=1.0))
        >>> [best_options([options], Criterion(risk=r)) for r in (0.5, 0.25)]  # i reaches i %
        [[50], [75]]
    """
    if len(types) == 1:
        return _choose_one(types[0], criterion)
    budget = criterion.budget * (1 + _SLACK)
    if criterion.penalty is not None:
        return _least_with_penalty(types, criterion.penalty, budget)
    if criterion.risk is None:
        return _largest_probability(types, budget)
    risk = criterion.risk

    def choose(price: float) -> list[int] | None:
        """Choose with a price on the largest cost, which is added to the expected one."""
        return _least_with_risk(types, [o.expected + price * o.most for o in types], risk)

    def is_kept(chosen: list[int] | None) -> bool:
        return chosen is not None and _total([o.most for o in types], chosen) <= budget

    chosen = choose(0.0)
    return chosen if chosen is None or is_kept(chosen) else _least_multiplier(choose, is_kept)


def _choose_one(options: Options, criterion: Criterion) -> list[int] | None:
    allowed = options.most <= criterion.budget * (1 + _SLACK)
    if criterion.penalty is not None:
        score = options.expected + criterion.penalty * (1 - options.reach)
    elif criterion.risk is not None:
        allowed &= options.reach >= 1 - criterion.risk - _SLACK
        score = options.expected
    else:
        allowed &= options.reach >= np.max(options.reach[allowed]) - _SLACK
        score = options.expected
    return [int(np.argmin(np.where(allowed, score, np.inf)))] if allowed.any() else None


def _least_with_penalty(types: Sequence[Options], penalty: float, budget: float) -> list[int]:
    """Minimize the expected cost plus the expected penalty within a budget.

    Coordinate descent starts from no collection, from the largest probability, and from the choices of multipliers of
    the logarithm of the probability.
    """
    expected, most = [o.expected for o in types], [o.most for o in types]
    logs = [np.log(np.maximum(o.reach, _NEVER)) for o in types]

    def loss(chosen: Sequence[int]) -> float:
        return _total(expected, chosen) + penalty * (1 - _product(types, chosen))

    def start(value: float) -> list[int]:
        def choose(price: float) -> list[int]:
            parts = zip(expected, most, logs, strict=True)
            return [int(np.argmin(e + price * m - value * log)) for e, m, log in parts]

        def is_kept(chosen: list[int] | None) -> bool:
            return chosen is not None and _total(most, chosen) <= budget

        free = choose(0.0)
        return free if is_kept(free) else _least_multiplier(choose, is_kept) or [0] * len(types)

    starts = [[0] * len(types), _largest_probability(types, budget)]
    starts += [start(penalty * factor) for factor in _STARTS]
    ends = []
    for chosen in {tuple(each): each for each in starts}.values():
        before = np.inf
        while (now := loss(chosen)) < before:
            before = now
            for i, options in enumerate(types):
                rest = [*chosen[:i], 0, *chosen[i + 1 :]]
                spare = budget - _total(most, rest) + most[i][0]
                others = _product(types, rest, skip=i)
                score = options.expected - penalty * others * options.reach
                chosen[i] = int(np.argmin(np.where(options.most <= spare, score, np.inf)))
        ends.append((now, chosen))
    return min(ends)[1]


def _least_with_risk(
    types: Sequence[Options], costs: Sequence[Float[np.ndarray, "..."]], risk: float
) -> list[int] | None:
    """Minimize the cost under a bound of the probability of missing a target."""
    logs = [np.log(np.maximum(o.reach, _NEVER)) for o in types]
    needed = np.log1p(-risk) - _SLACK

    def choose(value: float) -> list[int]:
        return [int(np.argmin(c - value * log)) for c, log in zip(costs, logs, strict=True)]

    chosen = _least_multiplier(choose, lambda chosen: chosen is not None and _total(logs, chosen) >= needed)
    if chosen is None:
        return None
    while True:  # use what the risk leaves: replace the option that saves most
        spare = _total(logs, chosen) - needed
        savings = []
        for i, (cost, log) in enumerate(zip(costs, logs, strict=True)):
            saving = np.where(log >= log[chosen[i]] - spare, cost[chosen[i]] - cost, -np.inf)
            savings.append((float(np.max(saving)), i, int(np.argmax(saving))))
        saved, i, option = max(savings)
        if saved <= _SLACK * max(_total(costs, chosen), 1e-300):
            return chosen
        chosen[i] = option


def _largest_probability(types: Sequence[Options], budget: float) -> list[int]:
    """Maximize the probability of meeting all targets within a budget, then minimize the expected cost."""
    logs = [np.log(np.maximum(o.reach, _NEVER)) for o in types]
    costs = [o.most for o in types]

    def choose(price: float) -> list[int]:
        return [int(np.argmin(price * c - log)) for c, log in zip(costs, logs, strict=True)]

    chosen = _least_multiplier(choose, lambda chosen: chosen is not None and _total(costs, chosen) <= budget)
    chosen = [0] * len(types) if chosen is None else chosen
    while True:  # use what the budget leaves
        spare = budget - _total(costs, chosen)
        gains = []
        for i, (cost, log) in enumerate(zip(costs, logs, strict=True)):
            gain = np.where(cost <= cost[chosen[i]] + spare, log - log[chosen[i]], -np.inf)
            gains.append((float(np.max(gain)), i, int(np.argmax(gain))))
        largest, i, option = max(gains)
        if largest <= _SLACK:
            break
        chosen[i] = option
    for i, options in enumerate(types):  # more rounds to the same size may cost less in expectation
        spare = budget - _total(costs, chosen)
        same = (options.reach >= options.reach[chosen[i]]) & (options.most <= options.most[chosen[i]] + spare)
        chosen[i] = int(np.argmin(np.where(same, options.expected, np.inf)))
    return chosen


def _least_multiplier(
    choose: Callable[[float], list[int] | None], is_kept: Callable[[list[int] | None], bool]
) -> list[int] | None:
    """Return the choice at the smallest multiplier that keeps a constraint, or None if none in the range does."""
    low, high = np.log(_SMALLEST), np.log(_LARGEST)
    best = choose(_LARGEST)
    if not is_kept(best):
        return None
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        chosen = choose(float(np.exp(middle)))
        if is_kept(chosen):
            best, high = chosen, middle
        else:
            low = middle
    return best


def _total(values: Sequence[Float[np.ndarray, "..."]], chosen: Sequence[int]) -> float:
    return float(sum(value[i] for value, i in zip(values, chosen, strict=True)))


def _product(types: Sequence[Options], chosen: Sequence[int], *, skip: int | None = None) -> float:
    return float(np.prod([o.reach[i] for n, (o, i) in enumerate(zip(types, chosen, strict=True)) if n != skip]))
