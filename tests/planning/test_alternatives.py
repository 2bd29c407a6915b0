"""Plans beside the best one: their costs by simulation, and the cost of each last size."""

import numpy as np
import pytest

from lcjax.planning.data_types import DataTypes, plan_types
from lcjax.planning.schedule import cheapest_schedules
from lcjax.planning.selection import Criterion


def types(required, *, cost=1.0, fixed_cost=20.0):
    count = len(required)
    one = np.ones(count)
    names = tuple(f"type {i}" for i in range(count))
    met = np.zeros(count, bool)
    return DataTypes(names, 0.1 * one, 100.0 * one, met, required, cost * one, fixed_cost, np.inf * one)


@pytest.fixture
def required():
    return 100.0 + np.random.default_rng(0).gamma(2.0, 60.0, (1, 400)).round()


def test_costs_of_single_rounds_are_those_of_their_sizes(required):
    plan = plan_types(types(required), 3, Criterion(risk=0.1), False)
    others = plan.alternatives
    once = ("the best single round", "one round, to the median of the required sizes", "one round, to twice the size")
    assert others.names == (once[0], "the best 2 rounds", *once[1:])
    single = [others.names.index(name) for name in once]
    for i in single:
        size = others.size[i, 0]
        np.testing.assert_allclose(others.expected_cost[i], 20.0 + size - 100.0)
        np.testing.assert_allclose(others.missing[i], np.mean(required > size))
    assert others.missing[single[1]] == pytest.approx(0.5, abs=0.02)
    assert others.size[single[2], 0] <= 200.0
    assert plan.expected_cost < others.expected_cost[1] < others.expected_cost[0]
    assert np.all(others.missing[:2] <= 0.1 + 1e-12)


def test_the_cost_of_the_plan_lies_on_the_curve_of_its_last_size(required):
    plan = plan_types(types(required), 2, Criterion(risk=0.1), False)
    exact = cheapest_schedules(required[0], 100.0, cost=1.0, fixed_cost=20.0, rounds=2)
    curves = plan.cost_curves
    assert curves.expected_cost.shape == (1, 2, curves.size.shape[1])
    assert np.all(np.diff(curves.expected_cost[0], axis=0) <= 0)  # more rounds never cost more
    for size, cost, reached in zip(curves.size[0], curves.expected_cost[0, 0], curves.reached[0], strict=True):
        np.testing.assert_allclose(cost, (size > 100.0) * (20.0 + size - 100.0))
        np.testing.assert_allclose(reached, np.mean(required <= size) * (size > 100.0))
    place = int(np.argmin(np.abs(exact.size - plan.size[0, -1])))
    np.testing.assert_allclose(np.min(exact.expected[1:, place]), plan.expected_cost)


def test_types_have_alternatives_together_and_what_is_met_has_none(required):
    both = types(np.concatenate([required, required + 50.0]))
    plan = plan_types(both, 2, Criterion(penalty=1e4), False)
    assert plan.alternatives.size.shape == (len(plan.alternatives.names), 2)
    assert np.all(
        plan.alternatives.expected_cost + 1e4 * plan.alternatives.missing >= plan.expected_cost + 1e4 * plan.missing
    )
    met = DataTypes(
        both.names, both.target, both.start, np.ones(2, bool), np.full((2, 8), 100.0), both.cost, 0.0, both.limit
    )
    assert plan_types(met, 2, Criterion(risk=0.1), False).alternatives.names == ()
