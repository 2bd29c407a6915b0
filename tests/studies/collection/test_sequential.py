"""Sequential collections: where they measure, why they end, and their limits."""

import math
import re

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.collection.collect import collect
from lcjax.studies.collection.sequential import start_sizes
from lcjax.studies.fitting.fitted_curves import fit_learning_curves


def trainer(offset=0.0, exponent=0.5, noise=0.03, scale=2.0):
    def train(seed, indices):
        n = len(indices)
        deviation = np.random.default_rng([seed, n]).normal()
        return {"error": float((offset + scale * n**-exponent) * math.exp(noise * deviation))}

    return train


def interval(table, target, seed=0):
    import jax

    fitted = fit_learning_curves(jax.random.key(seed), table.curves(), target_error=target, allow_rising=True)
    answer = fitted.target.size_for_error
    return float(answer.low[0]), float(answer.high[0])


@pytest.mark.parametrize(("largest", "sizes"), [(1, [1]), (3, [1, 2]), (40, [5, 10, 20, 40]), (64_000, [1000, 8000])])
def test_first_sizes_are_small_and_double(largest, sizes):
    assert [start_sizes(largest)[0], start_sizes(largest)[-1]] == [sizes[0], sizes[-1]]
    assert all(b == 2 * a for a, b in zip(start_sizes(largest), start_sizes(largest)[1:], strict=False))


@pytest.mark.slow
def test_it_ends_when_the_interval_is_narrow_and_a_fit_gives_the_same(tmp_path):
    target = 0.02  # at 10,000 examples
    table = collect(trainer(), examples=20_000, target=target, budget="1e6 examples", folder=tmp_path)
    assert table.ending.startswith("The interval is narrow enough: the ratio of its limits is 1.")
    low, high = interval(table, target)
    assert high / low <= 2
    assert 5_000 < low < high < 20_000
    assert table.size.max() <= 20_000
    calls = []
    again = collect(
        trainer(), examples=20_000, target=target, budget="1e6 examples", folder=tmp_path, on_progress=calls.append
    )
    assert calls == []
    np.testing.assert_array_equal(again.value, table.value)


@pytest.mark.slow
def test_a_budget_is_never_exceeded_and_a_collection_goes_on(tmp_path):
    options = {"examples": 50_000, "target": "error<=0.004", "precision": 1.01, "folder": tmp_path, "repeats": 1}
    table = collect(trainer(), **options, budget="12000 examples")
    assert table.ending.startswith("The budget of 12000 examples is spent")
    assert 8_000 < table.size.sum() <= 12_000
    more = collect(trainer(), **options, budget="24000 examples")
    assert 16_000 < more.size.sum() <= 24_000
    rows = [list(zip(one.size.tolist(), one.repeat.tolist(), strict=True)) for one in (table, more)]
    assert set(rows[0]) < set(rows[1])
    small = collect(trainer(), examples=50_000, target=0.004, budget="1000 examples", repeats=2)
    assert small.ending.startswith("The budget of 1000 examples is spent")
    assert small.size.tolist() == [781]
    with pytest.raises(ValueError, match="The budget of 100 examples is too small for one training with 781 examples"):
        collect(trainer(), examples=50_000, target=0.004, budget="100 examples")


@pytest.mark.slow
def test_a_target_below_the_floor_is_out_of_reach():
    flat = trainer(offset=0.1, exponent=1.0, scale=5.0, noise=0.01)
    table = collect(flat, examples=20_000, target=0.05, budget="100 trainings")
    assert re.match(r"The target is out of reach at any size, with a probability of (more than )?9\d %\.", table.ending)
    assert len(table.size) < 100


@pytest.mark.slow
def test_seconds_are_a_budget():
    import time

    def slow(seed, indices):
        time.sleep(1e-5 * len(indices))
        return trainer()(seed, indices)

    table = collect(slow, examples=20_000, target=0.01, budget=0.4, precision=1.01)
    sizes = np.unique(table.size)
    assert np.all(sizes[1:] <= 4 * sizes[:-1])  # a time is predicted up to four times the largest size
    assert 0.1 < table.seconds.sum() < 0.8


@pytest.mark.slow
def test_a_size_that_fails_ends_it():
    def fail(seed, indices):
        if len(indices) > 3000:
            raise MemoryError("too large")
        return trainer()(seed, indices)

    table = collect(fail, examples=20_000, target=0.01, budget="50 trainings", precision=1.2)
    assert "training examples failed: MemoryError: too large" in table.ending
    assert table.failures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "2h", "sizes": [10]}, "A budget chooses sizes that are informative about a target"),
        ({"budget": "2h", "target": 0.1, "precision": 1.0}, "precision is a ratio of sizes above 1"),
        ({"budget": "soon", "target": 0.1}, "A budget is a time"),
        ({"budget": "300", "target": 0.1}, "report no metric named cost"),
        ({"budget": "9 trainings", "target": "auc>=0.9"}, "No training reports 'auc'"),
        ({"budget": "9 trainings", "target": 0.1, "sizes": [20], "max_size": 10}, "from 1 to the 10 training examples"),
        ({"sizes": [10], "task": 0}, "Tasks of an array job need sizes that are known in advance"),
        ({}, "At least one size is needed"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        collect(trainer(), examples=100, **options)


def test_costs_are_in_the_table():
    table = collect(trainer(), [10, 20], repeats=1, examples=100, cost_per_example=0.5)
    assert table.cost.tolist() == [5, 10]
    assert not table.shared
    reported = collect(lambda seed, indices: {"error": 0.1, "cost": 3.0}, [10], examples=100, cost_per_example=0.5)
    assert reported.cost.tolist() == [3, 3, 3]


def test_a_command_without_indices_needs_the_largest_size():
    command = lc.studies.Command(("train", "{size}"))
    with pytest.raises(ValueError, match="The largest size is not known"):
        collect(command, target=0.1, budget="2h")
    with pytest.raises(ValueError, match=r"only one with \{indices\} can have groups or order"):
        collect(command, [10], examples=100, order="recent")


def test_a_group_on_both_sides_is_refused():
    inputs, targets = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    data = lc.data_from_arrays(inputs, targets, groups=np.arange(100) // 5)
    table = collect(trainer(), [2, 4], repeats=1, data=data, groups=data.train.groups)
    assert table.size.tolist() == [2, 4]
    members = np.asarray(data.train.groups).copy()
    members[0] = data.test.groups[0]
    with pytest.raises(ValueError, match="is among the training and the test examples: split by group"):
        collect(trainer(), [2, 4], data=data, groups=members)


@pytest.mark.acceptance
def test_answers_narrow_at_less_cost_than_on_a_grid():
    """32 simulated curves; the same numbers are in docs/results/collection/sequential.json."""
    from benchmarks.collection.sequential import CURVES, compare, summarize

    assert len(CURVES) >= 30
    middle = summarize([compare(seed) for seed in CURVES])[1]
    width = middle["octaves"]
    assert width["sequential"] + 2 * width["standard_error"] < width["grid"]
    assert middle["covered"]["sequential"] > 0.8
