"""Laws of one task: known power laws are recovered from their scores, and scores are those of the runs."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.data.subsets import random_order
from lcjax.models.sequence_losses import token_cross_entropy, token_mistakes, tokens_of
from lcjax.studies.ranking.task import RankedTask, chance_error
from lcjax.studies.ranking.task_curve import fit_task, measure_task
from lcjax.training import Budget, Scoring, constant, epochs
from lcjax.training.execution.permutations import orders_of
from lcjax.training.execution.step import ORDER

SIZE = np.array([10, 40, 160, 640, 2560, 10240])


def test_a_power_law_comes_back(key, known_scores):
    curve = fit_task(key, known_scores(-0.4, noise=0.01, guess=0.8), "error")
    np.testing.assert_array_equal(curve.fitted, [False, True, True, True, True, True])
    assert curve.exponent == pytest.approx(-0.4, abs=0.02)
    low, high = curve.interval()
    assert low < -0.4 < high
    assert high - low < 0.05
    narrow = curve.interval(0.5)
    assert low < narrow[0] < narrow[1] < high
    law = curve.law()
    assert (law["exponent"], law["low"], law["high"]) == (curve.exponent, low, high)
    error = np.asarray(curve.curve.error)[1:]
    relative = law["scale"] * SIZE[1:].astype(float) ** law["exponent"] / error - 1
    assert law["relative_error"] == pytest.approx(np.sqrt(np.mean(relative**2)), rel=1e-3)
    np.testing.assert_array_equal(curve.best_parameters[1:], 10000)
    assert int(curve.curve.test_count) == 1000


def test_the_validation_set_decides_what_is_fitted(key, known_scores):
    scores = known_scores(-0.4, guess=0.8)
    test = {"error": scores.test["error"] * np.array([0.1, 1, 1, 1, 1, 1])}  # by chance far below the plateau
    curve = fit_task(key, dataclasses.replace(scores, test=test), "error")
    np.testing.assert_array_equal(curve.fitted, [False, True, True, True, True, True])
    validation = {"error": np.where(SIZE == 160, 0.8, scores.validation["error"])}
    curve = fit_task(key, dataclasses.replace(scores, validation=validation), "error")
    np.testing.assert_array_equal(curve.fitted, [False, False, False, True, True, True])
    assert curve.fixed is None  # three fitted sizes
    at_limit = {"error": np.where(SIZE == 160, 0.95 * 0.8, scores.validation["error"])}
    assert fit_task(key, dataclasses.replace(scores, validation=at_limit), "error").fitted[1]


def test_models_of_fixed_size_have_their_own_offset(key, known_scores):
    curve = fit_task(key, known_scores(-0.5, scale=1.5, guess=2.0), "error")
    np.testing.assert_array_equal(curve.fixed_parameters, [100, 1000, 10000])
    np.testing.assert_allclose(curve.fixed.parameters["offset"], [0.3, 0.1, 0.0], atol=1e-6)
    np.testing.assert_allclose(curve.fixed_relative_error, 0, atol=1e-6)
    laws = curve.fixed_laws()
    assert [law["parameters"] for law in laws] == [100, 1000, 10000]
    np.testing.assert_allclose([(law["exponent"], law["scale"]) for law in laws], [(-0.5, 1.5)] * 3, atol=1e-4)
    np.testing.assert_allclose([law["offset"] for law in laws], [0.3, 0.1, 0.0], atol=1e-6)


@pytest.mark.slow
def test_the_best_model_grows_with_the_data(key, scores_from):
    """Model g is best at its own sizes: parameters 100 * 10^g, where the size grows by 16 per step in g."""
    scores = np.full((6, 2, 6), 0.5)
    for model in range(3):
        scores[2 * model, :, 2 * model : 2 * model + 2] = 0.5 * 0.8 ** np.arange(2 * model, 2 * model + 2)
    curve = fit_task(key, scores_from(scores), "error")
    np.testing.assert_array_equal(curve.best_parameters, [100, 100, 1000, 1000, 10000, 10000])
    expected = np.polyfit(np.log(SIZE), np.log(curve.best_parameters), 1)[0]
    assert float(curve.model_size.exponent) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_fitted_where_nothing_is_learned(key, known_scores):
    curve = fit_task(key, known_scores(-0.01, scale=5.0), "error")
    assert not curve.fitted.any()
    assert curve.fit is None
    assert np.isnan([curve.exponent, *curve.interval()]).all()
    assert curve.law() is None
    assert curve.fixed_laws() == ()


def test_failed_runs_are_absent(key, known_scores):
    scores = known_scores(-0.4, noise=0.01)
    scores.validation["error"][:, 0] = np.nan
    scores.test["error"][:, 0] = np.nan
    assert fit_task(key, scores, "error").exponent == pytest.approx(-0.4, abs=0.02)


@pytest.mark.slow
def test_scores_are_those_of_a_sweep(key, tasks):
    task = dataclasses.replace(tasks[0], sizes=(16, 64))
    scores = measure_task(key, task, seeds=2)
    np.testing.assert_array_equal(scores.parameters, [14, 14, 74, 74])
    np.testing.assert_array_equal(scores.learning_rate, [0.03, 0.003] * 2)
    for h, (program, rate) in enumerate((p, r) for p in task.programs for r in task.rates):
        runs = lc.Runs.grid(program, learning_rate=rate, seed=range(2), size=task.sizes)
        alone = lc.sweep(key, task.data, runs)
        for name, part in (("test", alone.test_error), ("validation", alone.validation_error[:, -1])):
            np.testing.assert_allclose(getattr(scores, name)["error"][h], runs.unstack(part), atol=2.1 / 400)
        np.testing.assert_allclose(scores.test["loss"][h], runs.unstack(alone.test_loss), rtol=1e-3)
        np.testing.assert_allclose(scores.validation["loss"][h], runs.unstack(alone.validation_loss[:, -1]), rtol=1e-3)
    assert scores.guess["error"] == chance_error(task.data, "error")
    assert scores.validation_guess["loss"] == chance_error(task.data.without_test(), "loss")
    assert scores.test_count == 400
    assert set(scores.test) == {"loss", "error"}  # two classes have no top 5


def test_top5_is_that_of_ten_classes(key, small, recipe):
    program = dataclasses.replace(recipe.program, budget=Budget(steps=20, records=1))
    task = RankedTask("digits", "images", small, (program,), (3e-3,), (10, 240))
    scores = measure_task(key, task, seeds=1)
    assert np.all(scores.test["top5"] < scores.test["error"])
    assert scores.guess["top5"] == chance_error(small, "top5") < scores.guess["error"]
    runs = lc.Runs.grid(program, learning_rate=3e-3, seed=0, size=task.sizes)
    result = lc.sweep(key, small, runs, keep=np.ones(2, bool))
    for name, part in (("test", small.test), ("validation", small.validation)):
        wrong = lc.evaluate(result, small, part, top=5).mean(axis=1)
        np.testing.assert_allclose(getattr(scores, name)["top5"][0, 0], wrong, atol=2.1 / 60)


@pytest.fixture(scope="module")
def sequences():
    """A task that copies sequences of 2 to 6 of 5 tokens."""
    generator = np.random.default_rng(0)
    length = generator.integers(2, 7, 60)
    inside = np.arange(6) < length[:, None]
    tokens = np.where(inside, generator.integers(0, 5, (60, 6)), 0).astype(np.int32)
    part = lc.Examples(tokens, np.where(inside, tokens, -1).astype(np.int32))
    data = lc.Data(part, part, part, classes=5, name="copy")
    program = lc.Program(
        lc.models.CharacterLanguageModel(5, 4, depth=1), token_cross_entropy, optax.adam, constant, 8,
        Budget(steps=10), epochs, scoring=Scoring(tokens_of, token_mistakes),
    )  # fmt: skip
    task = RankedTask("copy", "toy", data, (program,), (0.01,), (15, 30, 60), "loss", "tokens", True)
    return task, length, tokens[inside]


def test_sizes_in_tokens_and_losses_per_token(key, sequences):
    task, length, tokens = sequences
    scores = measure_task(key, task, seeds=2, shards=lc.data.independent_shards)
    streams = [jax.random.fold_in(jax.random.fold_in(key, seed), ORDER) for seed in range(2)]
    orders = [lc.data.independent_orders(stream, 60, task.sizes) for stream in streams]
    held = [[length[order[:n]].sum() for order, n in zip(rows, task.sizes, strict=True)] for rows in orders]
    np.testing.assert_array_equal(scores.units, np.mean(held, axis=0))
    assert scores.units[-1] == scores.test_count == length.sum()
    assert set(scores.validation) == {"loss", "error"}
    counts = np.bincount(tokens, minlength=5)
    loss = -np.sum(counts * np.log((counts + 1) / (counts.sum() + 5))) / counts.sum()
    assert scores.guess["loss"] == pytest.approx(loss)
    assert scores.guess["error"] == pytest.approx(1 - counts.max() / counts.sum())


def test_sizes_in_tokens_of_nested_shards(key, sequences):
    """Without training."""
    task, length, _ = sequences
    runs = lc.Runs.grid(task.programs[0], seed=range(2), size=task.sizes, learning_rate=1.0)
    orders, order = orders_of(key, task.data, runs)
    absent = {f.name: None for f in dataclasses.fields(lc.SweepResult)}
    nested = task.units(lc.SweepResult(**{**absent, "runs": runs, "orders": orders, "order": order}))
    streams = [jax.random.fold_in(jax.random.fold_in(key, seed), ORDER) for seed in range(2)]
    held = [np.cumsum(length[random_order(stream, 60)])[[14, 29, 59]] for stream in streams]
    np.testing.assert_array_equal(nested, np.mean(held, axis=0))
