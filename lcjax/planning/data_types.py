"""Plan for one or several types of data with targets.

Each type has an error of its own, which depends on the number of examples of this type only. Several sources of data
for one error are no types in this sense; see `lcjax.planning.sources`.
"""

import jax
import numpy as np
from jaxtyping import Bool, Float

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.planning.alternatives import alternative_plans, cost_curves
from lcjax.planning.collection_plan import REQUIRED_LEVELS, CollectionPlan
from lcjax.planning.requirement import restrict_to_reachable
from lcjax.planning.schedule import cheapest_schedules
from lcjax.planning.selection import Criterion, best_options, schedule_options
from lcjax.records import record

__all__ = ["DataTypes", "plan_types"]

_LEVEL = 0.9  # of the interval of the required size


@record
class DataTypes:
    """Types of data, each with a target.

    Attributes:
        names: names of the b types.
        target: target errors, `(b,)`.
        start: numbers of examples at hand, `(b,)`.
        met: True where the measured error already meets the target, `(b,)`.
        required: draws of the sizes that meet the targets, `(b, k)`; inf for never.
        cost: cost of one example, `(b,)`.
        fixed_cost: cost of a round of one type.
        limit: largest numbers of examples, `(b,)`.
    """

    names: tuple[str, ...] = jax.tree.static()
    target: Float[np.ndarray, " b"]
    start: Float[np.ndarray, " b"]
    met: Bool[np.ndarray, " b"]
    required: Float[np.ndarray, "b k"]
    cost: Float[np.ndarray, " b"]
    fixed_cost: float
    limit: Float[np.ndarray, " b"]


def plan_types(types: DataTypes, rounds: int, criterion: Criterion, given: bool) -> CollectionPlan:
    """Choose a schedule of each type, and compute the cost and the chance of success of all.

    Args:
        types: types of data.
        rounds: largest number of rounds.
        criterion: the problem.
        given: True for probabilities given that the targets can be met.

    Examples:
        >>> known = np.array([[200.0, 220.0, 400.0, np.inf]])
        >>> one, no = np.ones(1), np.zeros(1, bool)
        >>> types = DataTypes(("",), 0.1 * one, 100.0 * one, no, known, one, 0.0, np.inf * one)
        >>> plan_types(types, 2, Criterion(risk=0.25), False).size
        array([[220., 400.]])
    """
    start, met = types.start, types.met
    possible = np.mean(np.isfinite(types.required) & (types.required <= types.limit[:, None]), axis=1)
    schedules = []
    for required, size, price, most in zip(types.required, start, types.cost, types.limit, strict=True):
        draws = restrict_to_reachable(required, float(most)) if given else required
        draws = draws if len(draws) else required
        schedules.append(
            cheapest_schedules(
                draws, float(size), cost=float(price), fixed_cost=types.fixed_cost, rounds=rounds, limit=float(most)
            )
        )
    options = [schedule_options(each, is_met=bool(is_met)) for each, is_met in zip(schedules, met, strict=True)]
    chosen = best_options(options, criterion)
    free = Criterion(criterion.penalty, criterion.risk)
    unlimited = best_options(options, free) if np.isfinite(criterion.budget) else chosen
    picks = [0] * len(options) if chosen is None else chosen
    made = max(int(o.rounds[i]) for o, i in zip(options, picks, strict=True))
    size, reached = np.repeat(start[:, None], made, axis=1), np.repeat(met[:, None].astype(float), made, axis=1)
    for row, (each, o, i) in enumerate(zip(schedules, options, picks, strict=True)):
        path = each.path(int(o.rounds[i]), int(o.last[i]))
        if path:
            indices = [*path, *[path[-1]] * (made - len(path))]
            size[row], reached[row] = each.size[indices], 1 - each.missing[indices]
    together = np.prod(reached, axis=0)
    before = np.concatenate([[float(np.all(met))], together[:-1]])[:made]
    added = np.diff(np.concatenate([start[:, None], size], axis=1), axis=1)
    final = float(np.prod([o.reach[i] for o, i in zip(options, picks, strict=True)]))
    middle = np.quantile(types.required, 0.5, axis=1, method="lower")
    at_end = [int(o.last[i]) == len(each.size) - 1 for each, o, i in zip(schedules, options, picks, strict=True)]
    is_cut = np.any(np.array(at_end) & np.any(np.isfinite(types.required) & (types.required > types.limit[:, None]), 1))
    return CollectionPlan(
        types.names,
        _status(met, made, chosen, criterion),
        _name_limit(chosen != unlimited, made, bool(is_cut), criterion),
        types.target,
        start,
        size,
        together,
        np.sum(added * types.cost[:, None] + types.fixed_cost * (added > 0), axis=0),
        float(sum(o.expected[i] for o, i in zip(options, picks, strict=True))),
        1 - final,
        float(np.sum(1 - before)),
        float(np.prod(np.where(met, 1.0, possible))),
        given,
        SizeForError.from_draws(middle, types.required, _LEVEL, largest=start),
        np.quantile(types.required, REQUIRED_LEVELS, axis=1, method="lower").T,
        np.full(len(start), np.nan),
        criterion.risk,
        np.where(met, 1.0, possible),
        alternative_plans(schedules, options, picks, criterion),
        cost_curves(schedules, rounds),
    )


def _status(met: Bool[np.ndarray, " b"], rounds: int, chosen: list[int] | None, criterion: Criterion) -> str:
    if np.all(met):
        return "met"
    if chosen is None or (rounds == 0 and criterion.penalty is None):
        return "unreachable"
    return "planned" if rounds else "too expensive"


def _name_limit(over_budget: bool, rounds: int, is_cut: bool, criterion: Criterion) -> str:
    """Return what sets the last sizes."""
    if over_budget:
        return "budget"
    if rounds == 0:
        return ""
    if is_cut and criterion.risk is None:
        return "limit"
    return "penalty" if criterion.penalty is not None else "risk" if criterion.risk is not None else "budget"
