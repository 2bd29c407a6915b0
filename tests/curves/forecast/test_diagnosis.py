"""Diagnosis of curves: the events counted by hand, simulated curves of known cause, batches, JSON, calibration."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.floors.error_floor import ErrorFloor, floor_from_repeats
from lcjax.curves.floors.neighbor_noise import neighbor_noise_floor
from lcjax.curves.forecast.diagnosis import MULTIPLES, Diagnosis, diagnose, diagnose_draws
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS, Metric
from lcjax.records import from_dict, to_dict
from lcjax.scaling.fit import fit_scaling_law
from lcjax.scaling.model_floor import model_floor

SIZE = 100.0 * 2.0 ** np.arange(9)
QUICK = {"chains": 32, "moves": 12}
CAUSES = ("data", "model", "noise", "undecided")
# Draws at 1, 2, 10 and 1e6 times the data: falls fast, falls slowly without a plateau, has a plateau, rises.
DRAWS = np.array([[0.1, 0.08, 0.05, 0.01], [0.1, 0.099, 0.09, 0.02], [0.1, 0.095, 0.09, 0.09], [0.1, 0.11, 0.12, 0.2]])


@pytest.fixture(autouse=True)
def only_x64(x64):
    """Diagnoses of float32 draws are tested by one test below."""
    if not x64:
        pytest.skip("float32 has a test of its own")


def probabilities(diagnosis):
    return np.stack([np.asarray(getattr(diagnosis, name)) for name in CAUSES], axis=-1)


@pytest.mark.parametrize(
    ("floors", "expected"),
    [
        ({}, [1, 0, 0, 3]),
        ({"noise_floor": 0.0}, [1, 3, 0, 0]),
        ({"noise_floor": 0.04}, [1, 3, 0, 0]),
        ({"noise_floor": 0.06}, [1, 0, 3, 0]),
        ({"noise_floor": 0.085}, [0, 0, 4, 0]),  # no draw falls below the floor
        ({"noise_floor": ErrorFloor(0.0, 0.04)}, [1, 3, 0, 0]),
        ({"noise_floor": ErrorFloor(0.06, 0.2)}, [1, 0, 3, 0]),
        ({"noise_floor": ErrorFloor(0.04, 0.06)}, [1, 0, 0, 3]),  # the rising draw counts as staying at 0.1
        ({"model_floor": 0.08}, [1, 3, 0, 0]),
        ({"model_floor": 0.02}, [1, 0, 2, 1]),  # what the slow fall leaves is neither
        ({"noise_floor": 0.06, "model_floor": 0.02}, [1, 0, 3, 0]),
        ({"noise_floor": 0.0, "model_floor": 0.02}, [1, 1, 0, 2]),  # the floors contradict each other at a plateau
    ],
)
def test_draws_count_for_the_event_that_their_floors_imply(floors, expected):
    diagnosis = diagnose_draws(1000.0, DRAWS, **floors)
    np.testing.assert_allclose(4 * probabilities(diagnosis), expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    noise=st.one_of(st.none(), st.floats(0, 0.3), st.tuples(st.floats(0, 0.1), st.floats(0.1, 0.4))),
    model=st.one_of(st.none(), st.floats(0, 0.3)),
    gain=st.floats(0.05, 0.9),
)
def test_probabilities_add_up_to_one_in_every_batch(seed, noise, model, gain):
    rng = np.random.default_rng(seed)
    draws = 0.3 * np.exp(-rng.gamma(1.0, 0.5, size=(3, 20, 4)).cumsum(axis=-1))
    floors = {"noise_floor": ErrorFloor(*noise) if isinstance(noise, tuple) else noise, "model_floor": model}
    batch = diagnose_draws(np.array([1e2, 1e3, 1e4]), draws, gain=gain, **floors)
    np.testing.assert_allclose(probabilities(batch).sum(axis=-1), 1)
    assert np.all(batch.low <= batch.error) and np.all(batch.error <= batch.high)  # noqa: PT018
    single = diagnose_draws(1e3, draws[1], gain=gain, **floors)
    for alone, together in zip(jax.tree.leaves(single), jax.tree.leaves(batch), strict=True):
        np.testing.assert_allclose(alone, together if np.shape(together) == (4,) else together[1])


@given(seed=st.integers(0, 2**32 - 1), floor=st.floats(0, 0.3), more=st.floats(0, 0.2))
def test_a_higher_noise_floor_only_adds_to_noise(seed, floor, more):
    draws = 0.3 * np.exp(-np.random.default_rng(seed).gamma(1.0, 0.3, size=(20, 4)).cumsum(axis=-1))
    lower, higher = (diagnose_draws(1.0, draws, noise_floor=value) for value in (floor, floor + more))
    assert higher.noise >= lower.noise
    assert higher.data <= lower.data


def test_jit_and_vmap_give_the_same_in_float32():
    draws = jnp.asarray(np.stack([DRAWS, DRAWS[::-1] * 1.1]), jnp.float32)
    size, floor = jnp.array([1e3, 2e3], jnp.float32), jnp.array([0.06, 0.0], jnp.float32)
    expected = diagnose_draws(np.asarray(size), np.asarray(draws), noise_floor=np.asarray(floor))
    traced = jax.jit(lambda *a: diagnose_draws(a[0], a[1], noise_floor=a[2]))(size, draws, floor)
    mapped = jax.vmap(lambda *a: diagnose_draws(a[0], a[1], noise_floor=a[2]))(size, draws, floor)
    for name in (*CAUSES, "error", "noise_low", "size"):
        assert getattr(traced, name).dtype == jnp.float32
        np.testing.assert_allclose(getattr(traced, name), getattr(expected, name), rtol=1e-5)
        np.testing.assert_allclose(getattr(mapped, name), getattr(expected, name), rtol=1e-5)


def test_sentences_and_causes():
    fall = np.array([[0.041, 0.036, 0.026, 0.001]]) * np.linspace(0.99, 1.01, 41)[:, None]
    plateau = np.array([[0.2, 0.199, 0.198, 0.198]]) * np.linspace(0.99, 1.01, 41)[:, None]
    both = diagnose_draws(np.array([100.0, 100.0]), np.stack([fall, plateau]))
    assert both.cause.tolist() == ["data", "undecided"]
    assert both.sentence(0) == (
        "Ten times the data would lower the error from 4.1 % to about 2.6 % (mean of trainings: 2.6 to 2.6 %): "
        "limited by data (probability more than 99 %)."
    )
    start = "Ten times the data would not lower the error of 0.2 (mean of trainings: 0.19"
    assert both.sentence((1,), percent=False).startswith(start)
    assert "not limited by data (probability more than 99 %). Measure a larger model" in both.sentence(1)
    for floors, end in (
        ({"noise_floor": 0.2}, "limited by label noise (probability more than 99 %)."),
        ({"noise_floor": 0.0}, "limited by the model (probability more than 99 %)."),
    ):
        single = diagnose_draws(100.0, plateau, **floors)
        assert single.sentence().endswith(end)
    assert "would not lower the error of 20 %" in diagnose_draws(100.0, plateau, noise_floor=0.25).sentence()
    mixed = diagnose_draws(100.0, DRAWS[[0, 0, 1, 2]], noise_floor=0.05)
    assert mixed.cause == "undecided"
    assert mixed.sentence().endswith("not decided (probabilities: data 50 %, model less than 1 %, noise 50 %).")
    assert diagnose_draws(100.0, DRAWS * np.nan).sentence() == "There is no curve to diagnose."
    with pytest.raises(IndexError, match=r"1 numbers selects a curve, got \(\)"):
        both.sentence()


@pytest.mark.parametrize(
    ("metric", "now", "then", "words"),
    [
        (METRICS["bleu"], 33.1, 37.4, "raise the bleu from 33.1 to about 37.4 (mean of trainings: 37.4 to 37.4)"),
        (METRICS["rmse"], 29478.3, 23260.0, "lower the RMSE from 29,500 to about 23,300 (mean of trainings: 23,300 to"),
        (METRICS["perplexity"], 31.3, 20.5, "lower the perplexity from 31.3 to about 20.5 (mean of trainings: 20.5"),
        (METRICS["accuracy"], 0.86, 0.91, "raise the accuracy from 0.860 to about 0.9100 (mean of trainings: 0.9100"),
        (METRICS["error"], 0.14, 0.09, "lower the error from 14 % to about 9 % (mean of trainings: 9 to 9 %)"),
        (METRICS["bleu"], 33.1, 33.0, "not raise the bleu of 33.1 (mean of trainings: 33.1 to 33.1)"),
    ],
)
def test_the_sentence_has_values_of_the_metric(metric: Metric, now, then, words):
    errors = np.array([[float(metric.to_error(value)) for value in (now, then, then, then)]] * 2)
    assert f"would {words}" in diagnose_draws(100.0, errors).sentence(metric=metric)


def test_a_diagnosis_survives_json():
    diagnosis = diagnose_draws(np.array([1e3, 2e3]), np.stack([DRAWS, DRAWS]), noise_floor=0.06, gain=0.3)
    again = from_dict(Diagnosis, json.loads(json.dumps(to_dict(diagnosis))))
    assert (again.gain, again.level) == (0.3, 0.9)
    for old, new in zip(jax.tree.leaves(diagnosis), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(old, new)


@pytest.mark.slow
def test_simulated_curves_have_their_cause():
    """A power law, a network with a plateau, and flipped labels whose share a simulated 1-NN rule bounds."""
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(3000, 2))
    labels = ((points[:, 0] > 0.5) ^ (rng.random(3000) < 0.1)).astype(int)
    floor = neighbor_noise_floor(points, labels, classes=2)
    law = 2.0 * SIZE**-0.5
    errors = np.stack([law, 0.1 + 0.3 * law, 0.1 + 0.3 * law]) * np.exp(0.01 * rng.normal(size=(3, 9)))
    ahead = forecast(jax.random.key(0), LearningCurve(SIZE, errors), **QUICK)
    plain = diagnose(ahead)
    assert plain.cause.tolist() == ["data", "undecided", "undecided"]
    known = diagnose(ahead, noise_floor=ErrorFloor(np.array([0, 0, float(floor.low)]), np.array([0, 0, 0.12])))
    assert known.cause.tolist() == ["data", "model", "noise"]
    draws = ahead.predict_draws(ahead.largest[:, None] * np.asarray(MULTIPLES))
    np.testing.assert_allclose(plain.data, np.mean(draws[..., 2] <= 0.8 * draws[..., 0], axis=-1))
    single = diagnose(jax.tree.map(lambda leaf: np.asarray(leaf[0]), ahead))
    np.testing.assert_allclose(single.data, plain.data[0])
    np.testing.assert_allclose(single.error, plain.error[0], rtol=1e-6)


@pytest.mark.slow
def test_networks_of_several_widths_tell_the_model_from_label_noise():
    """A joint fit of three networks, E + A / N^a + B / D^b: the smallest is limited by its size, the largest by E."""
    rng, width = np.random.default_rng(0), np.array([10.0, 100.0, 1000.0])
    exact = 0.08 + 2.0 * width[:, None] ** -0.9 + 3.0 * SIZE**-0.5
    errors = exact * np.exp(0.01 * rng.normal(size=exact.shape))
    table = [jnp.asarray(a.ravel()) for a in np.broadcast_arrays(width[:, None], SIZE, errors)]
    fit = fit_scaling_law(jax.random.key(0), dict(zip(("params", "tokens", "loss"), table, strict=True)), draws=60)
    ahead = forecast(jax.random.key(0), LearningCurve(SIZE, errors), **QUICK)
    found = diagnose(ahead, model_floor=model_floor(fit, width))
    assert found.cause.tolist() == ["model", "noise", "noise"]
    assert diagnose(ahead).cause.tolist() == ["undecided"] * 3


@pytest.mark.slow
def test_a_diagnosis_works_under_jit():
    errors = np.stack([2.0 * SIZE**-0.5, 0.1 + 0.6 * SIZE**-0.5, 0.1 + 0.6 * SIZE**-0.5])
    ahead = forecast(jax.random.key(0), LearningCurve(SIZE, errors), **QUICK)
    traced = jax.jit(lambda f: diagnose(f, noise_floor=0.1))(ahead)
    np.testing.assert_allclose(traced.data, diagnose(ahead, noise_floor=0.1).data, atol=0.01)


def test_wrong_arguments_raise():
    for name in ("gain", "level"):
        with pytest.raises(ValueError, match=f"{name} must lie between 0 and 1, got 1"):
            diagnose_draws(100.0, DRAWS, **{name: 1.0})


@pytest.mark.slow
def test_probabilities_are_calibrated_on_simulated_curves():
    """Sixty curves `noise + model + power law`, with the noise floor from a thousand inputs labelled twice."""
    rng, count = np.random.default_rng(1), 60
    noise, model = (np.where(rng.random(count) < 0.5, rng.uniform(0.02, 0.15, count), 0.0) for _ in range(2))
    exponent, last = rng.uniform(0.15, 0.8, count), np.exp(rng.uniform(np.log(0.01), np.log(0.1), count))
    multiple = np.asarray(MULTIPLES)

    def curve(size):
        return (noise + model)[:, None] + last[:, None] * (size / SIZE[-1]) ** -exponent[:, None]

    errors = curve(SIZE) * np.exp(0.02 * rng.normal(size=(count, 9)))
    ahead = forecast(jax.random.key(1), LearningCurve(SIZE, errors), **QUICK)
    floors = [floor_from_repeats((rng.random((1000, 2)) < share).astype(int), classes=2) for share in noise]
    floor = ErrorFloor(*(np.array([float(getattr(f, name)) for f in floors]) for name in ("low", "high")))
    truth = diagnose_draws(SIZE[-1], curve(multiple * SIZE[-1])[:, None], noise_floor=noise, model_floor=model)
    for given_floor in ({}, {"noise_floor": floor}):
        found, true = diagnose(ahead, **given_floor), np.asarray(truth.data)
        assert 0.2 < true.mean() < 0.8
        difference = np.asarray(found.data) - true
        spread = np.sqrt(np.sum(found.data * (1 - found.data))) / count
        assert abs(difference.mean()) < 3 * spread + 0.05
        assert np.mean(difference**2) < 0.12  # 0.25 without a forecast
        sure = np.abs(found.data - 0.5) > 0.4
        assert sure.sum() > 15
        assert np.mean((found.data > 0.5)[sure] == true[sure]) > 0.85
    decided = np.asarray(found.cause) != "undecided"
    assert decided.mean() > 0.4
    assert np.mean(np.asarray(found.cause)[decided] == np.asarray(truth.cause)[decided]) > 0.8
