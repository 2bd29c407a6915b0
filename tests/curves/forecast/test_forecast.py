"""Posterior forecasts: known curves, intervals, answers from the same draws, batches and transformations."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.forecast.description import describe, stage
from lcjax.curves.forecast.draws import compile_evaluation
from lcjax.curves.forecast.families import FAMILIES, Family, nearest_neighbor
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.forecast.noise import NOISE
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.stored_programs import store_programs
from lcjax.records import from_dict, to_dict

SIZE = 100.0 * 2.0 ** np.arange(9)
AHEAD = SIZE[-1] * np.array([2.0, 8.0])
KEY = jax.random.key(0)
QUICK = {"chains": 32, "moves": 12}


def curves():
    """Return a power law, a plateau that falls, a curve with a floor, and one with absent sizes."""
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=(4, 9)))
    power = 3.0 * SIZE**-0.4
    return np.stack([power, 0.8 / (1 + (SIZE / 4e3) ** 0.7), 0.1 + power, np.where(SIZE == 800, np.nan, power)]) * noise


@pytest.fixture(scope="module")
def ahead():
    with jax.enable_x64(True):
        return forecast(KEY, LearningCurve(SIZE, curves()), **QUICK)


@pytest.fixture(autouse=True)
def only_x64(x64):
    """The float32 program is tested by one test, which compiles it."""
    if not x64:
        pytest.skip("float32 has a test of its own")


def test_forecasts_are_near_the_truth(ahead):
    truth = np.stack([3.0 * AHEAD**-0.4, 0.8 / (1 + (AHEAD / 4e3) ** 0.7), 0.1 + 3.0 * AHEAD**-0.4, 3.0 * AHEAD**-0.4])
    low, high = ahead.interval(AHEAD, 0.95)
    assert np.mean((low < truth) & (truth < high)) >= 0.85
    np.testing.assert_allclose(np.log(ahead.predict(AHEAD[:1])), np.log(truth[:, :1]), atol=0.12)
    np.testing.assert_allclose(np.asarray(ahead.weight).sum(axis=-1), 1.0, rtol=1e-6)


def test_quantiles_intervals_and_assurance_are_of_one_distribution(ahead):
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    quantiles = np.asarray(ahead.quantile(AHEAD, levels))
    assert quantiles.shape == (4, 2, 5)
    assert np.all(np.diff(quantiles, axis=-1) > 0)
    low, high = ahead.interval(AHEAD, 0.9)
    np.testing.assert_array_equal(low, quantiles[..., 0])
    np.testing.assert_array_equal(high, quantiles[..., -1])
    for i, level in enumerate(levels):
        shares = [np.asarray(ahead.assurance(quantiles[:, j, i], AHEAD))[:, j] for j in range(2)]
        np.testing.assert_allclose(shares, level, atol=2e-3)
    narrow = np.asarray(ahead.quantile(AHEAD, levels, measured=False))
    # Both are quantiles of samples of 512 draws, with an error of some 4 % where the noise hardly matters.
    widths = (narrow[..., -1] - narrow[..., 0]) / (quantiles[..., -1] - quantiles[..., 0])
    assert np.all(widths < 1.05)
    assert widths.mean() < 1.0
    # A mean of many trainings varies less.
    target = narrow[:, 0, -1]
    assert np.all(ahead.assurance(target, AHEAD, repeats=np.inf)[:, 0] >= ahead.assurance(target, AHEAD)[:, 0] - 1e-3)


def test_the_density_integrates_to_one_and_is_that_of_the_quantiles(ahead):
    low, high = (np.asarray(limit)[0, 0] for limit in ahead.interval(AHEAD, 0.998))
    grid = np.geomspace(low / 1.1, high * 1.1, 512)
    density = np.exp(np.asarray(ahead.log_density(np.full(512, AHEAD[0]), grid))[0])
    assert abs(np.trapezoid(density, grid) - 1) < 0.02
    share = np.trapezoid(np.where(grid < np.asarray(ahead.quantile(AHEAD, 0.5))[0, 0, 0], density, 0), grid)
    assert abs(share - 0.5) < 0.05


def test_draws_have_the_quantiles_of_the_curve(ahead):
    draws = np.asarray(ahead.predict_draws(AHEAD))
    assert draws.shape == (4, 512, 2)
    quantiles = np.asarray(ahead.quantile(AHEAD, [0.1, 0.5, 0.9], measured=False))
    shares = np.mean(draws[..., None] <= quantiles[:, None], axis=1)
    np.testing.assert_allclose(shares, np.broadcast_to([0.1, 0.5, 0.9], shares.shape), atol=0.04)


def test_sizes_for_errors_have_their_atoms(ahead):
    last = np.asarray(ahead.predict(SIZE[-1:]))[:, 0]
    answer = ahead.size_for_error(0.8 * last)
    assert np.all((answer.low <= answer.value) & (answer.value <= answer.high))
    exact = (3.0 / (0.8 * last[0])) ** 2.5
    assert answer.low[0] < exact < answer.high[0]
    assert abs(np.log(answer.value[0] / exact)) < 0.2
    met = ahead.size_for_error(5.0)
    np.testing.assert_allclose(met.value, SIZE[0], rtol=1e-6)
    np.testing.assert_array_equal(met.at_smallest, 1.0)
    never = ahead.size_for_error(0.02)
    assert never.never[2] > 0.5 > never.never[0]  # the floor of the third curve is 0.1
    assert np.isinf(never.high[2])
    assert np.all(ahead.size_for_error(0.5 * last).value > SIZE[-1])


def test_next_size_and_family_curves(ahead):
    plan = ahead.next_size(0.5 * np.asarray(ahead.predict(SIZE[-1:]))[:, 0])
    assert plan.size.shape == (4,)
    assert np.all(np.asarray(plan.information) >= 0)
    assert np.all(plan.size[[0, 2]] > SIZE[-1])  # half of the last error is beyond the data
    medians = np.asarray(ahead.family_curves(AHEAD))
    assert medians.shape == (4, len(FAMILIES), 2)
    best = np.argmax(ahead.weight, axis=-1)
    chosen = medians[np.arange(4), best]
    np.testing.assert_allclose(np.log(chosen[:, 0]), np.log(ahead.predict(AHEAD[:1]))[:, 0], atol=0.2)


def test_shapes_in_words(ahead):
    at_end = stage(ahead)
    total = at_end.rising + at_end.flat + at_end.steep + at_end.flattening
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    assert at_end.steep[0] > 0.5
    assert at_end.flattening[2] > 0.5
    sentences = describe(ahead)
    assert len(sentences) == 4
    assert sentences[2].startswith("Flattening")
    assert all("fit" in sentence for sentence in sentences)


@pytest.mark.slow
def test_vmap_is_the_batch_and_the_first_curve_of_a_batch_is_that_curve_alone(ahead):
    error = jnp.asarray(curves()[:2])
    mapped = jax.vmap(lambda e: forecast(KEY, LearningCurve(SIZE, e), **QUICK).posterior.weight)(error)
    np.testing.assert_allclose(mapped[0], ahead.weight[0], atol=1e-3)
    assert mapped.shape == (2, len(FAMILIES))
    alone = forecast(KEY, LearningCurve(SIZE, curves()[0]), **QUICK)
    np.testing.assert_allclose(alone.predict(AHEAD), ahead.predict(AHEAD)[0], rtol=1e-6)


@pytest.mark.slow
def test_a_traced_forecast_has_the_methods_of_a_concrete_one():
    error = jnp.asarray(curves()[0])

    @jax.jit
    def traced(error):
        only = forecast(KEY, LearningCurve(SIZE, error), **QUICK)
        return (
            only.predict(AHEAD),
            only.log_density(AHEAD, jnp.array([0.1, 0.05])),
            only.size_for_error(0.05).value,
            only.assurance(0.05, AHEAD),
            only.predict_draws(AHEAD),
            only.family_curves(AHEAD),
        )

    only = forecast(KEY, LearningCurve(SIZE, error), **QUICK)
    expected = (
        only.predict(AHEAD),
        only.log_density(AHEAD, np.array([0.1, 0.05])),
        only.size_for_error(0.05).value,
        only.assurance(0.05, AHEAD),
        only.predict_draws(AHEAD),
        only.family_curves(AHEAD),
    )
    for actual, value in zip(traced(error), expected, strict=True):
        np.testing.assert_allclose(actual, value, rtol=1e-3, atol=1e-3)


def test_order_and_unit_of_the_sizes_do_not_matter(ahead):
    order = np.random.default_rng(1).permutation(9)
    again = forecast(KEY, LearningCurve(SIZE[order] * 50, curves()[:, order]), **QUICK)
    np.testing.assert_allclose(again.predict(AHEAD * 50), ahead.predict(AHEAD), rtol=0.02)


def test_chance_bounds_the_forecast_and_repeats_sharpen_it():
    error = curves()[1]
    bounded = forecast(KEY, LearningCurve(SIZE, error), chance=0.8, **QUICK)
    assert np.max(bounded.predict_draws(SIZE / 100, measured=True)) <= 0.8
    repeats = np.exp(0.2 * np.random.default_rng(0).normal(size=(6, 9))) * 3.0 * SIZE**-0.4
    many = forecast(KEY, LearningCurve(SIZE, repeats.mean(axis=0), replicates=repeats), **QUICK)
    # The noise is that of one run, whatever the number of repeats behind a point.
    assert 0.1 < float(many.noise_level) < 0.4


@pytest.mark.slow
def test_the_density_of_a_bounded_error_has_an_atom():
    chance = 0.745
    bounded = forecast(KEY, LearningCurve(SIZE, curves()[1]), chance=chance, **QUICK)
    at = np.array([SIZE[0], SIZE[-1]])
    atoms = np.exp(bounded.log_density(at, np.full(2, chance)))
    above = np.mean(np.asarray(bounded.predict_draws(np.repeat(at, 2), measured=True)) >= chance, axis=0)
    np.testing.assert_allclose(atoms, above[::2], atol=0.03)  # each draw has one deviate
    assert 0.1 < atoms[0] < 0.9
    np.testing.assert_array_equal(bounded.log_density(at, np.full(2, 0.9)), np.log(atoms))
    grid = np.geomspace(0.4, np.nextafter(chance, 0.0), 600)
    density = np.exp(np.asarray(bounded.log_density(np.full(600, at[0]), grid)))
    assert abs(np.trapezoid(density, grid) + atoms[0] - 1) < 0.01
    free = forecast(KEY, LearningCurve(SIZE, curves()[1]), **QUICK)
    assert np.all(np.isfinite(free.log_density(at, np.full(2, 1.1))))
    # Warnings are errors here.
    np.testing.assert_array_equal(bounded.log_density(at, np.array([0.0, -0.1])), -np.inf)
    traced = jax.jit(bounded.log_density)(jnp.asarray(at), jnp.array([0.0, chance]))
    np.testing.assert_allclose(traced, [-np.inf, bounded.log_density(at, np.full(2, chance))[1]], rtol=1e-5)


def test_a_family_of_the_user_and_a_prior_exponent_take_part():
    def logarithmic(u, t, span):
        return jnp.log(1.0 + jnp.exp(u[0] - t))

    own = Family("own", "falling with a bend", logarithmic, np.zeros(1), np.ones(1), 0.0)
    families = (*FAMILIES[:1], own, nearest_neighbor(2.5))
    result = forecast(KEY, LearningCurve(SIZE, curves()[0]), families=families, **QUICK)
    assert result.families == ("power_law", "own", "nearest_neighbor")
    medians = np.asarray(result.family_curves(AHEAD))
    assert np.all(np.isfinite(medians[np.asarray(result.weight) > 0.02]))
    assert result.weight[2] > result.weight[0]  # its prior exponent is the true one


def test_curves_of_few_sizes_have_wide_intervals():
    wide = forecast(KEY, LearningCurve(SIZE[:2], curves()[0, :2]), **QUICK)
    narrow = forecast(KEY, LearningCurve(SIZE, curves()[0]), **QUICK)
    ratios = [np.log(np.divide(*f.interval(4 * f.largest[None], 0.9)[::-1]))[0] for f in (wide, narrow)]
    assert ratios[0] > 3 * ratios[1]
    nothing = forecast(KEY, LearningCurve(SIZE, np.full(9, np.nan)), **QUICK)
    assert np.all(np.isnan(nothing.predict(AHEAD)))


def test_wrong_arguments_raise():
    curve = LearningCurve(SIZE, curves()[0])
    with pytest.raises(ValueError, match="got 0 and draws=512"):
        forecast(KEY, curve, families=())
    with pytest.raises(ValueError, match="draws=0"):
        forecast(KEY, curve, draws=0)
    with pytest.raises(ValueError, match=r"\(8,\) and \(9,\)"):
        forecast(KEY, LearningCurve(SIZE[:8], curves()[0]))


def test_a_forecast_survives_json():
    only = forecast(KEY, LearningCurve(SIZE, curves()[0]), **QUICK)
    again = from_dict(Forecast, json.loads(json.dumps(to_dict(only))))
    np.testing.assert_allclose(again.predict(AHEAD), only.predict(AHEAD), rtol=1e-6)
    answer = only.size_for_error(1.0)
    restored = from_dict(SizeForError, json.loads(json.dumps(to_dict(answer))))
    np.testing.assert_array_equal(restored.at_smallest, answer.at_smallest)


@pytest.mark.slow
def test_a_stored_program_gives_the_same_forecast_and_one_of_a_user_is_not_stored(tmp_path):
    """The programs are those of the other tests; a user's function has no name by which a later process knows it."""
    curve = LearningCurve(SIZE, curves()[:1])
    expected = forecast(KEY, curve, **QUICK)
    try:
        for _ in range(2):
            store_programs(tmp_path)
            actual = forecast(KEY, curve, **QUICK)
            for one, two in zip(jax.tree.leaves(expected), jax.tree.leaves(actual), strict=True):
                np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(expected.quantile(AHEAD, [0.1, 0.5]), actual.quantile(AHEAD, [0.1, 0.5]))
            assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == [
                "evaluate_draws",
                "forecast_one",
            ]
        own = (lambda u, t, span: -jnp.exp(u[0]) * t, *(family.curve for family in FAMILIES[1:]))
        assert np.isfinite(dataclasses.replace(actual, curves=own).predict(AHEAD)).all()
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        store_programs(None)


@pytest.mark.slow
def test_the_evaluation_compiled_ahead_is_the_one_that_is_used(tmp_path):
    try:
        store_programs(tmp_path)
        compile_evaluation(FAMILIES, NOISE, draws=512)
        names = {path.name for path in tmp_path.iterdir()}
        forecast(KEY, LearningCurve(SIZE, curves()[:1]), **QUICK).predict(AHEAD)
        assert len(names) == 1
        assert {path.name for path in tmp_path.glob("evaluate_draws-*")} == names
    finally:
        store_programs(None)


def test_what_cannot_be_meant_is_refused(ahead):
    for levels in ([5, 95], [-0.1], 1.0):
        with pytest.raises(ValueError, match="Levels are probabilities"):
            ahead.quantile(AHEAD, levels)
    with pytest.raises(ValueError, match="repeats must be positive"):
        ahead.assurance(0.1, AHEAD, repeats=0)
    with pytest.raises(ValueError, match=r"Sizes need shape .* pass \[3200"):
        ahead.predict(np.array(3200.0))
    with pytest.raises(ValueError, match=r"Targets need shape \(\) or \(4,\), got \(4, 1\)"):
        ahead.size_for_error(np.full((4, 1), 0.1))


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ((*FAMILIES, FAMILIES[0]), "different names"),
        ((dataclasses.replace(FAMILIES[0], scale=np.ones(3)),), r"one shape \(d,\), got \(2,\) and \(3,\)"),
        ((dataclasses.replace(FAMILIES[0], scale=np.array([1.0, -1.0])),), "must be positive"),
    ],
)
def test_families_with_impossible_priors_are_refused(families, message):
    with pytest.raises(ValueError, match=message):
        forecast(jax.random.key(0), LearningCurve(SIZE, 1.0 / SIZE), families=families)


@pytest.mark.parametrize(
    ("size", "error", "chance", "message"),
    [
        ([0.0, 200, 400], [0.4, 0.3, 0.2], None, "Sizes must be finite and above 0, got 0. Pass nan as the error"),
        ([100.0, np.inf, 400], [0.4, 0.3, 0.2], None, "above 0, got inf"),
        ([np.nan, 200, 400], [0.4, 0.3, 0.2], None, "above 0, got nan"),
        ([100.0, 200, 400], [0.4, -0.3, 0.2], None, "Errors must be finite and at least 0, got -0.3"),
        ([100.0, 200, 400], [0.4, np.inf, 0.2], None, "at least 0, got inf"),
        ([100.0, 200, 400], [0.4, 0.3, 0.2], 0.0, "chance must be an error above 0, such as 0.9 for ten classes, got"),
        ([100.0, 200, 400], [0.4, 0.3, 0.2], -1.0, "got -1"),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_no_curve_has_are_refused(size, error, chance, message):
    with pytest.raises(ValueError, match=message):
        forecast(jax.random.key(0), LearningCurve(np.array(size), np.array(error)), chance=chance)
