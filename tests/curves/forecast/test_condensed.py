"""Curves condensed to a fixed number of points, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.forecast.condensed import condense

POINTS = 8
condensed = jax.jit(lambda size, error, count: condense(size, error, count, points=POINTS))


def reference(size, error, count):
    there = np.isfinite(error) & (error >= 0) & (size > 0)
    order = np.argsort(size[there], kind="stable")
    x, y, c = (a[there][order] for a in (size, error, count))
    y = np.maximum(y, 0.5 * y[y > 0].min())
    t, v = np.log(x / x[-1]), np.log(y / y[-1])
    if len(x) <= POINTS:
        return t, v, c
    place = 0.5 * np.arange(len(x)) / (len(x) - 1) + 0.5 * (1 - t / t[0])
    place = np.minimum((place * POINTS).astype(int), POINTS - 1)
    groups = [place == i for i in range(POINTS) if np.any(place == i)]
    counts = np.array([c[g].sum() for g in groups])
    means = [np.array([np.sum(c[g] * a[g]) for g in groups]) / counts for a in (t, v)]
    return means[0], means[1], counts


@given(seed=st.integers(0, 2**32 - 1), absent=st.integers(0, 24))
def test_points_are_those_of_numpy(seed, absent, x64):
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(0, 8, 30))
    error = rng.uniform(0.05, 1, 30)
    error[rng.permutation(30)[:absent]] = np.nan
    count = rng.integers(1, 4, 30).astype(float)
    curve = condensed(jnp.asarray(size), jnp.asarray(error), jnp.asarray(count))
    there = np.asarray(curve.present)
    t, v, c = reference(size, error, count)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if x64 else {"rtol": 2e-4, "atol": 2e-4}
    if not x64 and there.sum() != len(t):  # a point on the border of two bins
        return
    np.testing.assert_allclose(np.asarray(curve.time)[there], t, **tolerance)
    np.testing.assert_allclose(np.asarray(curve.log_error)[there], v, **tolerance)
    np.testing.assert_allclose(np.asarray(curve.count)[there], c, **tolerance)
    present = np.isfinite(error)
    np.testing.assert_allclose(curve.largest, size[present].max(), rtol=1e-6)
    np.testing.assert_allclose(curve.smallest, size[present].min(), rtol=1e-6)


def test_zeros_count_as_half_of_the_smallest_error_and_bad_rows_are_absent():
    size, error = jnp.array([1.0, 2.0, 4.0, 8.0, -1.0, 16.0]), jnp.array([0.4, 0.2, 0.1, 0.0, 0.3, -0.1])
    curve = condense(size, error, points=POINTS)
    assert int(curve.present.sum()) == 4
    np.testing.assert_allclose(np.exp(curve.last), 0.05, rtol=1e-6)
    assert float(curve.largest) == 8.0


def test_a_curve_without_sizes_is_nan():
    curve = condense(jnp.ones(3), jnp.full(3, jnp.nan), points=POINTS)
    assert np.isnan(curve.largest)
    assert not np.any(curve.present)
