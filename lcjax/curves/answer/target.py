"""All answers for one target error, from the joint draws of a forecast."""

import jax
import numpy as np
from jaxtyping import Bool, Float

from lcjax.curves.answer.evaluation_size import minimum_test_examples
from lcjax.curves.answer.joint_draws import JointDraws
from lcjax.curves.answer.next_size import NextSize
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["SHARE", "TargetAnswer", "answer_target"]

SHARE = 0.8
"""Probability with which one training meets the target at the assured size."""

# The data reject a monotone curve if it rises by 5 % with this probability.
_REJECTED = 0.9


@record
class TargetAnswer:
    """All answers for one target error, for each curve of a batch.

    Attributes:
        error: the target.
        size_for_error: size at which the mean error of trainings first meets it, `(*b,)`.
        lasting: size from which the mean error meets the target up to the largest measured size, `(*b,)`.
        rises: True where the data reject a monotone curve, so that the two sizes may differ, `(*b,)`.
        assured: size at which one training meets the target with probability `share`, `(*b,)`.
        next_size: measurement to make next.
        test_examples: number of test examples needed to show that the target is met, if the error is 10 % below it
            (see `minimum_test_examples`); None if the error is not a share of examples.
        share: probability of the assured size.
    """

    error: float = jax.tree.static()
    size_for_error: SizeForError
    lasting: SizeForError
    rises: Bool[Array, "*b"]
    assured: SizeForError
    next_size: NextSize
    test_examples: int | None = jax.tree.static(default=None)
    share: float = jax.tree.static(default=SHARE)

    def fields(self, i: int | None = None) -> dict[str, object]:
        """Return the answers of curve `i` of a batch `(b,)`, or of a single curve, as plain data for JSON."""
        place = () if i is None else i

        def row(batch: object) -> object:
            return jax.tree.map(lambda leaf: np.asarray(np.asarray(leaf, float)[place]), batch)

        assured, plan = row(self.assured), row(self.next_size)
        assert isinstance(assured, SizeForError)
        assert isinstance(plan, NextSize)
        entries = assured.json_fields()
        there = np.flatnonzero(np.isfinite(plan.candidates))
        candidates = [
            {
                "size": float(plan.candidates[j]),
                "repeats": int(plan.candidate_repeats[j]),
                "information": float(plan.information[j]),
                "cost": float(plan.cost[j]),
            }
            for j in there
        ]
        return {
            "size_for_error": row(self.size_for_error),
            "lasting_size_for_error": row(self.lasting) if bool(np.asarray(self.rises)[place]) else None,
            "assurance": {
                "share": self.share,
                "size": entries["value"],
                **{name: entries[name] for name in ("low", "high", "never", "status")},
            },
            "next_size": {"size": float(plan.size), "repeats": int(plan.repeats), "candidates": candidates},
            "test_examples": self.test_examples,
        }


def answer_target(
    draws: JointDraws,
    error: float,
    *,
    level: float = 0.9,
    share: float = SHARE,
    candidates: Float[Array, "*b c"] | None = None,
    is_share: bool = True,
) -> TargetAnswer:
    """Answer how many examples reach a target error, on average and in one training, and what to measure next.

    Args:
        draws: a forecast.
        error: the target.
        level: probability of the intervals.
        share: probability with which one training meets the target at the assured size.
        candidates: sizes to choose the next measurement from; the default ones of `next_size` if None.
        is_share: True if the error is a share of test examples, so that the number of test examples can be computed.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(6)
        >>> ahead = lc.forecast(jax.random.key(0), lc.LearningCurve(size, 2.0 * size**-0.5))
        >>> answer = answer_target(ahead, 0.05)
        >>> bool(0.8 < answer.size_for_error.value / 1600 < 1.2), answer.test_examples
        (True, 11583)
    """
    return TargetAnswer(
        error,
        draws.size_for_error(error, level),
        draws.lasting_size_for_error(error, level),
        np.asarray(draws.rise_probability()) > _REJECTED,
        draws.size_for_share(error, share, level=level),
        draws.next_size(error, candidates=candidates),
        minimum_test_examples(error) if is_share and 0 < error < 1 else None,
        share,
    )
