"""Partial pooling where the answer is known: invariance, limits, curves that share their shape, simulated batches."""

import dataclasses

import jax
import numpy as np
import pytest

from lcjax.curves.forecast.families import FAMILIES
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.pooling import POOLING, Pooling, _Student, _weigh, average_curve, pool_forecasts

SIZE = 100.0 * 2.0 ** np.arange(5)
QUICK = {"chains": 16, "moves": 6, "draws": 128}


def test_a_student_distribution_is_recovered():
    scatter, rng = np.array([[0.5, 0.2], [0.2, 0.3]]), np.random.default_rng(0)
    draws = rng.multivariate_normal(np.zeros(2), scatter, 40_000) / np.sqrt(rng.chisquare(4, (40_000, 1)) / 4)
    found, shift = _Student(np.zeros(2), np.eye(2), 4.0), np.array([1.0, -2.0])
    for _ in range(50):
        found = found.step(shift + draws, np.full(40_000, 1 / 40_000))
    np.testing.assert_allclose(found.center, [1, -2], atol=0.03)
    np.testing.assert_allclose(found.scatter, scatter, atol=0.03)


PRIOR = _Student(np.zeros(2), 0.5 * np.eye(2), 4.0)


def simulate_falls(curves, draws, spread):
    """Return draws of the falls of similar curves that are open within `spread`, draws of the center, and the truth."""
    rng = np.random.default_rng(3)
    center = np.array([-0.6, -0.4])
    truth = center + 0.05 * rng.normal(size=(curves, 2))
    observed = truth + spread * rng.normal(size=(curves, 2))
    return (
        observed[:, None] + spread * rng.normal(size=(curves, draws, 2)),
        center + 0.05 * rng.normal(size=(64, 2)),
        truth,
    )


def test_open_curves_move_to_the_average_and_determined_ones_stay():
    for spread, least, most in ((0.5, 0.0, 0.85), (0.01, 0.9, 1.1)):
        fall, centers, truth = simulate_falls(12, 300, spread)
        weight = _weigh(fall, centers, PRIOR, POOLING)
        np.testing.assert_allclose(weight.sum(axis=1), 1)
        before = np.abs(fall.mean(axis=1) - truth).mean()
        after = np.abs(np.einsum("bk,bkd->bd", weight, fall) - truth).mean()
        assert least <= after / before <= most


def test_without_power_nothing_is_pooled():
    fall, centers, _ = simulate_falls(4, 100, 0.3)
    np.testing.assert_allclose(_weigh(fall, centers, PRIOR, Pooling(power=0.0)), 0.01)


def test_weights_are_those_of_a_single_share():
    fall, centers, _ = simulate_falls(5, 200, 0.3)
    weight = _weigh(fall, centers, PRIOR, Pooling(power=1.0, shares=(0.2,)))
    density = [
        np.mean([np.exp(_Student(c, 0.04 * PRIOR.scatter, POOLING.degrees).log_density(f)) for c in centers], axis=0)
        for f in fall
    ]
    expected = np.array(density) / np.exp(PRIOR.log_density(fall))
    np.testing.assert_allclose(weight, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_scatter_of_the_batch_decides_the_share():
    moved = []
    for scatter in (0.02, 0.4):
        rng = np.random.default_rng(5)
        truth = np.array([-0.6, -0.4]) + scatter * rng.normal(size=(12, 2))
        fall = truth[:, None] + 0.1 * rng.normal(size=(12, 300, 2))
        fall[0] = np.array([-0.9, -0.6]) + 0.1 * rng.normal(size=(300, 2))
        weight = _weigh(fall, np.array([[-0.6, -0.4]]), PRIOR, POOLING)
        moved.append(np.linalg.norm(weight[0] @ fall[0] - fall[0].mean(axis=0)))
    assert moved[1] < 0.7 * moved[0]


def test_one_odd_curve_keeps_its_shape():
    fall, centers, _ = simulate_falls(12, 300, 0.05)
    fall[0] += 1.5
    moved = np.einsum("bk,bkd->bd", _weigh(fall, centers, PRIOR, POOLING), fall)
    np.testing.assert_allclose(moved[0], fall[0].mean(axis=0), atol=0.1)


@pytest.fixture(scope="module")
def separate():
    noise = np.exp(0.12 * np.random.default_rng(1).normal(size=(10, 5)))
    level = np.exp(np.random.default_rng(2).normal(size=(10, 1)))
    return forecast(jax.random.key(0), LearningCurve(SIZE, level * SIZE**-0.4 * noise), **QUICK), level


@pytest.mark.slow
def test_the_order_of_the_curves_does_not_matter(separate):
    apart, _ = separate
    order = np.random.default_rng(0).permutation(10)
    one = pool_forecasts(apart)
    other = pool_forecasts(jax.tree.map(lambda leaf: np.asarray(leaf)[order], apart))
    for expected, actual in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(expected)[order], actual)


@pytest.mark.slow
def test_the_average_is_additive_where_a_curve_ends_early(separate):
    apart, _ = separate
    shape = np.log(SIZE) * -0.4
    observed = dataclasses.replace(
        apart.observed, log_error=np.where(apart.observed.present, 0, 0.0) + np.pad(shape - shape[-1], (0, 27))
    )
    present = np.array(observed.present)
    present[0, 0] = present[3, 1] = False
    curves = dataclasses.replace(apart, observed=dataclasses.replace(observed, present=present))
    average = average_curve(curves)
    np.testing.assert_allclose(average.size[0], SIZE, rtol=1e-4)
    np.testing.assert_allclose(np.diff(np.log(average.error[0])), np.diff(shape), atol=1e-3)


@pytest.mark.slow
def test_identical_curves_have_one_forecast(separate):
    noise = np.exp(0.1 * np.random.default_rng(4).normal(size=5))
    one = forecast(jax.random.key(3), LearningCurve(SIZE, np.tile(3 * SIZE**-0.4 * noise, (6, 1))), **QUICK)
    ahead = 8 * SIZE[-1:]
    together = pool_forecasts(one)
    assert np.log(np.asarray(together.predict(ahead))).std() < 0.12
    widths = [np.log(np.divide(*each.interval(ahead)[::-1])).mean() for each in (one, together)]
    assert widths[1] < widths[0]


@pytest.mark.slow
def test_intervals_of_a_simulated_batch_cover():
    inside = []
    for batch in range(4):
        rng = np.random.default_rng(batch)
        exponent = -0.4 + 0.05 * rng.normal(size=(10, 1)) - 0.1 * batch
        level, floor = np.exp(0.5 * rng.normal(size=(10, 1))), 0.01 * rng.uniform(size=(10, 1))
        size = np.append(SIZE, 4 * SIZE[-1])
        error = (level * size**exponent + floor) * np.exp(0.08 * rng.normal(size=(10, 6)))
        ahead = forecast(jax.random.key(batch), LearningCurve(SIZE, error[:, :5]), **QUICK)
        low, high = pool_forecasts(ahead).interval(size[-1:])
        inside.append((error[:, 5:] >= low) & (error[:, 5:] <= high))
    assert 0.8 <= np.mean(inside) <= 1


@pytest.mark.slow
def test_the_width_multiplies_deviations_beyond_the_data_only(separate):
    apart, _ = separate
    narrow = dataclasses.replace(apart, width=np.full_like(apart.width, 0.5))
    sizes = np.append(SIZE, 4 * SIZE[-1])
    wide, half = (np.log(np.asarray(one.predict_draws(sizes))) for one in (apart, narrow))
    np.testing.assert_array_equal(wide[..., :5], half[..., :5])
    ends = [np.quantile(one[..., 5], [0.1, 0.9], axis=1) for one in (wide, half)]
    np.testing.assert_allclose((ends[1][1] - ends[1][0]) / (ends[0][1] - ends[0][0]), 0.5, atol=0.05)
    # Divided by the width, the noise of a training is unchanged: targets of a share of trainings depend on this.
    answers = [
        np.asarray(one.evaluate(lambda draws: draws.white / draws.width, sizes[-1:]))[..., 0] for one in (apart, narrow)
    ]
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-5)


@pytest.mark.slow
def test_alike_curves_are_forecast_better_together(separate):
    apart, level = separate
    ahead = 16 * SIZE[-1:]
    truth = level * ahead**-0.4
    together = pool_forecasts(apart)
    errors = [np.abs(np.log(np.asarray(one.predict(ahead)) / truth)).mean() for one in (apart, together)]
    assert errors[1] < errors[0]
    low, high = together.interval(ahead)
    assert np.mean((truth >= low) & (truth <= high)) >= 0.8
    np.testing.assert_allclose(np.asarray(together.weight).sum(axis=1), 1, atol=1e-6)
    assert together.deviate.dtype == apart.deviate.dtype
    answer = together.size_for_error(0.01)
    assert answer.value.shape == (10,)


@pytest.mark.slow
def test_inside_the_measured_range_little_changes(separate):
    apart, _ = separate
    together = pool_forecasts(apart)
    np.testing.assert_allclose(np.log(together.predict(SIZE)), np.log(apart.predict(SIZE)), atol=0.1)


@pytest.mark.slow
def test_what_cannot_be_pooled(separate):
    apart, _ = separate
    with pytest.raises(ValueError, match=r"the families .*: pass families="):
        pool_forecasts(apart, families=FAMILIES[:2])
    one = jax.tree.map(lambda leaf: leaf[0], apart)
    with pytest.raises(ValueError, match=r"a batch of curves, \(b,\)"):
        pool_forecasts(one)
    alone = jax.tree.map(lambda leaf: leaf[:1], apart)
    assert pool_forecasts(alone) is alone
    same = pool_forecasts(apart, pooling=Pooling(power=0.0, width=1.0))
    np.testing.assert_array_equal(np.sort(same.posterior.variance), np.sort(apart.posterior.variance))
