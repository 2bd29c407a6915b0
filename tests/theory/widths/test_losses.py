"""Simultaneous intervals of losses: quantiles of scipy, coverage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.theory.widths.losses import width_losses

WIDTH = np.arange(1, 9)


def test_the_intervals_are_bonferronis(x64):
    accuracy = np.array([0.5, np.nan, 0.9, 0.92], np.float64 if x64 else np.float32)
    losses = width_losses(WIDTH[:4], accuracy, 0.01, 0.95, level=0.8)
    half = scipy.stats.norm.ppf(1 - 0.2 / 6) * 0.01
    np.testing.assert_allclose(losses.loss, 0.95 - accuracy, rtol=1e-5)
    np.testing.assert_allclose(losses.high - losses.loss, np.where(np.isnan(accuracy), np.nan, half), rtol=1e-4)
    np.testing.assert_allclose(losses.low, 2 * losses.loss - losses.high, rtol=1e-4, atol=1e-6)
    assert losses.loss.dtype == accuracy.dtype
    traced = jax.jit(lambda a: width_losses(WIDTH[:4], a, 0.01, 0.95, level=0.8))(jnp.asarray(accuracy))
    np.testing.assert_allclose(traced.low, losses.low, rtol=1e-5)


@pytest.mark.parametrize("common", [0.0, 0.9])
def test_all_losses_are_covered_at_once(common):
    """Independent errors meet the level; correlated ones exceed it."""
    rng, truth, error = np.random.default_rng(0), np.linspace(0.3, 0.0, 8), np.linspace(0.02, 0.01, 8)
    noise = np.sqrt(common) * rng.normal(size=(4000, 1)) + np.sqrt(1 - common) * rng.normal(size=(4000, 8))
    losses = width_losses(WIDTH, 0.9 - truth + error * noise, error, np.full(4000, 0.9))
    covered = np.mean(np.all((losses.low <= truth) & (truth <= losses.high), axis=-1))
    assert covered > 0.9 - 5 * np.sqrt(0.09 / 4000)
    assert covered < (0.92 if common == 0 else 0.98)


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match=r"got 1\.0"):
        width_losses(WIDTH, np.ones(8), 0.01, 1.0, level=1.0)
    with pytest.raises(ValueError, match=r"\(8,\) do not match accuracies of shape \(7,\)"):
        width_losses(WIDTH, np.ones(7), 0.01, 1.0)
