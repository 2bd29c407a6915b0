"""Other plans for the same draws, with which a plan is compared, and its cost at every last size."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.planning.schedule import Schedules
from lcjax.planning.selection import Criterion, Options, best_options
from lcjax.records import record

__all__ = ["BEST_SINGLE", "Alternatives", "CostCurves", "alternative_plans", "cost_curves"]

BEST_SINGLE = "the best single round"
"""Name of the best plan of one round."""

_SIZES = 64  # last sizes of the curves of costs


@record
class Alternatives:
    """Plans that are not the best one, by the same draws.

    Attributes:
        names: descriptions of the a plans.
        size: last sizes of each type, `(a, b)`.
        rounds: largest number of rounds, `(a,)`.
        expected_cost: expected cost of all rounds, `(a,)`.
        largest_cost: cost if all rounds are made, `(a,)`.
        missing: probability that a target is missed in the end, `(a,)`; nan without a target.
        error: expected error of each type at the last sizes, `(a, b)`; None with a target.
    """

    names: tuple[str, ...] = jax.tree.static()
    size: Float[np.ndarray, "a b"]
    rounds: Int[np.ndarray, " a"]
    expected_cost: Float[np.ndarray, " a"]
    largest_cost: Float[np.ndarray, " a"]
    missing: Float[np.ndarray, " a"]
    error: Float[np.ndarray, "a b"] | None = None


@record
class CostCurves:
    """Least expected cost of plans that end at a size, for each of b types of data.

    Attributes:
        size: last sizes, ascending, `(b, g)`.
        reached: probability that the target is met at the last size, `(b, g)`.
        expected_cost: expected cost of the best plan of at most 1, 2, ..., t rounds that ends there, `(b, t, g)`.
    """

    size: Float[np.ndarray, "b g"]
    reached: Float[np.ndarray, "b g"]
    expected_cost: Float[np.ndarray, "b t g"]


def alternative_plans(
    schedules: Sequence[Schedules], options: Sequence[Options], chosen: Sequence[int], criterion: Criterion
) -> Alternatives:
    """Return the best plans of fewer rounds, and the single rounds that are often made without a forecast's spread.

    These are one round up to the median of the sizes that meet the target, as if it were known, and one round that
    doubles the examples at hand. Rounds that differ in nothing from another plan are left out.

    Args:
        schedules: schedules of each type.
        options: the same as options.
        chosen: index of the chosen option of each type.
        criterion: the problem.

    Examples:
        >>> from lcjax.planning.schedule import cheapest_schedules
        >>> from lcjax.planning.selection import schedule_options
        >>> draws = np.array([200.0, 300.0, 400.0, 1000.0])
        >>> schedules = [cheapest_schedules(draws, 100.0, cost=1.0, rounds=2)]
        >>> options, criterion = [schedule_options(schedules[0])], Criterion(risk=0.2)
        >>> others = alternative_plans(schedules, options, best_options(options, criterion), criterion)
        >>> others.names, others.expected_cost, others.missing
        (('the best single round', 'one round, to the median of the required sizes', 'one round, to twice the size'),
         array([900., 200., 100.]), array([0.  , 0.5 , 0.75]))
    """
    made = max(int(o.rounds[i]) for o, i in zip(options, chosen, strict=True))
    plans: list[tuple[str, list[int]]] = []
    for rounds in range(1, made):
        fewer = best_options([_restrict(o, rounds) for o in options], criterion)
        if fewer is not None and any(o.rounds[i] for o, i in zip(options, fewer, strict=True)):
            plans.append((BEST_SINGLE if rounds == 1 else f"the best {rounds} rounds", fewer))
    both = list(zip(schedules, options, strict=True))
    plans.append(("one round, to the median of the required sizes", [_once(o, _median(s)) for s, o in both]))
    plans.append(("one round, to twice the size", [_once(o, _double(s)) for s, o in both]))
    rows: dict[tuple[int, ...], tuple[str, list[int]]] = {tuple(chosen): ("", list(chosen))}
    for name, picks in plans:
        rows.setdefault(tuple(picks), (name, picks))
    kept = list(rows.values())[1:]
    kept = [(name, picks) for name, picks in kept if any(o.rounds[i] for o, i in zip(options, picks, strict=True))]

    def total(field: str, picks: Sequence[int]) -> float:
        return float(sum(getattr(o, field)[i] for o, i in zip(options, picks, strict=True)))

    return Alternatives(
        tuple(name for name, _ in kept),
        np.array([[s.size[o.last[i]] for (s, o), i in zip(both, picks, strict=True)] for _, picks in kept])
        .reshape(len(kept), len(options)),
        np.array([max(int(o.rounds[i]) for o, i in zip(options, picks, strict=True)) for _, picks in kept], int),
        np.array([total("expected", picks) for _, picks in kept], float),
        np.array([total("most", picks) for _, picks in kept], float),
        np.array([1 - np.prod([o.reach[i] for o, i in zip(options, picks, strict=True)]) for _, picks in kept], float),
    )  # fmt: skip


def cost_curves(schedules: Sequence[Schedules], rounds: int) -> CostCurves:
    """Return the least expected cost of the plans of each type by their last size.

    Args:
        schedules: schedules of each type.
        rounds: largest number of rounds.

    Examples:
        >>> from lcjax.planning.schedule import cheapest_schedules
        >>> draws = np.array([200.0, 300.0, 400.0, 1000.0])
        >>> curves = cost_curves([cheapest_schedules(draws, 100.0, cost=1.0, rounds=2)], 2)
        >>> curves.expected_cost[0, :, -1], curves.reached[0, -1]
        (array([900., 450.]), np.float64(1.0))
    """
    size, reached, cost = [], [], []
    for each in schedules:
        keep = np.round(np.linspace(0, len(each.size) - 1, _SIZES)).astype(int)
        size.append(each.size[keep])
        reached.append(1 - each.missing[keep])
        least = np.minimum.accumulate(each.expected[1 : rounds + 1], axis=0)[:, keep]
        least[:, keep == 0] = 0.0
        cost.append(least)
    return CostCurves(np.stack(size), np.stack(reached), np.stack(cost))


def _restrict(options: Options, rounds: int) -> Options:
    """Return the options of at most some rounds, which come first."""
    count = int(np.sum(options.rounds <= rounds))
    return Options(*(getattr(options, field.name)[:count] for field in dataclasses.fields(options)))


def _once(options: Options, last: int) -> int:
    """Return the option of one round up to a size; that of no collection if it has no such option."""
    found = np.flatnonzero((options.rounds == (last > 0)) & (options.last == last))
    return int(found[0]) if found.size else 0


def _double(schedules: Schedules) -> int:
    """Return the index of the largest size up to twice that at hand."""
    return int(np.searchsorted(schedules.size, 2 * schedules.size[0], side="right")) - 1


def _median(schedules: Schedules) -> int:
    """Return the index of the median of the sizes that meet the target, as far as they can be collected."""
    inside = schedules.missing <= max(0.5, float(schedules.missing[-1]))
    return int(np.argmax(inside))
