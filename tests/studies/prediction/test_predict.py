"""The prediction study: what it may look at, what it keeps, and that its parts are what it says."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.records import from_dict
from lcjax.studies.prediction.caveats import caveats
from lcjax.studies.prediction.predict import FRACTIONS, _power_law, predict_learning_curve
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.recipes import mlp_recipe
from lcjax.theory.gaussian import fit_gaussian
from lcjax.theory.pca import fit_pca
from lcjax.training.evaluation import features
from lcjax.training.sweep import sweep

KEY = jax.random.key(0)
ONE = {"seeds": 1, "dimension": 2, "draws": 8, "laws": (lc.laws.hypercube,)}  # arrays of one shape: compiled once


@pytest.fixture(scope="module")
def digits():
    return lc.load_data("digits")


@pytest.fixture(scope="module")
def quick(digits):
    recipe = mlp_recipe(digits).with_budget(steps=200)
    return dataclasses.replace(recipe, fine_tune=dataclasses.replace(recipe.fine_tune, steps=100))


@pytest.fixture(scope="module")
def result(digits, quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    prediction = predict_learning_curve(
        KEY, digits, quick, seeds=2, widths=(1, 2, 4), target_error=0.02, draws=40, folder=folder
    )
    return prediction, folder


def test_record_is_complete(result, digits):
    prediction, _ = result
    n = len(digits.train.targets)
    np.testing.assert_array_equal(prediction.measured.size, [round(n * fraction) for fraction in FRACTIONS])
    assert prediction.measured.replicates.shape == (2, 7)
    assert prediction.fitted.tolist() == [True] * 4 + [False] * 3
    d = int(prediction.dimension)
    assert d == int(prediction.bottleneck.estimate.value)
    assert prediction.train.mean.shape == prediction.test.mean.shape == (2, d)
    assert set(prediction.predicted) == {"hypercube", "poisson", "power_law"}
    for name, curve in prediction.predicted.items():
        assert float(curve.size[-1]) == pytest.approx(10 * n)
        low, high = prediction.interval[name]
        assert np.all(low <= high)
        assert np.all(np.diff(np.asarray(curve.error)) <= 0)
        answer = prediction.size_for_target[name]
        assert answer.low <= answer.value <= answer.high
        assert prediction.held_out_log_error[name].shape == (3,)


def test_held_out_error_is_that_of_the_curves(result):
    prediction, _ = result
    for name, curve in prediction.predicted.items():
        at = np.searchsorted(curve.size, np.asarray(prediction.measured.size)[4:])
        expected = np.log(np.asarray(curve.error)[at] / np.asarray(prediction.measured.error)[4:])
        np.testing.assert_allclose(prediction.held_out_log_error[name], expected, rtol=1e-5)


def test_size_for_target_inverts_the_curve(result):
    prediction, _ = result
    for name, curve in prediction.predicted.items():
        size = float(prediction.size_for_target[name].value)
        log_size = np.interp(-np.log(0.02), -np.log(np.asarray(curve.error)), np.log(curve.size))
        if size < curve.size[-1]:
            assert np.log(size) == pytest.approx(log_size, abs=0.1)


def test_files_hold_the_prediction_before_and_after_the_test_labels(result, digits):
    prediction, folder = result
    before = json.loads((folder / "prediction.json").read_text())
    after = json.loads((folder / "result.json").read_text())
    assert before["prediction"]["measured"] is None
    assert before["prediction"]["held_out_log_error"] == {}
    unchanged = {k: v for k, v in after["prediction"].items() if k not in ("measured", "held_out_log_error")}
    assert unchanged == {k: before["prediction"][k] for k in unchanged}
    assert after["environment"]["versions"]["jax"] == jax.__version__
    assert "caveats" not in before
    assert after["caveats"] == caveats(prediction, chance_error=digits.chance_error(), target_error=0.02)
    back = from_dict(Prediction, after["prediction"])
    np.testing.assert_allclose(back.measured.error, prediction.measured.error, rtol=1e-6)
    np.testing.assert_allclose(back.predicted["poisson"].error, prediction.predicted["poisson"].error, rtol=1e-6)


def test_test_labels_do_not_reach_the_prediction(result, digits, quick):
    """With every test label replaced by another one the prediction is the same and the measured error is not."""
    prediction, _ = result
    test = dataclasses.replace(digits.test, targets=(digits.test.targets + 1) % 10)
    other = predict_learning_curve(
        KEY, dataclasses.replace(digits, test=test), quick, seeds=2, widths=(1, 2, 4), target_error=0.02, draws=40
    )
    for name, curve in prediction.predicted.items():
        np.testing.assert_array_equal(curve.error, other.predicted[name].error)
        np.testing.assert_array_equal(prediction.interval[name], other.interval[name])
    assert np.all(other.measured.error > 0.5)


def test_gaussians_are_those_of_the_half_nets_features(result, digits, quick):
    """Redone step by step for one seed with NumPy: shard, features, principal components, moments."""
    prediction, _ = result
    half = round(len(digits.train.targets) / 2)
    columns = {"size": np.array([half]), "seed": np.array([1]), "learning_rate": np.array([quick.learning_rate])}
    runs = lc.Runs((quick.program,), np.array([0]), columns)
    trained = sweep(jax.random.fold_in(KEY, 0), digits.without_test(), runs, keep=np.array([True]))
    own = features(trained, 0, digits, shard=True)
    assert own.shape == (half, 64)
    values = np.sort(np.linalg.eigvalsh(np.cov(own.T, bias=True)))[::-1]
    covariance = np.asarray(prediction.train.covariance)[1]
    d = covariance.shape[0]
    np.testing.assert_allclose(np.diag(covariance), values[:d], rtol=2e-3)
    components = fit_pca(own, d)
    held_out = fit_gaussian(components.project(features(trained, 0, digits, digits.validation.inputs)))
    np.testing.assert_allclose(
        np.linalg.det(held_out.covariance), np.linalg.det(np.asarray(prediction.test.covariance)[1]), rtol=1e-2
    )


def test_finished_trainings_are_not_repeated(result, digits, quick):
    _, folder = result
    calls = []
    again = predict_learning_curve(
        KEY, digits, quick, seeds=2, widths=(1, 2, 4), target_error=0.02, draws=40, folder=folder,
        on_progress=lambda stage, done, total: calls.append((stage, done, total)),
    )  # fmt: skip
    np.testing.assert_array_equal(again.measured.error, result[0].measured.error)
    assert all(done == total for stage, done, total in calls if stage.startswith(("train", "fine-tune")))


def test_paper_protocol_uses_test_errors_and_features(digits, quick):
    ours, paper = (
        predict_learning_curve(KEY, digits, quick, paper_protocol=protocol, **ONE) for protocol in (False, True)
    )
    np.testing.assert_array_equal(ours.measured.error, paper.measured.error)
    np.testing.assert_array_equal(ours.train.covariance, paper.train.covariance)
    assert not np.array_equal(ours.test.covariance, paper.test.covariance)
    assert not np.array_equal(ours.radius["hypercube"], paper.radius["hypercube"])
    assert paper.paper_protocol


def test_regression_runs_on_the_same_path():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1598, 4)).astype(np.float32)
    targets = np.tanh(inputs[:, 0] + 0.5 * inputs[:, 1]).astype(np.float32)
    parts = [lc.Examples(inputs[part], targets[part]) for part in (slice(1198), slice(1198, 1398), slice(1398, 1598))]
    data = lc.Data(*parts, name="surface")
    recipe = mlp_recipe(data).with_budget(steps=400)
    prediction = predict_learning_curve(KEY, data, recipe, **ONE)
    assert prediction.measured.error[-1] < prediction.measured.error[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds"),
        ({"fractions": (0.75, 1.0)}, "below 0.5"),
        ({"fractions": (0.1, 0.2, 1.1)}, "1.1"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": 65}, "65"),
        ({"target_error": 0.0}, "target_error"),
        ({"beyond": 0.5}, "beyond"),
        ({"margin": -0.1}, "margin must lie in"),
        ({"draws": 1}, "at least 2 draws, got 1"),
        ({"dimension": None, "widths": (1, 65)}, r"dimension must lie in \[1, 64\].*\(1, 65\)"),
    ],
)
def test_arguments_outside_their_range(change, message, digits, quick):
    options = {**ONE, **change}
    with pytest.raises(ValueError, match=message):
        predict_learning_curve(KEY, digits, quick, **options)


def test_too_many_dimensions_are_refused_before_training(digits, quick):
    calls = []
    with pytest.raises(ValueError, match="65"):
        predict_learning_curve(KEY, digits, quick, dimension=65, on_progress=lambda *stage: calls.append(stage))
    assert calls == []


def test_sizes_without_a_mistake_or_without_a_right_answer_leave_the_power_law_finite():
    """Neither has a spread to weigh it by; what they say is half a mistake, and 1 %."""
    size = np.array([10.0, 20.0, 40.0, 80.0])
    error = np.array([1.0, 0.4, 0.16, 0.0], np.float32)
    points = lc.LearningCurve(size, error, np.array([0.0, 0.05, 0.03, 0.0], np.float32), test_count=np.asarray(100))
    fits = _power_law(error[None], points, np.array([10.0, 40.0]), None)
    np.testing.assert_allclose(fits.error[0], [1.0, 0.16], rtol=0.15)
    assert float(fits.exponent[0]) == pytest.approx(np.log(0.4) / np.log(2), abs=0.1)


def test_another_key_shares_a_folder(digits, quick, tmp_path):
    """Results of two keys on the same data lie side by side: neither is refused, nor taken for the other."""
    together = [predict_learning_curve(jax.random.key(i), digits, quick, folder=tmp_path, **ONE) for i in (0, 1)]
    alone = predict_learning_curve(jax.random.key(1), digits, quick, **ONE)
    np.testing.assert_array_equal(together[1].validation.error, alone.validation.error)
    assert not np.array_equal(together[0].validation.error, alone.validation.error)


def test_divergence_names_the_run(digits, quick):
    diverging = dataclasses.replace(quick, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"diverged.*learning rate"):
        predict_learning_curve(KEY, digits, diverging, **ONE)


@pytest.mark.slow
def test_mnist_and_lenet(shared_data):
    """The acceptance run: three seeds of LeNet on MNIST; about ten minutes on two cores."""
    from lcjax.studies.recipes import lenet_recipe

    data = lc.load_data(f"idx:{shared_data / 'mnist'}")
    prediction = predict_learning_curve(KEY, data, lenet_recipe(data), seeds=3)
    assert np.max(prediction.measured.train_error) <= 0.001
    assert np.abs(prediction.held_out_log_error["power_law"]).max() < 0.5
