import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.theory.spacings import expected_gap, gap_statistics


@pytest.mark.parametrize("k", [1, 5, 50])
def test_variance_of_neighboring_gaps_is_close_to_their_squared_mean(k, x64):
    """Eq. (3) of the paper: Var/E is close to E; exactly k/(k+1) of it for independent points."""
    points = jax.random.normal(jax.random.key(0), (200_000,))
    statistics = gap_statistics(points[jnp.abs(points) < 1], k=k)
    ratio = np.asarray(statistics.ratio, np.float64)[:: 2 * k + 1]  # windows that do not overlap
    standard_error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - k / (k + 1)) < 5 * standard_error
    corrected = np.asarray(statistics.corrected / statistics.mean, np.float64)
    np.testing.assert_allclose(corrected.mean(), 1 + statistics.ratio.mean(), rtol=1e-5)


def test_gap_statistics_match_numpy(x64):
    points = np.random.default_rng(0).normal(size=40)
    gaps = np.lib.stride_tricks.sliding_window_view(np.diff(np.sort(points)), 5)
    statistics = gap_statistics(jnp.asarray(points), k=2)
    rtol = 1e-10 if x64 else 2e-4
    np.testing.assert_allclose(statistics.mean, gaps.mean(1), rtol=rtol)
    np.testing.assert_allclose(statistics.variance, gaps.var(1), rtol=rtol)
    np.testing.assert_allclose(statistics.corrected, (gaps**2).sum(1) / gaps.sum(1), rtol=rtol)


def test_expected_gap_is_twice_the_mean_gap_after_correction():
    size, density = jnp.array([100.0]), jnp.array([0.25])
    assert expected_gap(size, density)[0] == 2 * expected_gap(size, density, corrected=False)[0] == pytest.approx(0.08)
    # psi = rho' / 4 is the paper's distance at d = 1
    np.testing.assert_allclose(
        expected_gap(size, density) / 4, lc.laws.hypercube(jnp.log(size * density), d=1), rtol=1e-6
    )


def test_wrong_arguments_are_named():
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k={k} with n=10"):
            gap_statistics(jnp.arange(10.0), k=k)
