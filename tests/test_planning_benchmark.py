"""The comparison of planners: fits and frontiers against known results, and collections on a known curve."""

import numpy as np
import pytest

from benchmarks.planning.frontier import compare_costs, cost_at_rate, draw_clusters, frontier, oracle_outcome
from benchmarks.planning.problems import Problem
from benchmarks.planning.requirements import ATOMS, fit_power_laws, resampled_sizes, solve_power_law
from benchmarks.planning.simulation import Outcome, PointMethod, SampleMethod, simulate

SIZE = 100.0 * 2.0 ** (np.arange(25) / 4)


def problem(exponent=-0.5, offset=0.01, share=0.6, name="a"):
    error = offset + 2.0 * SIZE**exponent
    return Problem(name, name, SIZE, error, 12, share * float(error[12]))


def exact_size(one):
    return ((one.target - 0.01) / 2.0) ** -2.0


def test_power_laws_are_fitted_under_their_bounds():
    one = problem()
    weight = np.random.default_rng(0).multinomial(13, np.full(13, 1 / 13), size=20).astype(float)
    offset, scale, exponent = fit_power_laws(SIZE[:13], one.error[:13], weight)
    np.testing.assert_allclose(offset, 0.01, atol=1e-3)
    np.testing.assert_allclose(exponent, -0.5, atol=5e-3)
    size = solve_power_law(offset, scale, exponent, one.target, SIZE[12])
    np.testing.assert_allclose(size, exact_size(one), rtol=0.03)
    offset, scale, _ = fit_power_laws(SIZE, 0.3 - 0.02 * np.log(SIZE), np.ones((1, 25)))
    assert offset[0] == 0.0
    assert scale[0] > 0
    assert np.isinf(solve_power_law(offset + 0.5, scale, np.array([-0.5]), 0.4, 1.0)[0])


@pytest.mark.parametrize("logarithmic", [False, True])
def test_resampled_sizes_surround_the_exact_one(logarithmic):
    one = problem()
    sizes = resampled_sizes([(one, 12)], share=0.1, logarithmic=logarithmic)
    assert sizes.shape == (1, ATOMS)
    assert abs(np.median(sizes) / exact_size(one) - 1) < 0.05


def test_a_lottery_of_two_settings_is_as_good_as_their_line():
    rate, cost = np.array([0.4, 0.0, 0.2, 0.1]), np.array([0.5, 4.0, 1.0, 3.0])
    assert cost_at_rate(rate, cost, 0.1) == pytest.approx(2.5)
    assert cost_at_rate(rate, cost, 0.3) == pytest.approx(0.75)
    assert np.isnan(cost_at_rate(rate[:1], cost[:1], 0.1))


def test_a_method_that_knows_the_size_collects_as_the_oracle():
    problems = [problem(name=name, share=share) for name, share in (("a", 0.8), ("b", 0.6), ("c", 0.5))]
    sizes = [SIZE[one.oracle()] for one in problems]
    point = PointMethod("known", [1.0], problems, lambda state, setting: setting * sizes[state[0]])
    outcome = simulate(point, problems, [1, 3])
    oracle = oracle_outcome(problems)
    np.testing.assert_allclose(outcome[1].cost[0], oracle.cost[0])
    assert not outcome[3].failed.any()
    np.testing.assert_allclose(outcome[1].cost[-1], SIZE[-1] / SIZE[12] - 1)  # everything at once


def test_samples_are_planned_round_by_round():
    problems = [problem()]
    size = SIZE[problems[0].oracle()]

    def sample(states):
        return np.tile(np.where(np.arange(10) < 5, SIZE[13], size), (len(states), 1))

    method = SampleMethod("half", [0.1, 100.0], problems, sample, lambda sizes, start, pool: sizes)
    outcome = simulate(method, problems, [1, 2])
    assert outcome[1].failed[:, 0].tolist() == [True, False, False]
    np.testing.assert_allclose(outcome[1].cost[1, 0], size / SIZE[12] - 1)
    assert outcome[2].rounds[1, 0] == 2
    assert outcome[1].rounds[0, 0] == 0  # the penalty is below the cost


def test_costs_are_compared_over_data_sets():
    rng = np.random.default_rng(0)
    cost = rng.uniform(1.0, 2.0, (1, 40))
    none = np.zeros((1, 40), bool)
    ours, other = Outcome(cost, none, cost), Outcome(2 * cost, none, cost)
    weights = draw_clusters([f"{i // 4}" for i in range(40)], 50)
    assert frontier(ours, weights[0])[0].tolist() == [0.0]
    result = compare_costs(ours, other, weights, 0.1)
    assert result["ratio"] == result["low"] == result["high"] == pytest.approx(0.5)
