"""The spread of trainings: its size, its growth, what a shared pool hides, and the noise of the test examples."""

import numpy as np
import pytest

from lcjax.studies.prediction.answer.spread import estimate_spread

SIZE = np.array([50, 100, 200, 400, 800])


def mistakes(rng, *, seeds, scale, slope=0.0, hidden=0.0, examples=4000, error=0.2):
    """Draw mistakes of networks whose expected errors spread; a part of the spread is hidden at every size."""
    spread = scale * (SIZE / 200) ** slope * np.sqrt(1 - np.broadcast_to(hidden, SIZE.shape))
    expected = error * np.exp(spread * rng.normal(size=(seeds, len(SIZE))))
    return rng.random((seeds, len(SIZE), examples)) < expected[..., None]


@pytest.mark.parametrize("scale", [0.03, 0.1, 0.3])
def test_the_spread_is_found_from_many_seeds(scale):
    rng = np.random.default_rng(1)
    spread = estimate_spread(SIZE, mistakes(rng, seeds=60, scale=scale), 1e6, rng)
    assert np.median(spread.scale) == pytest.approx(scale, rel=0.15)
    assert abs(np.median(spread.slope)) < 0.12  # three standard errors


def test_the_growth_is_found():
    rng = np.random.default_rng(1)
    spread = estimate_spread(SIZE, mistakes(rng, seeds=200, scale=0.2, slope=0.3), 1e6, rng)
    assert np.median(spread.slope) == pytest.approx(0.3, abs=0.1)
    at = np.median(spread.at(SIZE, 500), axis=0)
    np.testing.assert_allclose(at, 0.2 * (SIZE / 200) ** 0.3, rtol=0.2)


def test_a_pool_hides_the_spread_of_training_sets():
    rng = np.random.default_rng(2)
    wrong = mistakes(rng, seeds=60, scale=0.2, hidden=SIZE / 800)
    corrected, naive = (estimate_spread(SIZE, wrong, pool, rng) for pool in (800.0, 1e9))
    assert np.median(corrected.at(np.array([400.0]), 1000)) == pytest.approx(0.2, rel=0.25)
    assert np.median(naive.at(np.array([800.0]), 1000)) < 0.15


def test_the_noise_of_test_examples_is_not_the_spread():
    rng = np.random.default_rng(3)
    # Without any spread, 200 examples give a relative standard deviation of 14 % between seeds.
    wrong = mistakes(rng, seeds=40, scale=0.0, examples=200)
    assert np.std(wrong.mean(axis=2)[:, 0]) / 0.2 > 0.1
    spread = estimate_spread(SIZE, wrong, 1e6, rng)
    assert np.median(spread.scale) < 0.04


def test_draws_cover_the_spread_of_few_seeds():
    rng = np.random.default_rng(4)
    inside, trials = 0, 200
    for _ in range(trials):
        scale, slope = 0.05 * np.exp(rng.normal()), 0.2 * rng.normal()  # from the prior
        wrong = mistakes(rng, seeds=3, scale=scale, slope=slope, examples=1000)
        spread = estimate_spread(SIZE, wrong, 1e6, rng, count=200)
        low, high = np.quantile(spread.at(np.array([200.0]), 200), [0.05, 0.95])
        inside += low <= scale <= high
    assert abs(inside / trials - 0.9) < 3 * np.sqrt(0.9 * 0.1 / trials)


def test_one_seed_leaves_the_prior():
    rng = np.random.default_rng(5)
    spread = estimate_spread(SIZE, mistakes(rng, seeds=1, scale=0.3), 1e6, rng)
    assert np.median(spread.scale) == pytest.approx(0.05, rel=0.2)
