"""The best source of data for one error, by plans of each source alone."""

import numpy as np
import pytest

import lcjax as lc
from lcjax.planning.sources import _cheapest, choose_source
from tests.planning.test_plan_collection import KEY, SIZE, Known


def known(mean, share=1.0):
    """Return a source that meets the target at sizes around a mean, or never with the rest of the probability."""
    sizes = mean + 400.0 * (np.arange(1000) + 0.5) / 1000
    return Known(np.where(np.arange(1000) % 100 < 100 * share, sizes, np.inf))


def choose(sources, **options):
    return choose_source(KEY, sources, target=0.05, **options)


def test_the_cheaper_plan_is_chosen_and_is_that_of_the_source_alone():
    sources = {"experts": known(4000.0), "crowd": known(6000.0)}
    dear, cheap = choose(sources, risk=0.1), choose(sources, cost=[1.0, 0.2], risk=0.1)
    assert (dear.names[dear.best], cheap.names[cheap.best]) == ("experts", "crowd")
    alone = lc.plan_collection(KEY, sources["crowd"], target=0.05, cost=0.2, risk=0.1)
    assert cheap.plan.expected_cost == alone.expected_cost
    assert cheap.cheapest.tolist() == pytest.approx([0.0, 1.0])
    assert cheap.sentence().startswith('The best source is "crowd". Collect ')
    assert str(cheap) == cheap.sentence()


def test_a_source_that_cannot_keep_the_risk_is_not_chosen():
    sources = {"sure": known(6000.0), "doubtful": known(4000.0, 0.6)}
    choice = choose(sources, risk=0.1)
    assert [plan.status for plan in choice.plans] == ["planned", "unreachable"]
    assert choice.names[choice.best] == "sure"
    assert choice.cheapest.tolist() == pytest.approx([0.4, 0.6], abs=0.02)
    neither = choose({"a": known(4000.0, 0.3), "b": known(6000.0, 0.6)}, risk=0.1)
    assert neither.names[neither.best] == "b"
    assert neither.sentence().startswith('No source has a plan; that of "b" comes closest. No plan keeps the risk')
    assert neither.never == pytest.approx(0.28, abs=0.02)


def test_a_penalty_and_a_budget_decide_otherwise():
    sources = {"sure": known(6000.0), "doubtful": known(4000.0, 0.6)}
    for options, best in (({"penalty": 2e4}, "sure"), ({"penalty": 4000.0}, "doubtful"),
                          ({"budget": 2000.0}, "doubtful"),
                          ({"budget": 5000.0}, "sure")):  # fmt: skip
        choice = choose(sources, **options)
        assert choice.names[choice.best] == best, options


def test_the_least_of_independent_costs():
    rng = np.random.default_rng(0)
    costs = [rng.normal(mean, 1.0, 99) for mean in (0.0, 0.5, 1.0)]
    costs[2][:20] = np.inf
    share, never = _cheapest(costs)
    draws = np.stack([rng.choice(row, 400_000) for row in costs])
    np.testing.assert_allclose(share, np.bincount(draws.argmin(axis=0)) / draws.shape[1], atol=0.004)
    assert (never, share.sum()) == (0.0, pytest.approx(1.0))
    assert _cheapest([np.ones(3), np.ones(3)])[0].tolist() == [0.5, 0.5]


def test_wrong_sources_are_refused():
    with pytest.raises(ValueError, match="at least two sources, got 1"):
        choose({"a": known(4000.0)})
    both = lc.LearningCurve(SIZE, np.stack([SIZE**-0.5, SIZE**-0.4]))
    with pytest.raises(ValueError, match=r"The source 'b' has a batch of curves of shape \(2, 6\)"):
        choose({"a": known(4000.0), "b": both})
    with pytest.raises(ValueError, match="cost must be one number or one for each of 2 sources"):
        choose({"a": known(4000.0), "b": known(4000.0)}, cost=[1.0, 2.0, 3.0])
