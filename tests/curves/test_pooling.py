"""Partial pooling against the normal model where it is known, its limits, and curves that share their shape."""

import dataclasses

import jax
import numpy as np
import pytest

from lcjax.curves.forecast.families import FAMILIES
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.pooling import POOLING, Pooling, _Student, _weigh, pool_forecasts

SIZE = 100.0 * 2.0 ** np.arange(5)
QUICK = {"chains": 16, "moves": 6, "draws": 128}


def test_a_student_distribution_is_recovered():
    scatter, rng = np.array([[0.5, 0.2], [0.2, 0.3]]), np.random.default_rng(0)
    draws = rng.multivariate_normal(np.zeros(2), scatter, 40_000) / np.sqrt(rng.chisquare(4, (40_000, 1)) / 4)
    found, shift = _Student(np.zeros(2), np.eye(2), 4.0), np.array([1.0, -2.0])
    for _ in range(50):
        found = found.step(shift + draws, np.full(40_000, 1 / 40_000), np.eye(2), 0.0)
    np.testing.assert_allclose(found.center, [1, -2], atol=0.03)
    np.testing.assert_allclose(found.scatter, scatter, atol=0.03)


def fallings(curves, draws, spread):
    """Return draws of the falls of alike curves whose own data leave them open within `spread`, and the truth."""
    rng = np.random.default_rng(3)
    truth = np.array([-0.6, -0.4]) + 0.05 * rng.normal(size=(curves, 2))
    observed = truth + spread * rng.normal(size=(curves, 2))
    return observed[:, None] + spread * rng.normal(size=(curves, draws, 2)), truth


def test_open_curves_move_to_the_others_and_determined_ones_stay():
    prior = _Student(np.zeros(2), np.eye(2), POOLING.degrees)
    for spread, least, most in ((0.5, 0.0, 0.9), (0.01, 0.9, 1.1)):
        fall, truth = fallings(12, 2000, spread)
        weight = _weigh(fall, prior, POOLING)
        np.testing.assert_allclose(weight.sum(axis=1), 1)
        before = np.abs(fall.mean(axis=1) - truth).mean()
        after = np.abs(np.einsum("bk,bkd->bd", weight, fall) - truth).mean()
        assert least <= after / before <= most


def test_without_power_nothing_is_pooled():
    fall, _ = fallings(4, 100, 0.3)
    weight = _weigh(fall, _Student(np.zeros(2), np.eye(2), 4.0), dataclasses.replace(POOLING, power=0.0))
    np.testing.assert_allclose(weight, 0.01)


def test_one_odd_curve_keeps_its_shape():
    prior = _Student(np.zeros(2), np.eye(2), POOLING.degrees)
    fall, _ = fallings(12, 2000, 0.05)
    fall[0] += 3.0
    moved = np.einsum("bk,bkd->bd", _weigh(fall, prior, POOLING), fall)
    np.testing.assert_allclose(moved[0], fall[0].mean(axis=0), atol=0.1)


@pytest.fixture(scope="module")
def separate():
    noise = np.exp(0.12 * np.random.default_rng(1).normal(size=(10, 5)))
    level = np.exp(np.random.default_rng(2).normal(size=(10, 1)))
    return forecast(jax.random.key(0), LearningCurve(SIZE, level * SIZE**-0.4 * noise), **QUICK), level


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
    same = pool_forecasts(apart, pooling=Pooling(power=0.0))
    np.testing.assert_array_equal(np.sort(same.posterior.variance), np.sort(apart.posterior.variance))
