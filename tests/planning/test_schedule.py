import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.planning.schedule import cheapest_schedules
from lcjax.planning.selection import Criterion, best_options, schedule_options

START = 100.0


def random_problem(seed):
    """Return required sizes, some infinite or equal, and their weights."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 8))
    required = rng.integers(101, 130, count).astype(float)
    required[rng.random(count) < 0.2] = np.inf
    return required, rng.dirichlet(np.ones(count))


def expected_cost(sizes, required, weight, cost, fixed_cost):
    """Return the expected cost of rounds by its definition."""
    total, before = 0.0, START
    for size in sizes:
        total += (fixed_cost + cost * (size - before)) * weight[required > before].sum()
        before = size
    return total


@given(seed=st.integers(0, 2**32 - 1), cost=st.sampled_from([0.0, 0.1, 1.0]), fixed_cost=st.sampled_from([0.0, 3.0]))
def test_every_schedule_is_the_best_of_all(seed, cost, fixed_cost):
    required, weight = random_problem(seed)
    result = cheapest_schedules(required, START, cost=cost, fixed_cost=fixed_cost, rounds=4, weight=weight)
    for n, last in itertools.product(range(1, 5), range(1, len(result.size))):
        every = [(*inner, result.size[last]) for inner in itertools.combinations(result.size[1:last], n - 1)]
        costs = [expected_cost(sizes, required, weight, cost, fixed_cost) for sizes in every]
        np.testing.assert_allclose(result.expected[n, last], min(costs, default=np.inf), rtol=1e-12)
        if costs:
            sizes = result.size[result.path(n, last)]
            assert len(sizes) == n
            assert np.all(np.diff(sizes, prepend=START) > 0)
            found = expected_cost(sizes, required, weight, cost, fixed_cost)
            np.testing.assert_allclose(found, result.expected[n, last], rtol=1e-12)
            np.testing.assert_allclose(result.most[n, last], n * fixed_cost + cost * (sizes[-1] - START))


@given(seed=st.integers(0, 2**32 - 1), penalty=st.floats(0.1, 100))
def test_no_sizes_beat_those_of_the_draws(seed, penalty):
    """Sizes between the draws only cost more, so that the optimum over all sizes is found."""
    required, weight = random_problem(seed)
    options = schedule_options(cheapest_schedules(required, START, cost=1.0, rounds=2, weight=weight))
    (best,) = best_options([options], Criterion(penalty=penalty))
    least = options.expected[best] + penalty * (1 - options.reach[best])
    for sizes in itertools.combinations_with_replacement(np.arange(START, 131.0), 2):
        missed = weight[required > sizes[-1]].sum()
        assert expected_cost(sizes, required, weight, 1.0, 0.0) + penalty * missed >= least - 1e-9


@pytest.mark.parametrize("penalty", [3.0, 10.0, 40.0])
def test_one_round_is_the_newsvendor_quantile(penalty):
    """With the exponential distribution of rate r the best size has density r exp(-r x) = cost / penalty."""
    rate, count = 0.5, 20_000
    draws = START - np.log1p(-(np.arange(count) + 0.5) / count) / rate
    options = schedule_options(cheapest_schedules(draws, START, cost=1.0))
    (best,) = best_options([options], Criterion(penalty=penalty))
    assert abs(options.most[best] - np.log(rate * penalty) / rate) < 0.02


@given(seed=st.integers(0, 2**32 - 1), risk=st.floats(0.01, 0.99))
def test_one_round_with_a_risk_is_the_quantile(seed, risk):
    draws = START + np.random.default_rng(seed).gamma(1.0, 50.0, 300)
    schedules = cheapest_schedules(draws, START, cost=1.0)
    options = schedule_options(schedules)
    (best,) = best_options([options], Criterion(risk=risk))
    size = schedules.size[options.last[best]]
    assert size == np.quantile(draws, 1 - risk, method="inverted_cdf") or np.isclose(np.mean(draws > size), risk)
    assert np.mean(draws > size) <= risk + 1e-9


def test_nothing_can_be_collected_if_the_target_is_never_met():
    schedules = cheapest_schedules(np.full(4, np.inf), START, cost=1.0, rounds=3)
    assert schedules.size.tolist() == [START]
    assert schedules.missing.tolist() == [1.0]
