"""The lower envelope of a family against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.envelope import envelope_draws, lower_envelope

SIZE = np.array([10.0, 20.0, 40.0, 80.0])


def family(seed=0, members=3, repeats=4):
    rng = np.random.default_rng(seed)
    validation, test = rng.uniform(0.1, 0.5, size=(2, members, repeats, SIZE.size))
    validation[0, :, 1] = np.nan  # a member that was not run at this size
    validation[1, 2, 2] = test[1, 2, 2] = np.nan  # a failed repeat
    validation[:, :, 3] = test[:, :, 3] = np.nan  # a size at which nothing was run
    return validation, test


def test_envelope_selects_by_validation_and_reports_the_test_error(x64):
    validation, test = family()
    envelope = lower_envelope(jnp.asarray(SIZE), jnp.asarray(validation), jnp.asarray(test))
    for i in range(3):
        means = [np.nanmean(v) if np.any(~np.isnan(v)) else np.inf for v in validation[:, :, i]]
        best = int(np.argmin(means))
        assert int(envelope.choice[i]) == best
        np.testing.assert_allclose(envelope.curve.error[i], np.nanmean(test[best, :, i]), rtol=1e-5)
        np.testing.assert_allclose(envelope.curve.replicates[:, i], test[best, :, i], rtol=1e-6)
    assert int(envelope.choice[3]) == -1
    assert np.isnan(envelope.curve.error[3])
    assert envelope.curve.error.dtype == (jnp.float64 if x64 else jnp.float32)


def test_test_errors_of_a_size_without_validation_are_ignored():
    validation, test = family()
    test[0, :, 3] = 0.2
    envelope = lower_envelope(jnp.asarray(SIZE), jnp.asarray(validation), jnp.asarray(test))
    assert np.isnan(envelope.curve.error[3])


def test_selection_does_not_use_test_errors():
    """With independent noise in validation and test, the envelope is unbiased; selection by test error is not."""
    rng = np.random.default_rng(1)
    validation, test = 0.3 + 0.05 * rng.normal(size=(2, 10, 2, 4000))
    envelope = lower_envelope(jnp.arange(1.0, 4001.0), jnp.asarray(validation), jnp.asarray(test))
    mean = float(np.mean(envelope.curve.error))
    assert abs(mean - 0.3) < 5 * 0.05 / np.sqrt(2 * 4000)
    assert test.mean(axis=1).min(axis=0).mean() < 0.3 - 0.04  # the bias of selection by test error


def test_envelope_draws_select_again():
    validation, test = family(repeats=3)
    draws = np.asarray(envelope_draws(jax.random.key(0), jnp.asarray(validation), jnp.asarray(test), draws=400))
    possible = []
    for rows in np.ndindex(3, 3, 3):
        best = np.argmin(validation[:, rows, 0].mean(axis=1))
        possible.append(test[best, rows, 0].mean())
    # Every draw is one of the 27 resamples, and all distinct resamples occur.
    distance = np.abs(draws[:, 0][:, None] - np.array(possible))
    assert distance.min(axis=1).max() < 1e-6
    assert distance.min(axis=0).max() < 1e-6
    assert np.all(np.isnan(draws[:, 3]))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        lower_envelope(jnp.ones(5), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"\(2, 3, 5\)"):
        lower_envelope(jnp.ones(4), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 5)))
