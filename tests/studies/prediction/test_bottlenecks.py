"""The bottleneck sweep, against numbers recomputed from its runs."""

import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.prediction.bottlenecks import compile_dimension, feature_count, measure_dimension
from lcjax.theory.dimension import effective_dimension, levina_bickel, spectral_dimension, two_nn
from lcjax.training import features

HALF, WIDTHS = (3, 9), (1, 2, 4)


def test_accuracies_are_those_of_the_runs(study):
    sweep, wrong = study.prediction.bottleneck, np.asarray(study.tuned.validation_wrong).reshape(2, 3, 60)
    np.testing.assert_array_equal(sweep.width, WIDTHS)
    np.testing.assert_allclose(sweep.replicates, 1 - wrong.mean(axis=2), rtol=1e-6)
    np.testing.assert_allclose(sweep.accuracy, 1 - wrong.mean(axis=(0, 2)), rtol=1e-6)
    reference = np.asarray(study.trained.validation_wrong)[list(HALF)]
    np.testing.assert_allclose(sweep.reference, 1 - reference.mean(), rtol=1e-6)
    difference = wrong.astype(float) - reference[:, None]
    # Two seeds with the same examples: rows, columns and residuals of the differences as in a two-way layout.
    assert np.all(np.asarray(sweep.difference_error) >= difference.mean(axis=0).std(axis=1) / np.sqrt(60) - 1e-6)
    expected = effective_dimension(
        np.asarray(WIDTHS), sweep.accuracy, sweep.difference_error, sweep.reference, margin=0.05, level=0.05
    )
    assert int(sweep.estimate.value) == int(expected.value)
    assert bool(sweep.estimate.established) == bool(expected.established)


def test_runs_start_from_the_networks_on_half_of_the_data(study, recipe):
    columns = study.tuned.runs.columns
    np.testing.assert_array_equal(columns["size"], [120] * 6)
    np.testing.assert_array_equal(columns["seed"], [0] * 3 + [1] * 3)
    np.testing.assert_array_equal(columns["bottleneck_width"], WIDTHS * 2)
    np.testing.assert_array_equal(columns["learning_rate"], [recipe.fine_tune_rate] * 6)
    (program,) = study.tuned.runs.programs
    assert program.budget == recipe.fine_tune
    assert program.model.largest == 4
    assert study.tuned.wrong.shape[1] == 0  # the test split is withheld


def test_nearest_neighbors_are_those_of_the_features(study, small):
    sweep = study.prediction.bottleneck

    def accuracy(result, row, method):
        own = np.asarray(features(result, row, small, shard=True, method=method), float)
        held_out = np.asarray(features(result, row, small, small.validation.inputs, method=method), float)
        nearest = np.argmin(((held_out[:, None] - own[None]) ** 2).sum(axis=2), axis=1)
        return np.mean(small.train.targets[result.shard(row)][nearest] == small.validation.targets)

    plain = np.mean([accuracy(study.trained, row, "features") for row in HALF])
    assert float(sweep.neighbor_reference) == pytest.approx(plain, abs=0.01)
    by_width = np.mean([[accuracy(study.tuned, 3 * i + j, "code") for j in range(3)] for i in range(2)], axis=0)
    np.testing.assert_allclose(sweep.neighbor_accuracy, by_width, atol=0.01)
    estimators = (two_nn, levina_bickel, spectral_dimension)
    assert list(sweep.intrinsic) == [estimate.__name__ for estimate in estimators]
    for estimate in estimators:
        values = [float(estimate(features(study.trained, row, small, shard=True)).value) for row in HALF]
        np.testing.assert_allclose(sweep.intrinsic[estimate.__name__].value, values, rtol=1e-4)


def test_features_are_counted(recipe, small):
    assert feature_count(recipe.program, small) == 16


def test_widths_below_one_are_refused(study, key, small, recipe):
    with pytest.raises(ValueError, match=r"at least 1, got \(0, 2\)"):
        measure_dimension(key, small, recipe, study.trained, HALF, widths=(0, 2))


TRACES = []


def traced_loss(outputs, targets):
    if len(targets) > 2:  # the check of a program evaluates shapes for two examples, which compiles nothing
        TRACES.append(outputs.shape)
    return lc.cross_entropy(outputs, targets)


@pytest.mark.slow
def test_what_is_compiled_ahead_is_not_traced_again(study, key, small, recipe, tmp_path):
    """Compiling ahead trains nothing and leaves no folder."""
    recipe = dataclasses.replace(recipe, program=dataclasses.replace(recipe.program, objective=traced_loss))
    runs = study.trained.runs.rows(list(HALF))
    compile_dimension(key, small, recipe, runs, widths=WIDTHS, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    count = len(TRACES)
    assert count > 0
    measure_dimension(key, small, recipe, study.trained, HALF, widths=WIDTHS, folder=tmp_path)
    assert len(TRACES) == count


@pytest.mark.slow
def test_neighbors_are_restored_with_the_runs(study, key, small, recipe, tmp_path, monkeypatch):
    arguments = key, small, recipe, study.trained, HALF
    first = measure_dimension(*arguments, widths=WIDTHS, folder=tmp_path)
    monkeypatch.setattr("lcjax.studies.prediction.bottlenecks.features", None)
    again = measure_dimension(*arguments, widths=WIDTHS, folder=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again, first)
