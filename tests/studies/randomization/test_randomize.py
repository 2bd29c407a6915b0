"""Randomization tests: training under every condition, and the quantities derived from the records."""

import dataclasses

import jax
import numpy as np
import pytest

from lcjax.studies.randomization import randomize
from lcjax.studies.randomization.cases import Case, condition_cases
from lcjax.studies.randomization.nets import NETS, Net
from lcjax.studies.randomization.randomize import randomization_tests
from lcjax.studies.randomization.recipe import RandomizationRecipe

SIZE = 60
NET = Net("mlp-1x64", lambda classes: NETS["mlp-1x512"].build(classes).clone(widths=(64,)), 0.05, 1e-4)
RECIPE = RandomizationRecipe(600, batch=20, records=20, stop_when_fit=True)


@pytest.fixture(scope="module")
def null(key, digits, tmp_path_factory):
    """Run every condition once."""
    folder, events = tmp_path_factory.mktemp("randomize"), []
    cases = condition_cases([(NET, SIZE)], levels=3)
    options = {"folder": str(folder), "top": 3}
    tests = randomization_tests(key, digits, cases, RECIPE, on_progress=events.append, **options)
    return tests, cases, options, events


def test_every_condition_is_fitted_and_only_the_true_ones_are_learned(null):
    tests, *_ = null
    assert tests.condition == (
        "true labels", "corrupted labels", "random labels", "shuffled pixels", "random pixels", "gaussian pixels"
    )  # fmt: skip
    np.testing.assert_array_equal(tests.final_train_error, 0)
    error = dict(zip(tests.condition, tests.test_error, strict=True))
    assert error["true labels"] < 0.35
    assert error["shuffled pixels"] < 0.35
    assert error["true labels"] + 0.1 < error["corrupted labels"] < error["random labels"]
    for name in ("random labels", "random pixels", "gaussian pixels"):
        assert 0.8 < error[name] < 0.97  # 359 test examples, ten classes: chance
    assert tests.slowdown[0] == 1
    assert tests.slowdown[2] > 1.2
    np.testing.assert_allclose(tests.slowdown, tests.steps_to_fit / tests.steps_to_fit[0])
    np.testing.assert_allclose(tests.slowdown_of_loss, tests.steps_to_loss / tests.steps_to_loss[0])


def test_rules_are_read_off_the_records(null):
    tests, *_ = null
    for row in range(6):
        step, loss, error = tests.recorded_step[row], tests.train_loss[row], tests.train_error[row]
        for actual, met in ((tests.steps_to_fit, error == 0), (tests.steps_to_loss, loss <= 0.1)):
            expected = step[np.flatnonzero(met)[0]] if met.any() else np.nan
            np.testing.assert_equal(actual[row], expected)
        assert tests.best_held_out_error[row] == tests.held_out_error[row].min()
        assert tests.final_train_error[row] == tests.train_error[row, -1]
    parameters = 64 * 64 + 64 + 64 * 10 + 10
    np.testing.assert_array_equal(tests.parameters, parameters)
    np.testing.assert_allclose(tests.ratio, parameters / SIZE)
    np.testing.assert_allclose(tests.corruption, [0, 0.5, 1, 0, 0, 0])
    assert tests.rows(condition="true labels", crop=False).tolist() == [0]
    assert tests.rows(crop=True).tolist() == []
    assert tests.plain.all()
    assert tests.seconds > 0


def test_labels_among_the_largest_outputs_count_where_asked(null):
    tests, *_ = null
    assert tests.top == 3
    np.testing.assert_array_equal(tests.final_train_top_error, 0)  # on the labels that the run used
    assert np.all(tests.test_top_error < tests.test_error)
    chance = dict(zip(tests.condition, tests.test_top_error, strict=True))["random labels"]
    assert 0.55 < chance < 0.85  # three of ten classes


def test_runs_are_restored(null, key, digits):
    tests, cases, options, events = null
    assert {event.stage for event in events} == {"train"}
    events = []
    again = randomization_tests(key, digits, cases, RECIPE, on_progress=events.append, **options)
    for name in ("test_error", "test_top_error", "train_loss"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tests, name))
    assert all(event.done == event.total for event in events)


def changed(tests, **fields):
    """Return three runs on true labels, with other fields."""
    rows = {field.name: getattr(tests, field.name) for field in dataclasses.fields(tests)}
    arrays = {name: value[:3] for name, value in rows.items() if isinstance(value, np.ndarray) and value.ndim}
    named = {"condition": ("true labels",) * 3, "net": ("a",) * 3}
    return dataclasses.replace(tests, **{**arrays, **named, **fields})


def test_gains_are_differences_of_test_errors(null):
    tests, *_ = null
    held_out = np.array([[0.5, 0.4], [0.3, 0.35], [0.5, 0.5]])
    fields = {
        "decay": np.array([True, False, False]),
        "dropout": np.array([False, False, True]),
        "test_error": np.array([0.2, 0.3, 0.35]),
        "held_out_error": held_out,
        "best_held_out_error": held_out.min(axis=1),
    }
    one = changed(tests, **fields)
    assert [one.regularizers(row) for row in range(3)] == ["weight decay", "", "dropout"]
    assert one.plain.tolist() == [False, True, False]
    assert one.rows(dropout=True).tolist() == [2]
    assert one.gains() == ["Gain in accuracy (%), a: weight decay +10.00; dropout -5.00; early stopping +5.00"]
    off = {name: np.zeros(3, bool) for name in ("decay", "dropout")}
    nets = changed(tests, **{**fields, **off, "net": ("a", "a-without-norm", "b")})
    assert nets.gains()[1:] == [
        "Gain from BatchNorm, a: +10.00",
        "Gain in accuracy (%), a-without-norm: early stopping +5.00",
        "Gain in accuracy (%), b: early stopping +0.00",
        "Gain from the architecture, a over b: +15.00",
    ]


def test_runs_compare_with_true_labels_of_their_own_network_size_and_seed():
    cases = [Case(NET, 20), Case(NET, 20, "random labels"), Case(NET, 20, seed=1), Case(NET, 20, decay=True)]
    values = randomize._on_true_labels(cases, np.array([2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(values, [2, 2, 4, 2])
    assert np.isnan(randomize._on_true_labels([Case(NET, 30, "random labels")], np.ones(1))).all()


def test_at_most_2000_balanced_validation_examples_are_scored(digits):
    part = randomize._take(digits.train, 100)
    assert len(part.targets) == 100
    counts, shares = (np.bincount(p.targets, minlength=10) / len(p.targets) for p in (part, digits.train))
    np.testing.assert_allclose(counts, shares, atol=0.011)
    assert randomize._take(digits.test, 359) is digits.test


def test_bad_input(key, digits):
    for top in (0, 11):
        with pytest.raises(ValueError, match=rf"top must lie in \[1, 10\].*got {top}"):
            randomization_tests(key, digits, [Case(NET, 20)], RECIPE, top=top)
    with pytest.raises(ValueError, match=r"crops of \[28, 299\] pixels"):
        randomization_tests(key, digits, [Case(NETS["inception-v3"], 20), Case(NET, 20)], RECIPE)
    diverging = dataclasses.replace(NET, learning_rate=1e30)
    with pytest.raises(ValueError, match="1 of 1 trainings diverged"):
        randomization_tests(jax.random.key(1), digits, [Case(diverging, 20)], RECIPE)
