import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.curves.answer.joint_draws import JointDraws
from lcjax.planning.plan_collection import RISK
from lcjax.planning.requirement import requirement_draws
from lcjax.records import parse_json

KEY = jax.random.key(0)
SIZE = 100.0 * 2.0 ** np.arange(6)


MEASURED = lc.LearningCurve(SIZE, np.array([0.6, 0.4, 0.3, 0.2, 0.15, 0.1]))


@dataclasses.dataclass(frozen=True)
class Known(JointDraws):
    """Forecasts whose draws meet a target of 0.05 at known sizes; the last error measured is 0.1 at 3,200."""

    sizes: np.ndarray
    measured: lc.LearningCurve = MEASURED

    def _range(self):
        return np.asarray(SIZE[0]), np.asarray(SIZE[-1])

    def _crossings(self, error, *, share=None, repeats=1.0, lasting=False):
        return self.sizes

    def _information(self, error, sizes, repeats):
        raise NotImplementedError

    def _rises(self):
        raise NotImplementedError


@pytest.fixture
def uniform():
    """Return a forecast whose required size is uniform between 3,600 and 5,600."""
    return Known(3600.0 + 2000.0 * (np.arange(1000) + 0.5) / 1000)


def plan(curves, **options):
    return lc.plan_collection(KEY, curves, target=0.05, **options)


def test_one_round_with_a_risk_ends_at_the_quantile(uniform):
    result = plan(uniform, risk=0.25, cost=0.5, fixed_cost=20.0)
    assert result.size.shape == (1, 1)
    assert abs(result.size[0, 0] - 5100) <= 2
    np.testing.assert_allclose(result.expected_cost, 20 + 0.5 * (result.size[0, 0] - 3200))
    assert abs(result.missing - 0.25) < 1e-9
    assert (result.status, result.limited_by, result.expected_rounds) == ("planned", "risk", 1.0)


def test_a_risk_of_a_tenth_is_the_default(uniform):
    assert (RISK, plan(uniform).risk) == (0.1, 0.1)
    np.testing.assert_array_equal(plan(uniform, rounds=2).size, plan(uniform, rounds=2, risk=0.1).size)
    assert plan(uniform, budget=1500.0).risk is None


def test_two_rounds_of_a_uniform_requirement_split_it(uniform):
    """With q_2 = b the cost q_1 - s + (b - q_1)^2 / (b - a) is least at q_1 = (a + b) / 2."""
    result = plan(uniform, risk=0.001, rounds=2)
    assert abs(result.size[0, 0] - 4600) < 10
    np.testing.assert_allclose(result.reached, [0.5, 1.0], atol=0.01)
    np.testing.assert_allclose(result.expected_rounds, 1.5, atol=0.01)


@pytest.mark.parametrize("options", [{"risk": 0.1}, {"penalty": 5000.0}, {"budget": 1500.0}])
def test_more_rounds_cost_no_more(uniform, options):
    results = [plan(uniform, rounds=rounds, **options) for rounds in range(1, 6)]
    losses = [r.expected_cost + options.get("penalty", 0.0) * r.missing for r in results]
    assert np.all(np.diff(losses) <= 1e-9)
    assert all(r.missing <= options.get("risk", 1.0) + 1e-9 for r in results)
    assert all(r.largest_cost <= options.get("budget", np.inf) + 1e-9 for r in results)


def test_a_larger_penalty_misses_less(uniform):
    missing = [plan(uniform, penalty=p, rounds=3).missing for p in (1e2, 1e3, 3e3, 1e4, 1e6)]
    assert missing == sorted(missing, reverse=True)
    assert (missing[0], missing[-1]) == (1.0, 0.0)
    assert plan(uniform, penalty=1e2).status == "too expensive"


def test_the_cost_scales_with_its_unit(uniform):
    cheap, expensive = plan(uniform, cost=0.1, penalty=400.0, rounds=3), plan(uniform, cost=10.0, penalty=4e4, rounds=3)
    np.testing.assert_array_equal(cheap.size, expensive.size)
    np.testing.assert_allclose(expensive.expected_cost, 100 * cheap.expected_cost)


def test_what_cannot_be_met_is_an_answer(uniform):
    half = Known(np.where(np.arange(1000) % 2 == 0, uniform.sizes, np.inf))
    result = plan(half, risk=0.1)
    assert (result.status, result.size.shape, result.reachable) == ("unreachable", (1, 0), 0.5)
    expected = "No plan keeps the risk of 0.1: however many examples are collected, the target can be met with "
    assert result.sentence() == str(result) == f"{expected}a probability of at most 50.0 %."
    both = plan({"cats": uniform, "dogs": half}, risk=0.1)
    assert both.reachable_each.tolist() == [1.0, 0.5]
    assert both.sentence().endswith('The least likely is that of "dogs", with 50.0 %.')
    never = Known(np.full(1000, np.inf))
    assert plan(never, budget=5000).sentence().startswith("Out of reach: however many examples are collected, the")
    given = plan(half, risk=0.1, assume_reachable=True)
    assert abs(given.size[0, 0] - 5400) <= 4
    assert "on the assumption that it can be met (probability 50.0 %)" in given.sentence()
    assert plan(uniform, risk=0.1, limit=5000).status == "unreachable"
    assert plan(uniform, risk=0.1, budget=100).limited_by == "budget"
    assert "The budget is too small" in plan(uniform, risk=0.1, budget=100).sentence()
    assert plan(uniform, penalty=1e6, limit=5000).limited_by == "limit"


def test_a_target_that_is_met_needs_nothing(uniform):
    result = lc.plan_collection(KEY, uniform, target=0.1, risk=0.1)
    assert (result.status, result.missing, result.expected_cost, result.reachable) == ("met", 0.0, 0.0, 1.0)


def test_equal_types_get_equal_amounts_and_cheap_ones_more():
    known = Known(3400.0 - 800.0 * np.log1p(-(np.arange(1000) + 0.5) / 1000))
    for options in ({"risk": 0.2}, {"penalty": 2e4}, {"budget": 3000.0}):
        equal = plan({"a": known, "b": known}, rounds=2, **options)
        assert abs(equal.size[0, -1] / equal.size[1, -1] - 1) < 0.02
        unequal = plan({"a": known, "b": known}, cost=[1.0, 3.0], rounds=2, **options)
        assert unequal.size[0, -1] > unequal.size[1, -1]
        assert unequal.largest_cost <= options.get("budget", np.inf)
    reach = np.prod([np.mean(known.sizes <= size) for size in equal.size[:, -1]])
    assert equal.reached[-1] == pytest.approx(reach, abs=1e-3)


def test_a_type_that_meets_its_target_is_not_collected(uniform):
    result = lc.plan_collection(KEY, {"a": uniform, "b": uniform}, target=[0.05, 0.2], risk=0.1, rounds=2)
    alone = plan(uniform, risk=0.1, rounds=2)
    np.testing.assert_array_equal(result.size, [alone.size[0], [3200.0, 3200.0]])
    assert '"b": no more examples' in result.sentence()


def test_sizes_are_whole_examples_or_not(uniform):
    assert np.all(plan(uniform, risk=0.3, rounds=3).size % 1 == 0)
    hours = Known(uniform.sizes + 0.3, measured=lc.LearningCurve(SIZE + 0.5, uniform.measured.error))
    assert np.any(plan(hours, risk=0.3, rounds=3).size % 1 > 0)


def test_a_plan_is_restored_from_json(uniform):
    result = plan(uniform, risk=0.2, rounds=2)
    fields = lc.to_dict(result)
    assert fields["sentence"] == result.sentence()
    restored = lc.from_dict(lc.CollectionPlan, parse_json(json.dumps(fields)))
    np.testing.assert_allclose(restored.size, result.size)
    assert restored.sentence() == result.sentence()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"risk": 0.1, "penalty": 1.0}, "either risk or penalty, not both, got risk=0.1 and penalty=1.0"),
        ({"risk": 1.5}, "risk is a probability between 0 and 1, got 1.5"),
        ({"risk": 0.1, "rounds": 6}, "rounds must be from 1 to 5, got 6"),
        ({"risk": 0.1, "cost": -1.0}, "cost must be 0 or positive, got -1"),
        ({"risk": 0.1, "cost": [1.0, 2.0, 3.0]}, r"one for each of 1 types, got shape \(3,\)"),
        ({"risk": 0.1, "limit": 1000.0}, "limit must be at least the 3,200 examples at hand, got 1000"),
        ({"budget": -5.0}, "budget must be positive and finite, got -5.0"),
        ({"risk": 0.1, "fixed_cost": -1.0}, "fixed_cost must be 0 or positive, got -1.0"),
        ({"risk": 0.1, "repeats": 0.0}, "repeats must be positive, got 0.0"),
        ({"risk": 0.1, "unfairness": 1.0}, "unfairness applies to a budget without a target"),
        ({"risk": 0.1, "target": 5.0}, "did you mean 0.05"),
        ({"target": None, "risk": 0.1}, "Without a target, pass a budget"),
        ({"target": None, "budget": 10.0}, "pass curves, or forecasts"),
    ],
)
def test_wrong_arguments_are_refused(uniform, options, message):
    with pytest.raises(ValueError, match=message):
        lc.plan_collection(KEY, uniform, **{"target": 0.05, **options})


def test_batches_by_name_are_refused():
    curve = lc.LearningCurve(np.tile(SIZE, (2, 1)), np.tile(2 * SIZE**-0.5, (2, 1)))
    with pytest.raises(ValueError, match="'a' has a batch of curves"):
        plan({"a": curve}, risk=0.1)
    with pytest.raises(ValueError, match="has no type of data"):
        plan({}, risk=0.1)


def test_collections_and_tables_are_planned(monkeypatch):
    """A collection, its table and a batch of one curve mean the same; only the forecast is left out."""

    def known(key, curve, draws):
        sizes = np.full((*np.shape(curve.error)[:-1], 100), 4000.0)
        sizes = np.where(np.arange(100) < 50, sizes, 4800.0)
        return Known(sizes, lc.LearningCurve(np.broadcast_to(curve.size, np.shape(curve.error)), curve.error))

    monkeypatch.setattr(sys.modules["lcjax.planning.plan_collection"], "forecast", known)
    monkeypatch.setattr(Known, "_range", lambda self: tuple(np.asarray(self.measured.size)[..., i] for i in (0, -1)))
    measured = lc.collect(lambda seed, indices: {"error": len(indices) ** -0.3}, [800, 1600, 3200], examples=3200)
    table = measured.curves()
    expected = plan(table.curve, risk=0.1)
    assert (expected.names, expected.size.tolist()) == (("",), [[4800.0]])
    for source in (measured, table, lc.LearningCurve(table.curve.size[0], table.curve.error[0])):
        assert plan(source, risk=0.1).sentence() == expected.sentence()
        assert plan({"all": source}, risk=0.1).sentence().startswith('Collect "all": 1,600 examples now')
    named = lc.read_curves({"size": SIZE, "mlp": MEASURED.error, "lenet": MEASURED.error})
    assert plan(named, risk=0.1).names == ("mlp", "lenet")
    with pytest.raises(ValueError, match="'both' has a batch of curves"):
        plan({"both": named}, risk=0.1)


@pytest.fixture(scope="module")
def ahead():
    curves = [0.02 + 2.0 * SIZE**-0.5, 0.02 + 3.0 * SIZE**-0.5]
    noise = np.exp(0.02 * np.random.default_rng(0).normal(size=(2, 6)))
    return lc.forecast(KEY, lc.LearningCurve(np.tile(SIZE, (2, 1)), np.stack(curves) * noise), draws=128)


@pytest.mark.slow
def test_required_sizes_are_those_of_the_assurance(ahead):
    """The share of required sizes up to a size is the probability that a measurement there meets the target."""
    target = np.array([0.048, 0.06])
    sizes = requirement_draws(ahead, target, np.array([3200.0, 3200.0]), whole=False)
    at = np.array([[4000.0, 6000.0, 12000.0], [5000.0, 10000.0, 30000.0]])
    expected = np.asarray(ahead.assurance(target, at))
    np.testing.assert_allclose(np.mean(sizes[:, None] <= at[..., None], axis=-1), expected, atol=0.06)


@pytest.mark.slow
def test_success_is_judged_on_the_test_set_at_hand(ahead):
    """The sampling error of the test set widens answers for the expected error, but not the sizes that are required."""
    curve = ahead.measured
    counted = lc.LearningCurve(curve.size, curve.error, test_count=np.array([500, 500]))
    target, start = np.array([0.048, 0.06]), np.array([3200.0, 3200.0])
    sizes = [requirement_draws(each, target, start) for each in (ahead, lc.forecast(KEY, counted, draws=128))]
    np.testing.assert_allclose(*sizes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_curves_are_forecast_and_planned(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        curve = lc.LearningCurve(np.asarray(SIZE, dtype), np.asarray(2 * SIZE**-0.5, dtype))
        result = lc.plan_collection(KEY, curve, target=0.025, risk=0.1, rounds=2, draws=64)
    exact = (2 / 0.025) ** 2
    assert 0.8 * exact < result.size[0, -1] < 1.5 * exact
    assert result.size.dtype == np.float64
    assert result.missing <= 0.1


@pytest.mark.slow
def test_a_budget_is_divided_by_errors_costs_and_unfairness(ahead):
    result = lc.plan_collection(KEY, ahead, budget=4000.0)
    assert result.expected_cost <= 4000.0
    assert np.sum(result.size[:, 0] - 3200) > 3900
    expensive = lc.plan_collection(KEY, ahead, budget=4000.0, cost=[1.0, 4.0])
    assert expensive.size[1, 0] < result.size[1, 0]
    price = [0.3, 1.0]
    plain, fair = (lc.plan_collection(KEY, ahead, budget=1000.0, cost=price, unfairness=u) for u in (0.0, 5.0))
    assert fair.size[1, 0] > plain.size[1, 0]
    assert result.error[0] < float(np.asarray(ahead.predict(np.array([3200.0])))[0, 0])


@pytest.mark.slow
def test_targets_of_a_metric_are_texts_and_a_value_in_place_of_an_error_is_refused():
    size = 100 * 2 ** np.arange(5)
    table = lc.read_curves({"size": size, "auroc": 1 - 2.0 * size**-0.4})
    error = np.asarray(table.curve.error)[0]
    known = plan_sources(table, target="auroc>=0.97", risk=0.1)
    assert known.target.tolist() == pytest.approx([0.03])
    assert plan_sources(table, target=float(error[-1]) * 1.01).status == "met"
    with pytest.raises(ValueError, match=r'0\.95 is an error, 1 - auroc, .* pass target="auroc>=0\.95"'):
        plan_sources(table, target=0.95)
    with pytest.raises(ValueError, match="a larger auroc is better"):
        plan_sources(table, target="auroc<=0.95")


def plan_sources(source, **options):
    return lc.plan_collection(KEY, source, draws=64, **options)


def test_earlier_plans_are_read(uniform):
    fields = lc.to_dict(plan(uniform, risk=0.2))
    fields["given_reachable"] = fields.pop("assumes_reachable")
    for name in ("alternatives", "cost_curves"):
        del fields[name]
    restored = lc.from_dict(lc.CollectionPlan, parse_json(json.dumps(fields)))
    assert (restored.assumes_reachable, restored.alternatives) == (False, None)
