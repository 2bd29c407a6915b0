"""A plan of data collection, with its cost and its chance of success."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.formats import format_cost, format_number, format_probability
from lcjax.planning.alternatives import BEST_SINGLE, Alternatives, CostCurves
from lcjax.records import record

__all__ = ["REQUIRED_LEVELS", "CollectionPlan"]

REQUIRED_LEVELS = np.arange(1, 100) / 100
"""Levels of `CollectionPlan.required_quantiles`."""

_LEAST = 0.001  # smallest probability that sentences tell from 0


@record
class CollectionPlan:
    """Sizes up to which to collect, round by round.

    After each round a model is trained on all examples of each type, and its error is measured. A type that meets its
    target is not collected further.

    Attributes:
        names: names of the b types of data; ("",) for one without a name.
        status: "planned"; "met" if the measured errors meet the targets already; "too expensive" if the least expected
            cost exceeds the penalty that it saves, so that nothing is collected; "unreachable" if no plan keeps the
            risk, or none within the budget can meet the target; "divided" for a budget without a target.
        limited_by: what sets the last sizes: "risk", "penalty", "budget", or "limit"; "" if nothing is collected.
        target: target errors, `(b,)`; nan without a target.
        start: numbers of examples at hand, `(b,)`.
        size: number of examples of each type after each of the t rounds, `(b, t)`.
        reached: probability that all targets are met by the end of each round, `(t,)`.
        cost: cost of each round if no target is met before it, `(t,)`.
        expected_cost: expected cost of all rounds.
        missing: probability that a target is missed in the end.
        expected_rounds: expected number of rounds.
        reachable: probability that the targets can be met at all, within `limit` if there is one.
        assumes_reachable: True if the other probabilities and the costs assume that they can.
        required: size at which the measured error meets the target, `(b,)`; None without a target.
        required_quantiles: its quantiles at the levels 0.01, 0.02, ..., 0.99, `(b, 99)`; None without a target.
        error: expected error at the last sizes, `(b,)`; nan with a target.
        risk: largest probability of missing a target that was asked for, or None.
        reachable_each: probability that each target can be met, within its limit, `(b,)`; None without a target.
        alternatives: other plans, or other divisions of the budget, for comparison.
        cost_curves: least expected cost by the last size of each type; None without a target.
    """

    names: tuple[str, ...] = jax.tree.static()
    status: str = jax.tree.static()
    limited_by: str = jax.tree.static()
    target: Float[np.ndarray, " b"]
    start: Float[np.ndarray, " b"]
    size: Float[np.ndarray, "b t"]
    reached: Float[np.ndarray, " t"]
    cost: Float[np.ndarray, " t"]
    expected_cost: float
    missing: float
    expected_rounds: float
    reachable: float
    assumes_reachable: bool = jax.tree.static()
    required: SizeForError | None
    required_quantiles: Float[np.ndarray, "b q"] | None
    error: Float[np.ndarray, " b"]
    risk: float | None = jax.tree.static(default=None)
    reachable_each: Float[np.ndarray, " b"] | None = None
    alternatives: Alternatives | None = None
    cost_curves: CostCurves | None = None

    @property
    def added(self) -> Float[np.ndarray, "b t"]:
        """Return the number of examples of each type that each round adds, `(b, t)`."""
        return np.diff(np.concatenate([self.start[:, None], self.size], axis=1), axis=1)

    @property
    def largest_cost(self) -> float:
        """Return the cost if all rounds are made."""
        return float(np.sum(self.cost))

    def sentence(self, unit: str = "examples") -> str:
        """Return the plan in words.

        Args:
            unit: what a size counts, in the plural.

        Examples:
            >>> import jax, lcjax as lc
            >>> size = 100.0 * 2.0 ** np.arange(6)
            >>> plan = lc.plan_collection(
            ...     jax.random.key(0), lc.LearningCurve(size, 2.0 * size**-0.5), target=0.04, penalty=1.0, cost=1.0
            ... )
            >>> plan.sentence()
            'The measured error already meets the target: nothing needs to be collected.'
        """
        words = {"met": self._met, "too expensive": self._describe_expense, "unreachable": self._unreachable}
        return words[self.status](unit) if self.status in words else self._describe_rounds(unit)

    def _met(self, unit: str) -> str:
        several = len(self.names) > 1
        met = "measured errors already meet their targets" if several else "measured error already meets the target"
        return f"{'All' if several else 'The'} {met}: nothing needs to be collected."

    def _describe_expense(self, unit: str) -> str:
        return (
            f"Collecting more {unit} is expected to cost more than the penalty that it saves; the target can be met "
            f"with a probability of {_percent(self.reachable)}."
        )

    def _unreachable(self, unit: str) -> str:
        if self.limited_by == "budget":
            return (
                f"The budget is too small: no number of {unit} within it meets the target with sufficient probability."
            )
        why = "Out of reach" if self.risk is None else f"No plan keeps the risk of {self.risk:g}"
        several = len(self.names) > 1
        text = (
            f"{why}: however many {unit} are collected, {'all targets' if several else 'the target'} can be met with "
            f"a probability of at most {_percent(self.reachable)}"
        )
        if not several or self.reachable_each is None:
            return f"{text}."
        worst = int(np.argmin(self.reachable_each))
        return (
            f'{text}. The least likely is that of "{self.names[worst]}", with {_percent(self.reachable_each[worst])}.'
        )

    def _describe_rounds(self, unit: str) -> str:
        parts = [
            "; ".join(
                f'"{name}": {_steps(start, sizes, unit)}' if name else _steps(start, sizes, unit)
                for name, start, sizes in zip(self.names, self.start, self.size, strict=True)
            )
        ]
        several = len(self.names) > 1
        text = f"Collect {parts[0]}."
        if self.status == "divided":
            return f"{text} Cost: {format_cost(self.expected_cost)}."
        most = "" if self.size.shape[1] == 1 else f", at most {format_cost(self.largest_cost)}"
        missing = f"Probability of missing {'a' if several else 'the'} target: {_percent(self.missing)}"
        if self.assumes_reachable:
            can = "all targets can be met" if several else "it can be met"
            missing += f", on the assumption that {can} (probability {_percent(self.reachable)})"
        return f"{text} Expected cost: {format_cost(self.expected_cost)}{most}. {missing}."

    def remarks(self) -> list[str]:
        """Return further sentences on a plan: the number of rounds, what sets the last size, and a single round."""
        if self.status != "planned":
            return []
        words = format_number(self.expected_rounds, ".2g")
        sentences = [f"Expected number of rounds: {words}.", f"The {self.limited_by} sets the last size."]
        if self.size.shape[1] == 1:
            return sentences
        others = self.alternatives
        if others is not None and others.names[:1] == (BEST_SINGLE,):
            once, missing = float(others.expected_cost[0]), _percent(float(others.missing[0]))
            sentences.append(
                f"The best single round would cost {format_cost(once)}, and miss with a probability of {missing}."
            )
        return [*sentences, "After each round, measure, and plan the next one again."]

    def json_fields(self) -> dict[str, object]:
        """Return the entries for `to_dict`: the fields, the added examples, the largest cost and the sentence."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        derived = {"added": self.added, "largest_cost": self.largest_cost, "sentence": self.sentence()}
        return {**fields, **derived}

    json_only = ("added", "largest_cost", "sentence")

    @staticmethod
    def fields_from_json(entries: Mapping[str, object]) -> dict[str, object]:
        """Return the fields of a stored plan, whose assumption was called `given_reachable` in earlier versions."""
        return {"assumes_reachable" if name == "given_reachable" else name: one for name, one in entries.items()}

    def headline(self) -> str:
        """Return the plan in words, for notebooks."""
        return self.sentence()


def _steps(start: float, sizes: Float[np.ndarray, " t"], unit: str) -> str:
    """Return the rounds of one type in words."""
    more = sizes[np.diff(sizes, prepend=start) > 0]
    if not len(more):
        return f"no more {unit}"
    first = f"{format_cost(more[0] - start)} {unit} now ({format_cost(more[0])} in all)"
    later = ", then ".join(format_cost(size) for size in more[1:])
    return first + (f", and while the target is missed up to {later}" if later else "")


def _percent(probability: float) -> str:
    return format_probability(probability, _LEAST)
