"""Bootstrap draws, against those of the curves package; combination of two splits."""

import jax
import numpy as np
import pytest

from lcjax.curves.standard_errors import bootstrap_error
from lcjax.studies.prediction.answer.shift import measure_shift
from lcjax.studies.prediction.methods.points import bootstrap_mistakes, combine_splits, resample_points

RATE = np.array([0.3, 0.15, 0.08])


def mistakes(rng, seeds=4, examples=300):
    """Draw mistakes that share hard examples and bad seeds."""
    hard, bad = rng.gamma(0.5, 2.0, examples), rng.gamma(20.0, 0.05, seeds)
    return rng.random((seeds, 3, examples)) < np.minimum(RATE[:, None] * hard * bad[:, None, None], 0.95)


def points_of(wrong, rng, repeats):
    relative = 0.1 * wrong.mean(axis=(0, 2))
    return resample_points(np.array([10.0, 20.0, 40.0]), wrong, relative, rng, repeats=repeats)


def test_draws_spread_as_those_of_the_two_way_bootstrap():
    rng = np.random.default_rng(0)
    wrong, repeats = mistakes(rng), rng.integers(4, size=(4000, 4))
    both, examples = bootstrap_mistakes(wrong, rng, repeats=repeats)
    expected = np.asarray(bootstrap_error(jax.random.key(0), wrong, draws=4000))
    np.testing.assert_allclose(np.cov(both.T), np.cov(expected.T), rtol=0.15, atol=2e-6)
    np.testing.assert_allclose(both.mean(axis=0), wrong.mean(axis=(0, 2)), rtol=0.02)
    exact = np.cov(wrong.mean(axis=0), bias=True) / wrong.shape[-1]
    np.testing.assert_allclose(np.cov(examples.T), exact, rtol=0.15, atol=2e-6)


def test_an_error_of_zero_counts_as_half_a_mistake():
    rng = np.random.default_rng(0)
    wrong = mistakes(rng)
    wrong[:, 2] = False
    points = points_of(wrong, rng, rng.integers(4, size=(8, 4)))
    assert points.log_error[2] == pytest.approx(np.log(0.5 / 300))
    assert points.relative[2] == 1
    assert np.isfinite(points.draws).all()
    assert np.isfinite(points.joint).all()
    assert points.weight[2] < 0.1 * points.weight[0]


def test_errors_of_zero_on_two_splits_are_known_to_a_factor_only():
    rng = np.random.default_rng(0)
    wrong, repeats = mistakes(rng, examples=500), rng.integers(4, size=(400, 4))
    wrong[:, 1:] = False
    first, second = (points_of(part, rng, repeats) for part in (wrong[..., :300], wrong[..., 300:]))
    for points in (first, second):
        np.testing.assert_array_equal(points.joint[:, 1], points.joint[:, 2])  # the same examples
        assert points.joint[:, 1].std() == pytest.approx(1.0, rel=0.15)
    shift, _ = measure_shift(first.size, first.log_error, second.log_error, first.joint, second.joint)
    np.testing.assert_allclose(shift.by_size_error[1:], np.sqrt(2), rtol=0.15)
    both = combine_splits(first, second, (300, 200), 0.0, np.zeros(400))
    assert both.relative[0] < 0.3 < 0.6 < both.relative[1]


def test_the_level_is_the_common_factor_of_the_examples():
    """If all sizes have the same mistakes, the level is their log error."""
    rng = np.random.default_rng(0)
    wrong = np.repeat(mistakes(rng)[:, :1], 3, axis=1)
    points = points_of(wrong, rng, rng.integers(4, size=(50, 4)))
    expected = points.examples[:, 0] - points.examples[:, 0].mean()
    np.testing.assert_allclose(points.level, expected, atol=1e-5)


def test_a_combination_is_the_mean_over_the_examples_of_both_splits():
    rng = np.random.default_rng(0)
    wrong, repeats = mistakes(rng, examples=400), rng.integers(4, size=(30, 4))
    first, second = (points_of(part, rng, repeats) for part in (wrong[..., :300], wrong[..., 300:]))
    both = combine_splits(first, second, (300, 100), 0.0, np.zeros(30))
    np.testing.assert_allclose(np.exp(both.log_error), wrong.mean(axis=(0, 2)), rtol=1e-9)
    np.testing.assert_allclose(both.replicates, wrong.mean(axis=2), rtol=1e-9)
    moved = combine_splits(first, second, (300, 100), 0.5, np.full(30, 0.5))
    expected = 0.75 * np.exp(0.5 + first.joint) + 0.25 * np.exp(second.joint)
    np.testing.assert_allclose(np.exp(moved.joint), expected, rtol=1e-9)


def test_draws_resample_seeds_and_move_all_sizes_by_the_level():
    rng = np.random.default_rng(0)
    wrong, repeats = mistakes(rng), rng.integers(4, size=(20, 4))
    points = points_of(wrong, rng, repeats)
    expected = np.stack([wrong[row].mean(axis=(0, 2)) for row in repeats]) * np.exp(points.level)[:, None]
    np.testing.assert_allclose(np.exp(points.draws), expected, rtol=1e-6)
