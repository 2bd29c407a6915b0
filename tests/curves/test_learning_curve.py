"""Curves from repeats, and the lower envelope of a family, against loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.envelope import envelope_draws, lower_envelope
from lcjax.curves.learning_curve import curve_from_replicates

SIZE = np.array([10.0, 20.0, 40.0, 80.0])


def family(seed=0, members=3, repeats=4):
    rng = np.random.default_rng(seed)
    validation, test = rng.uniform(0.1, 0.5, size=(2, members, repeats, SIZE.size))
    validation[0, :, 1] = np.nan  # a member that was not run at this size
    validation[1, 2, 2] = test[1, 2, 2] = np.nan  # a repeat that failed
    validation[:, :, 3] = test[:, :, 3] = np.nan  # a size that nobody ran
    return validation, test


def test_replicates_give_mean_and_standard_error(x64):
    rows = family()[1][1]
    curve = curve_from_replicates(jnp.asarray(SIZE), jnp.asarray(rows))
    for i in range(3):
        here = rows[:, i][~np.isnan(rows[:, i])]
        np.testing.assert_allclose(curve.error[i], here.mean(), rtol=1e-12 if x64 else 1e-5)
        expected = here.std(ddof=1) / np.sqrt(here.size)
        np.testing.assert_allclose(curve.standard_error[i], expected, rtol=1e-12 if x64 else 1e-4)
    assert np.isnan(curve.error[3])
    single = curve_from_replicates(jnp.asarray(SIZE), jnp.asarray(rows[:1]))
    assert np.all(np.isnan(single.standard_error))


def test_envelope_chooses_by_validation_and_reports_the_test_error(x64):
    validation, test = family()
    envelope = lower_envelope(jnp.asarray(SIZE), jnp.asarray(validation), jnp.asarray(test))
    for i in range(3):
        means = [np.nanmean(v) if np.any(~np.isnan(v)) else np.inf for v in validation[:, :, i]]
        chosen = int(np.argmin(means))
        assert int(envelope.choice[i]) == chosen
        np.testing.assert_allclose(envelope.curve.error[i], np.nanmean(test[chosen, :, i]), rtol=1e-5)
        np.testing.assert_allclose(envelope.curve.replicates[:, i], test[chosen, :, i], rtol=1e-6)
    assert int(envelope.choice[3]) == -1
    assert np.isnan(envelope.curve.error[3])
    assert envelope.curve.error.dtype == (jnp.float64 if x64 else jnp.float32)


def test_envelope_does_not_look_at_test_errors():
    """With choice and score on independent noise the envelope is unbiased; a choice by test error would be too low."""
    rng = np.random.default_rng(1)
    validation, test = 0.3 + 0.05 * rng.normal(size=(2, 10, 2, 4000))
    envelope = lower_envelope(jnp.arange(1.0, 4001.0), jnp.asarray(validation), jnp.asarray(test))
    mean = float(np.mean(envelope.curve.error))
    assert abs(mean - 0.3) < 5 * 0.05 / np.sqrt(2 * 4000)
    assert test.mean(axis=1).min(axis=0).mean() < 0.3 - 0.04  # what choosing by the test error would report


def test_envelope_draws_choose_again():
    validation, test = family(repeats=3)
    draws = np.asarray(envelope_draws(jax.random.key(0), jnp.asarray(validation), jnp.asarray(test), draws=400))
    possible = []
    for rows in np.ndindex(3, 3, 3):
        chosen = np.argmin(validation[:, rows, 0].mean(axis=1))
        possible.append(test[chosen, rows, 0].mean())
    # Every draw is one of the 27 resamples, and all of the distinct ones come up.
    distance = np.abs(draws[:, 0][:, None] - np.array(possible))
    assert distance.min(axis=1).max() < 1e-6
    assert distance.min(axis=0).max() < 1e-6
    assert np.all(np.isnan(draws[:, 3]))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        lower_envelope(jnp.ones(5), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"\(2, 3, 5\)"):
        lower_envelope(jnp.ones(4), jnp.ones((2, 3, 4)), jnp.ones((2, 3, 5)))
