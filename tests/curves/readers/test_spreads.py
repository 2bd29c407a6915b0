"""Repeats with a given mean and spread, and their effect on a forecast."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.curves.readers.spreads import repeats_from_spread


@given(mean=st.floats(0.01, 1), share=st.floats(0, 0.3), count=st.integers(1, 30), sizes=st.integers(1, 5))
def test_mean_deviation_and_number_are_those_given(mean, share, count, sizes):
    shape = (2, sizes)
    repeats = repeats_from_spread(np.full(shape, mean), np.full(shape, mean * share), np.full(shape, float(count)))
    assert repeats.shape == (2, count, sizes)
    np.testing.assert_allclose(repeats.mean(axis=1), mean, rtol=1e-9)
    if count > 1:
        np.testing.assert_allclose(repeats.std(axis=1, ddof=1), mean * share, rtol=1e-6, atol=1e-12)


def test_sizes_may_have_different_numbers_of_repeats():
    repeats = repeats_from_spread(np.array([[0.4, 0.3]]), np.array([[0.1, np.nan]]), np.array([[3.0, np.nan]]))
    assert np.isnan(repeats).sum(axis=1).tolist() == [[0, 2]]
    assert repeats_from_spread(np.array([[0.1]]), np.array([[0.2]]), np.array([[4.0]])) is None


@pytest.mark.slow
def test_a_spread_informs_the_forecast_as_the_repeats_do(tmp_path):
    size = 100.0 * 2.0 ** np.arange(6)
    runs = size**-0.3 * np.exp(0.1 * np.random.default_rng(0).normal(size=(8, 6)))
    table = lc.read_curves(
        {"size": size, "error": runs.mean(axis=0), "error_std": runs.std(axis=0, ddof=1), "n_repeats": [8] * 6}
    )
    given, raw = (
        lc.forecast(jax.random.key(0), lc.LearningCurve(size, runs.mean(axis=0), None, repeats))
        for repeats in (table.curve.replicates[0], runs)
    )
    np.testing.assert_allclose(given.predict(4 * size[-1:]), raw.predict(4 * size[-1:]), rtol=0.02)
    np.testing.assert_allclose(given.noise_level, raw.noise_level, rtol=0.1)
