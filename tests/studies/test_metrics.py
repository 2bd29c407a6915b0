"""Errors of quantities in the unit of their targets, which training does not depend on."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.curves.metrics import METRICS
from lcjax.models.losses import mean_squared_error
from lcjax.studies.metrics import chance_error, choose_metric, measure_runs, needs_networks
from lcjax.training import Budget, cosine, epochs
from lcjax.training.scoring import standardize_targets, to_predictions

KEY = jax.random.key(0)
UNITS = [(1.0, 0.0), (2.0**17, 2.0**21), (2.0**-13, -(2.0**-11))]  # powers of two round alike


def task(scale, offset):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(240, 3)).astype(np.float32)
    targets = np.float32(inputs @ [1.0, -2.0, 0.5] + 0.3 * generator.normal(size=240))
    tolerance = 0.5 * scale
    return lc.data_from_arrays(inputs, np.float64(targets) * scale + offset, tolerance=tolerance, name="numbers")


@pytest.fixture(scope="module")
def program():
    model = lc.models.MLP((8,), 1)
    return lc.Program(model, mean_squared_error, optax.adam, cosine, 16, Budget(steps=60), epochs)


def train(data, program):
    runs = lc.Runs.grid(program, size=[40, 160], seed=[0, 1], learning_rate=0.01)
    return lc.sweep(KEY, data, runs, keep=np.ones(4, bool))


@pytest.fixture(scope="module")
def trained(program):
    return [(task(*unit), train(task(*unit), program)) for unit in UNITS]


@pytest.mark.slow
def test_training_does_not_depend_on_the_unit_of_the_targets(trained):
    (_, first), *others = trained
    for (scale, _), (_, result) in zip(UNITS[1:], others, strict=True):
        np.testing.assert_allclose(result.test_loss, first.test_loss * scale**2, rtol=0.01)
        assert np.mean(result.wrong == first.wrong) > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rmse", "mae"])
def test_errors_are_those_of_the_predictions_in_the_unit_of_the_targets(trained, name):
    for data, result in trained:
        metric = METRICS[name]
        errors = measure_runs(result, data, metric)
        for row in range(4):
            predicted = lc.features(result, row, data, data.test.inputs, method="__call__")[:, 0]
            apart = np.float64(predicted) - np.float64(data.test.targets)
            expected = np.sqrt(np.mean(apart**2)) if name == "rmse" else np.mean(np.abs(apart))
            np.testing.assert_allclose(metric.from_error(errors.test[row]), expected, rtol=1e-4)
            np.testing.assert_array_equal(np.abs(apart) > data.tolerance, result.wrong[row])
        assert np.all(errors.validation[[1, 3]] < chance_error(data, metric) / 2)


def square(outputs, targets):
    return mean_squared_error(outputs, targets)


@pytest.mark.slow
def test_losses_and_networks_give_the_same_rmse(trained, program):
    data, result = trained[1]
    assert not needs_networks([program], METRICS["rmse"])
    other = dataclasses.replace(program, objective=square)
    assert needs_networks([other], METRICS["rmse"])
    runs = dataclasses.replace(result.runs, programs=(other,))
    for by_loss, by_network in zip(
        measure_runs(result, data, METRICS["rmse"]),
        measure_runs(dataclasses.replace(result, runs=runs), data, METRICS["rmse"]),
        strict=True,
    ):
        np.testing.assert_allclose(by_network, by_loss, rtol=1e-4)


@pytest.mark.slow
def test_a_curve_is_measured_in_the_unit_of_the_targets(program):
    data = task(2.0**17, 2.0**21)
    arguments = {"fractions": (0.05, 1.0), "seeds": 2, "grid": {"learning_rate": [0.01]}}
    measured = {
        name: lc.measure_learning_curve(KEY, data, [program], metric=name, **arguments) for name in (None, "mae")
    }
    assert [one.metric.name for one in measured.values()] == ["rmse", "mae"]
    for one in measured.values():
        values = one.metric.from_error(np.asarray(one.curve.error, float))
        assert np.all((values > 0.2 * 2**17) & (values < 3 * 2**17))
        assert values[1] < values[0]
        assert one.curve.test_count is None
    rate = lc.measure_learning_curve(KEY, data, [program], metric="error", **arguments)
    assert np.all(rate.curve.error <= 1)
    assert rate.curve.test_count == len(data.test.targets)


def test_predictions_and_standardized_targets_are_inverse():
    data = task(2.0**17, 2.0**21)
    targets = jax.numpy.asarray(data.train.targets)
    standardized = standardize_targets(data, targets)
    assert abs(np.mean(np.asarray(standardized))) < 1e-5
    np.testing.assert_allclose(np.std(standardized), 1, rtol=1e-5)
    np.testing.assert_allclose(to_predictions(data, standardized), targets, rtol=1e-6)


def test_metrics_of_the_wrong_kind_are_refused(program):
    data = task(1.0, 0.0)
    assert choose_metric(data, dataclasses.replace(METRICS["mae"], unit="EUR")).unit == "EUR"
    with pytest.raises(ValueError, match=r"The metric of numbers must be error, rmse or mae, got 'auroc'"):
        choose_metric(data, "auroc")
    with pytest.raises(ValueError, match=r"the RMSE of the best constant prediction, 2\.\d+, got 10"):
        lc.measure_learning_curve(
            KEY, data, [program], grid={"learning_rate": [0.01]}, target_error=10.0, fractions=(0.2, 0.4, 0.6, 1.0)
        )
