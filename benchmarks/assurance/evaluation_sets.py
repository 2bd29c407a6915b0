"""Check of `minimum_test_examples` with networks whose errors are known."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binom, hypergeom

from lcjax.curves.answer.evaluation_size import minimum_test_examples

__all__ = ["LEVEL", "MARGINS", "Passes", "check_margin"]

MARGINS = (0.5, 0.3, 0.1)
LEVEL = 0.05
_MULTIPLE = 5  # evaluation sets at least this many times larger than the test set are sampled without replacement
_Z = 1.96


@dataclasses.dataclass(frozen=True)
class Passes:
    """Share of random test sets on which the exact one-sided binomial test shows that the target is met.

    Attributes:
        margin: fraction by which the error is below the target, for which the number of test examples is computed.
        better: share for networks that are better by the margin; should be at least 0.8.
        better_error: half-width of the 95 % interval of `better`, binomial.
        least: lowest exact probability of one of these networks.
        equal: share for networks exactly at the target; should be at most 0.05.
        equal_error: half-width of the 95 % interval of `equal`.
        most: highest exact probability of one of these networks.
        networks: number of networks.
        examples: smallest and largest number of test examples.
        replaced: number of networks, better and equal, whose test sets are drawn with replacement.
    """

    margin: float
    better: float
    better_error: float
    least: float
    equal: float
    equal_error: float
    most: float
    networks: int
    examples: tuple[int, int]
    replaced: tuple[int, int]


def check_margin(mistakes: Int[np.ndarray, " w"], total: int, margin: float, *, draws: int = 2000) -> Passes:
    """Draw random test sets for networks with known mistakes on an evaluation set, and test them.

    The error on the whole evaluation set is the true error. The target of a network is its error / (1 - margin), or its
    error itself for networks at the target. The number of mistakes on a random subset of the evaluation set is
    hypergeometric, and on examples drawn with replacement binomial, whichever examples are misclassified. Test sets are
    drawn without replacement where the evaluation set is at least five times larger.

    Args:
        mistakes: number of wrong examples of each network, positive.
        total: number of examples in the evaluation set.
        margin: fraction by which the error is below the target.
        draws: number of test sets for each network.
    """
    rng = np.random.default_rng(0)
    error = mistakes / total
    better, examples, replaced = _pass(rng, mistakes, total, error / (1 - margin), margin, draws)
    equal, more, replaced_equal = _pass(rng, mistakes, total, error, margin, draws)
    both = [*examples, *more]
    return Passes(
        margin,
        float(better[0].mean()),
        _half_width(better[0].mean(), draws * len(mistakes)),
        float(better[1].min()),
        float(equal[0].mean()),
        _half_width(equal[0].mean(), draws * len(mistakes)),
        float(equal[1].max()),
        len(mistakes),
        (min(both), max(both)),
        (replaced, replaced_equal),
    )


def _pass(
    rng: np.random.Generator,
    mistakes: Int[np.ndarray, " w"],
    total: int,
    target: Float[np.ndarray, " w"],
    margin: float,
    draws: int,
) -> tuple[tuple[Float[np.ndarray, " w"], Float[np.ndarray, " w"]], Sequence[int], int]:
    """Return shares and exact probabilities of success, numbers of examples, and the number with replacement."""
    shares, exact, examples, replaced = [], [], [], 0
    for wrong, error in zip(mistakes.tolist(), target.tolist(), strict=True):
        count = minimum_test_examples(error, margin=margin, level=LEVEL)
        most = int(binom.ppf(LEVEL, count, error))
        while most >= 0 and binom.cdf(most, count, error) > LEVEL:
            most -= 1
        if total >= _MULTIPLE * count:
            drawn, distribution = rng.hypergeometric(wrong, total - wrong, count, draws), hypergeom(total, wrong, count)
        else:
            drawn, distribution = rng.binomial(count, wrong / total, draws), binom(count, wrong / total)
            replaced += 1
        shares.append((drawn <= most).mean())
        exact.append(distribution.cdf(most))
        examples.append(count)
    return (np.array(shares), np.array(exact)), examples, replaced


def _half_width(share: float, count: int) -> float:
    return float(_Z * np.sqrt(share * (1 - share) / count))
