"""Choice of the best single source of training data for one error, such as experts or a crowd."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.joint_draws import JointDraws
from lcjax.curves.readers.holders import common_metric, curve_of
from lcjax.formats import format_probability
from lcjax.planning.collection_plan import CollectionPlan
from lcjax.planning.plan_collection import Curves, plan_collection
from lcjax.records import record
from lcjax.typing import KeyArray, check_key

__all__ = ["SourceChoice", "choose_source"]


@record
class SourceChoice:
    """Plans of several sources of data for one error, of which one is to be collected.

    Attributes:
        names: names of the b sources.
        best: index of the best source.
        plans: the plan of each source alone.
        cheapest: probability that each source meets the target at the least cost, with hindsight, `(b,)`.
        never: probability that no source meets it.
    """

    names: tuple[str, ...] = jax.tree.static()
    best: int = jax.tree.static()
    plans: tuple[CollectionPlan, ...]
    cheapest: Float[np.ndarray, " b"]
    never: float

    @property
    def plan(self) -> CollectionPlan:
        """Return the plan of the best source."""
        return self.plans[self.best]

    def sentence(self, unit: str = "examples") -> str:
        """Return the choice and its plan in words.

        Args:
            unit: what a size counts, in the plural.
        """
        name, plan = f'"{self.names[self.best]}"', self.plan
        if plan.status == "met":
            return f"The measured error of {name} already meets the target: nothing needs to be collected."
        if plan.status != "planned":
            return f"No source has a plan; that of {name} comes closest. {plan.sentence(unit)}"
        likely = format_probability(self.cheapest[self.best])
        return (
            f"The best source is {name}. {plan.sentence(unit)} Probability that no other source turns out to be "
            f"cheaper: {likely}."
        )

    def headline(self) -> str:
        """Return the choice in words, for notebooks."""
        return self.sentence()


def choose_source(
    key: KeyArray,
    curves: Mapping[str, Curves],
    *,
    target: float | str,
    cost: float | Sequence[float] | Float[np.ndarray, " b"] = 1.0,
    fixed_cost: float = 0.0,
    limit: float | Sequence[float] | Float[np.ndarray, " b"] | None = None,
    **options: Any,
) -> SourceChoice:
    """Choose the source of data from which to collect all further examples, by the expected costs of their plans.

    Each source has a curve of the same error, on the same test set: that of models trained on examples of this source
    alone. The plan of each source is that of `lcjax.plan_collection`. With a penalty the best source has the least
    expected cost plus expected penalty; with a risk, the least expected cost of those that keep it; with a budget
    alone, the largest probability of meeting the target, then the least expected cost.

    A mix of sources is not planned, because the error of a model trained on several sources cannot be computed from the
    curves of each one: it would require an assumption, such as that an example of a crowd is worth a fixed fraction of
    one of an expert. To include a mix of fixed shares, measure its curve and pass it as one more source, at its mean
    cost of an example.

    Args:
        key: typed key for the forecasts of curves.
        curves: curve or forecast of each source by name.
        target: error that a measurement has to meet, or a text such as "auroc>=0.92".
        cost: cost of one example, one for all sources or `(b,)`.
        fixed_cost: cost of a round.
        limit: largest number of examples of one source, one for all or `(b,)`.
        **options: rounds, risk, penalty, budget, assume_reachable, repeats and draws of `lcjax.plan_collection`.

    Raises:
        ValueError: there are fewer than two sources, or an argument is refused by `lcjax.plan_collection`.

    Examples:
        >>> import lcjax as lc
        >>> size = 100.0 * 2.0 ** np.arange(6)
        >>> sources = {"experts": lc.LearningCurve(size, size**-0.4), "crowd": lc.LearningCurve(size, 1.2 * size**-0.4)}
        >>> choice = choose_source(jax.random.key(0), sources, target=0.03, cost=[1.0, 0.2], risk=0.1)
        >>> choice.names[choice.best], [plan.status for plan in choice.plans]
        ('crowd', ['planned', 'planned'])
    """
    check_key(key)
    if len(curves) < 2:
        raise ValueError(f"A choice needs at least two sources, got {len(curves)}.")
    common_metric(curves)
    costs, limits = _spread("cost", cost, curves), _spread("limit", np.inf if limit is None else limit, curves)
    plans = [
        plan_collection(
            jax.random.fold_in(key, i),
            curve,
            target=target,
            cost=float(costs[i]),
            fixed_cost=fixed_cost,
            limit=float(limits[i]),
            **options,
        )
        for i, (name, curve) in enumerate(_check_single(curves).items())
    ]
    penalty, by_budget = options.get("penalty"), options.get("budget") and not options.get("risk")
    scores = [_score(plan, penalty, first_by_chance=bool(by_budget and penalty is None)) for plan in plans]
    best = min(range(len(plans)), key=lambda i: scores[i])
    cheapest, never = _cheapest([_hindsight(p, c, fixed_cost, m) for p, c, m in zip(plans, costs, limits, strict=True)])
    return SourceChoice(tuple(map(str, curves)), best, tuple(plans), cheapest, never)


def _check_single(curves: Mapping[str, Curves]) -> Mapping[str, Curves]:
    """Return the curves, or raise ValueError if one is a batch of several."""
    for name, each in curves.items():
        error = np.shape(each.measured.error if isinstance(each, JointDraws) else curve_of(each)[0].error)
        if np.prod(error[:-1], dtype=int) != 1:
            raise ValueError(f"The source {name!r} has a batch of curves of shape {error}; pass one curve by name.")
    return curves


def _score(plan: CollectionPlan, penalty: float | None, *, first_by_chance: bool) -> tuple[float, ...]:
    """Return numbers by which plans are ordered, the best first."""
    if plan.status == "unreachable":
        return 1.0, -plan.reachable, 0.0
    if penalty is not None:
        return 0.0, plan.expected_cost + penalty * plan.missing, 0.0
    return (0.0, plan.missing, plan.expected_cost) if first_by_chance else (0.0, plan.expected_cost, plan.missing)


def _hindsight(plan: CollectionPlan, cost: float, fixed_cost: float, limit: float) -> Float[np.ndarray, " q"]:
    """Return quantiles of the cost of one round up to the size that meets the target; inf where none does."""
    if plan.status == "met":
        return np.zeros(1)
    assert plan.required_quantiles is not None
    needed = plan.required_quantiles[0]
    spent = fixed_cost + cost * (np.where(np.isfinite(needed), needed, 0.0) - plan.start[0])
    return np.asarray(np.where(needed <= min(limit, 1e300), spent, np.inf))


def _cheapest(costs: Sequence[Float[np.ndarray, " q"]]) -> tuple[Float[np.ndarray, " b"], float]:
    """Return the probability that each of several independent costs is the least, and that all are infinite.

    Equal costs share their probability.
    """
    atoms = np.unique(np.concatenate(costs))
    atoms = atoms[np.isfinite(atoms)]
    above = np.array([[np.mean(row > atom) for row in costs] for atom in atoms]).reshape(len(atoms), len(costs))
    equal = np.array([[np.mean(row == atom) for row in costs] for atom in atoms]).reshape(above.shape)
    share = np.zeros(len(costs))
    for over, same in zip(above, equal, strict=True):
        least = np.prod(over + same) - np.prod(over)  # the least of all costs is this one
        share += least * same / max(float(np.sum(same)), 1e-300)
    return share, float(np.prod([np.mean(np.isinf(row)) for row in costs]))


def _spread(name: str, value: object, curves: Mapping[str, Curves]) -> Float[np.ndarray, " b"]:
    values = np.asarray(value, float)
    if values.shape not in ((), (len(curves),)):
        raise ValueError(f"{name} must be one number or one for each of {len(curves)} sources, got {values.shape}.")
    return np.broadcast_to(values, (len(curves),)).astype(float)
