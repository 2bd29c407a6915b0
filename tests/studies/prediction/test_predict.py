"""The prediction study: the data that it uses, its files, and its score."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.records import from_dict
from lcjax.studies.prediction.caveats import caveats
from lcjax.studies.prediction.record import Prediction
from lcjax.studies.recipes import mlp_recipe
from tests.problems import stream


def again(key, data, recipe, options, **changes):
    return lc.predict_learning_curve(key, data, recipe, **{**options, **changes})


def test_record_is_complete(study, small, options):
    prediction = study.prediction
    size = [24, 48, 72, 120, 180, 240]
    np.testing.assert_array_equal(prediction.measured.size, size)
    np.testing.assert_array_equal(prediction.validation.size, size)
    assert prediction.measured.replicates.shape == (2, 6)
    assert prediction.fitted.tolist() == [True] * 3 + [False] * 3
    d = int(prediction.dimension)
    assert d == int(prediction.bottleneck.estimate.value)
    assert prediction.train_density.mean.shape == prediction.test_density.mean.shape == (2, d)
    names = ["hypercube", "hypercube_squared", "distances", "nearest_neighbor", "power_law", "forecast"]
    assert list(prediction.methods) == list(prediction.refitted) == names
    assert list(prediction.held_out) == ["answer", *names]
    assert prediction.exponent == float(prediction.methods["power_law"].parameters["exponent"])
    assert prediction.methods["hypercube"].parameters["radius"].shape == (2,)
    for name, method in prediction.methods.items():
        curve = method.curve
        assert set(size) <= set(np.asarray(curve.size).tolist())
        assert float(curve.size[-1]) == pytest.approx(10 * 240)
        low, high = method.interval
        assert np.all(low <= high)
        assert name == "forecast" or np.all(np.diff(np.asarray(curve.error)) <= 0)
        answer = method.size_for_error
        assert answer.low <= answer.high
        assert answer.level == 0.9
        assert prediction.held_out[name].log_error.shape == (3,)
        assert float(prediction.refitted[name].size_for_error.largest) == 240
    assert not prediction.paper_protocol
    assert list(prediction.exponents) == ["1/d", "2/d", "4/d"]
    assert list(prediction.held_out_features) == ["distances", "hypercube"]


def test_the_answer_averages_the_refitted_methods(study):
    prediction, answer = study.prediction, study.prediction.answer
    assert sum(float(weight) for weight in answer.weights.values()) == pytest.approx(1)
    assert max(answer.weights, key=lambda name: float(answer.weights[name])) == "forecast"
    assert answer.split == "test"
    curves = np.stack([np.asarray(method.curve.error) for method in prediction.refitted.values()])
    error, (low, high) = np.asarray(answer.curve.error), np.asarray(answer.interval)
    assert np.all((curves.min(axis=0) <= 1.1 * error) & (error <= 1.1 * curves.max(axis=0)))
    assert np.all((low <= error) & (error <= high))
    measured_low, measured_high = np.asarray(answer.predictive)
    assert np.all((measured_low <= 1.01 * low) & (high <= 1.01 * measured_high))
    assert answer.log_draws.shape == (2000, len(error))
    np.testing.assert_allclose(np.median(np.exp(answer.log_draws), axis=0), error, rtol=1e-6)
    size = answer.size_for_error
    assert size.low <= size.value <= size.high
    assert float(size.largest) == 240


def test_the_shift_is_that_of_the_measured_errors(study):
    prediction, shift = study.prediction, study.prediction.answer.shift
    expected = np.log(np.asarray(prediction.measured.error) / np.asarray(prediction.validation.error))
    np.testing.assert_allclose(shift.by_size, expected, rtol=1e-5)
    assert min(expected) <= float(shift.value) <= max(expected)
    assert 0 < float(shift.standard_error) < max(shift.by_size_error)


@pytest.mark.slow
def test_streamed_data_give_the_prediction_of_resident_data(study, small, recipe, key, options):
    prediction = again(key, stream(small), recipe, options)
    for name, method in study.prediction.methods.items():
        # The prior at 1/d depends on the bottlenecks' accuracies, in which a rounding error can flip a mistake.
        tolerance = 1e-2 if name == "nearest_neighbor" else 1e-3
        found, expected = (jax.tree.leaves(m) for m in (prediction.methods[name], method))
        jax.tree.map(lambda a, b, t=tolerance: np.testing.assert_allclose(a, b, rtol=t), found, expected)
    np.testing.assert_allclose(prediction.measured.error, study.prediction.measured.error)


def test_errors_are_those_of_the_runs(study, small):
    """Sizes vary fastest; validation errors come from the sweep, test errors from the stored networks."""
    prediction, trained = study.prediction, study.trained
    np.testing.assert_array_equal(trained.runs.columns["seed"], [0] * 6 + [1] * 6)
    np.testing.assert_array_equal(trained.runs.columns["size"][:6], prediction.measured.size)
    wrong = trained.validation_wrong.reshape(2, 6, 60)
    np.testing.assert_allclose(prediction.validation.error, wrong.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(
        prediction.validation.train_error, trained.train_error[:, -1].reshape(2, 6).mean(axis=0), rtol=1e-6
    )
    assert trained.wrong.shape[1] == 0  # the sweep has not seen the test split
    wrong = lc.evaluate(trained, small, small.test).reshape(2, 6, 60)
    np.testing.assert_allclose(prediction.measured.error, wrong.mean(axis=(0, 2)), rtol=1e-6)


def test_held_out_error_is_that_of_the_curves_on_the_split_that_they_are_fitted_to(study):
    prediction = study.prediction
    for name, method in prediction.methods.items():
        at = [np.flatnonzero(method.curve.size == size)[0] for size in (120, 180, 240)]
        expected = np.log(np.asarray(method.curve.error)[at] / np.asarray(prediction.validation.error)[3:])
        np.testing.assert_allclose(prediction.held_out[name].log_error, expected, rtol=1e-5, atol=1e-7)


def test_files_hold_the_prediction_before_and_after_the_test_labels(study, small, options):
    prediction = study.prediction
    before, after = (json.loads((study.folder / f"{name}.json").read_text()) for name in ("prediction", "result"))
    assert before["prediction"]["measured"] is None
    changed = ("measured", "answer", "refitted")
    unchanged = {k: v for k, v in after["prediction"].items() if k not in changed}
    assert unchanged == {k: before["prediction"][k] for k in unchanged}
    for file, split in ((before, "validation"), (after, "test")):
        assert file["answer"]["split"] == split
        assert file["answer"] == file["prediction"]["answer"]
        assert file["size_for_error"] == file["answer"]["target"]["size_for_error"]
        assert file["assurance"]["share"] == 0.8
        assert file["test_examples"] > 0
        assert file["next_size"]["size"] in [one["size"] for one in file["next_size"]["candidates"]]
        assert set(file["size_for_error"]) >= {"value", "low", "high", "level", "never", "status"}
        assert "log_draws" not in file["answer"]
    assert before["answer"]["shift"] is None
    assert after["environment"]["versions"]["jax"] == jax.__version__
    assert after["configuration"] == before["configuration"]
    assert after["configuration"]["splits"] == {"train": 240, "validation": 60, "test": 60}
    assert after["configuration"]["margin"] == 0.05
    assert after["seconds"] > 0
    assert "caveats" not in before
    assert after["caveats"] == caveats(prediction, chance_error=small.chance_error(), target_error=0.3)
    assert after["prediction"]["methods"]["power_law"]["size_for_error"]["status"] == "at_or_below_smallest"
    back = from_dict(Prediction, after["prediction"])
    np.testing.assert_allclose(back.measured.error, prediction.measured.error, rtol=1e-6)
    for name, method in prediction.methods.items():
        np.testing.assert_allclose(back.methods[name].curve.error, method.curve.error, rtol=1e-6)
        np.testing.assert_allclose(back.methods[name].size_for_error.high, method.size_for_error.high, rtol=1e-6)


def test_progress_has_a_stage_for_each_part(study):
    stages = list(dict.fromkeys(event.stage for event in study.events))
    last_three = ["nearest neighbors", "densities", "fit and bootstrap"]
    assert stages == ["train 12 networks", "fine-tune 6 bottlenecks", *last_three]
    last = {event.stage: event for event in study.events}
    assert all(event.done == event.total for event in last.values())
    assert last["nearest neighbors"].total == 2 * 4


def test_test_labels_do_not_reach_the_prediction(study, key, small, recipe, options):
    """Other test labels change the measured error but not the prediction. Finished runs are restored."""
    test = dataclasses.replace(small.test, targets=(small.test.targets + 1) % 10)
    other = again(key, dataclasses.replace(small, test=test), recipe, options)
    for name, method in study.prediction.methods.items():
        np.testing.assert_array_equal(method.curve.error, other.methods[name].curve.error)
        np.testing.assert_array_equal(method.interval, other.methods[name].interval)
    assert study.prediction.answer.weights == other.answer.weights
    np.testing.assert_array_equal(
        [one.log_score for one in study.prediction.held_out.values()],
        [one.log_score for one in other.held_out.values()],
    )
    assert np.all(other.measured.error > 0.5)
    assert np.all(np.asarray(other.answer.curve.error) > np.asarray(study.prediction.answer.curve.error))


def test_finished_runs_are_restored(study, key, small, recipe, options):
    events = []
    restored = again(key, small, recipe, options, folder=study.folder, on_progress=events.append)
    np.testing.assert_array_equal(restored.measured.error, study.prediction.measured.error)
    assert all(event.done == event.total for event in events if event.stage.startswith(("train", "fine-tune")))


def test_paper_protocol_uses_test_errors_and_features(study, key, small, recipe, options):
    ours, d = study.prediction, int(study.prediction.dimension)
    row = lc.papers.bisla.TABLE_3["mnist-lenet"]
    paper = again(
        key, small, recipe, options, dimension=d, paper_protocol=True, row=row, folder=study.folder / "paper"
    )  # fmt: skip
    np.testing.assert_array_equal(ours.measured.error, paper.measured.error)
    np.testing.assert_array_equal(ours.train_density.covariance, paper.train_density.covariance)
    assert not np.array_equal(ours.test_density.covariance, paper.test_density.covariance)
    radii = (one.methods["hypercube"].parameters["radius"] for one in (ours, paper))
    assert not np.array_equal(*radii)
    assert paper.paper_protocol
    assert paper.answer.split == "test"
    assert paper.answer.shift is None
    at = [np.flatnonzero(paper.methods["power_law"].curve.size == size)[0] for size in (120, 180, 240)]
    expected = np.log(np.asarray(paper.methods["power_law"].curve.error)[at] / np.asarray(paper.measured.error)[3:])
    np.testing.assert_allclose(paper.held_out["power_law"].log_error, expected, rtol=1e-5, atol=1e-7)
    assert paper.bottleneck is None
    result = json.loads((study.folder / "paper" / "result.json").read_text())
    assert result["table_3"]["paper"]["radius"] == {"hypercube": 17.375}


@pytest.mark.slow
def test_another_key_shares_a_folder(study, small, recipe, options):
    """Runs of two keys on the same data are stored in one folder and are not confused."""
    other = again(jax.random.key(1), small, recipe, options, dimension=2, folder=study.folder)
    alone = again(jax.random.key(1), small, recipe, options, dimension=2)
    np.testing.assert_array_equal(other.validation.error, alone.validation.error)
    assert not np.array_equal(other.validation.error, study.prediction.validation.error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"fractions": (0.3, 0.75, 1.0)}, "two fractions below 0.5"),
        ({"fractions": (0.1, 0.2, 2.0)}, r"fractions must lie in \(0, 1\], got \[2.0\]"),
        ({"fractions": (0.1, 0.2, 1.1)}, "1.1"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": 17}, r"\[1, 16\].*17"),
        ({"target_error": 0.0}, "target_error"),
        ({"target_error": 1.0}, "target_error"),
        ({"beyond": 0.5}, "beyond"),
        ({"margin": -0.1}, "margin must lie in"),
        ({"margin": 1.1}, "margin must lie in"),
        ({"draws": 1}, "at least 2 draws, got 1"),
        ({"widths": (1, 17)}, r"dimension must lie in \[1, 16\].*\(1, 17\)"),
    ],
)
def test_arguments_outside_their_range(change, message, key, small, recipe, options):
    events = []
    with pytest.raises(ValueError, match=message):
        again(key, small, recipe, options, on_progress=events.append, **change)
    assert events == []  # refused before training


def test_a_missing_test_split_is_refused(key, small, recipe, options):
    with pytest.raises(ValueError, match="no test split"):
        again(key, small.without_test(), recipe, options)


def test_divergence_names_the_run(key, small, recipe, options):
    diverging = dataclasses.replace(recipe, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"12 of 12 trainings diverged.*below 1e\+30"):
        again(key, small, diverging, options)


@pytest.mark.slow
def test_regression_runs_on_the_same_path(key, options):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1598, 4)).astype(np.float32)
    targets = np.tanh(inputs[:, 0] + 0.5 * inputs[:, 1]).astype(np.float32)
    parts = [lc.Examples(inputs[part], targets[part]) for part in (slice(1198), slice(1198, 1398), slice(1398, 1598))]
    data = lc.Data(*parts, name="surface")
    prediction = again(key, data, mlp_recipe(data).with_budget(steps=400), options, dimension=2)
    assert prediction.measured.error[-1] < prediction.measured.error[0]


@pytest.mark.acceptance
def test_mnist_and_lenet(shared_data, key):
    """Predict LeNet on MNIST with three seeds; about ten minutes on two cores."""
    from lcjax.studies.recipes import lenet_recipe

    data = lc.load_data(f"idx:{shared_data / 'mnist'}")
    prediction = lc.predict_learning_curve(key, data, lenet_recipe(data), seeds=3)
    assert np.max(prediction.measured.train_error) <= 0.001
    assert np.abs(prediction.held_out["power_law"].log_error).max() < 0.5
