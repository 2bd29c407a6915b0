import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import lcjax as lc
from lcjax.theory.simulation import _nearest_distance


def standard(d):
    return lc.Gaussian(jnp.zeros(d), jnp.eye(d))


@functools.cache
def binomial_error(size, d, radius, power=1):
    """Return the exact expectation for standard normal training and test points, with SciPy.

    `E[min(1, (R/radius)^p)] = int_0^1 P(R > radius u^(1/p)) du` with `P(R > r) = (1 - F(r^2))^N`, F the non-central
    chi-square distribution function of a squared distance.
    """
    node, weight = np.polynomial.legendre.leggauss(20)
    top = np.sqrt(scipy.stats.chi2.isf(1e-10, d))
    norm, norm_weight = np.polynomial.legendre.leggauss(200)
    norm, norm_weight = (norm + 1) * top / 2, norm_weight * top / 2
    norm_weight = norm_weight * scipy.stats.chi.pdf(norm, d)
    total = 0.0
    for low, high in itertools.pairwise(np.geomspace(1e-9, 1, 28)):
        u, u_weight = low + (high - low) * (node + 1) / 2, weight * (high - low) / 2
        mass = scipy.stats.ncx2.cdf((radius * u ** (1 / power))[:, None] ** 2, d, norm**2)
        total += u_weight @ (1 - mass) ** size @ norm_weight
    return total + 1e-9


@pytest.mark.parametrize(
    ("d", "size", "radius", "power"),
    [
        (1, 100, 1.0, 1),
        (2, 300, 0.5, 2),
        pytest.param(3, 1000, 1.0, 1, marks=pytest.mark.slow),
        pytest.param(8, 100, 2.0, 1, marks=pytest.mark.slow),
    ],
)
def test_simulation_meets_the_exact_law(d, size, radius, power):
    expected = binomial_error(size, d, radius, power)
    curve = lc.simulate_error(
        jax.random.key(d), jnp.array([size]), standard(d), standard(d), radius, 1000, 60, power=power, average=d != 3
    )
    assert abs(float(curve.error[0]) - expected) < 4 * float(curve.standard_error[0])


SIZES, TEST_SIZE, REPEATS = jnp.full(4, 100), 300, 160


def simulate(key, scale=1.0, average=False):
    """Simulate four columns of one size, with one program for each value of `average`."""
    density = lc.Gaussian(jnp.zeros(2), scale**2 * jnp.eye(2))
    return lc.simulate_error(jax.random.key(key), SIZES, density, density, scale, TEST_SIZE, REPEATS, average=average)


@pytest.mark.slow
def test_averaging_keeps_the_expectation_and_lowers_the_noise():
    sampled, averaged = simulate(0), simulate(0, average=True)
    assert averaged.standard_error[0] < 0.7 * sampled.standard_error[0]
    assert abs(float(sampled.error[0] - averaged.error[0])) < 4 * float(sampled.standard_error[0])
    counts = np.asarray(sampled.replicates) * TEST_SIZE
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)
    assert abs(float(averaged.error.mean()) - binomial_error(100, 2, 1.0)) < 4 * float(averaged.standard_error[0])


def test_spread_of_failures_is_binomial_and_sets_are_fresh():
    # Columns of equal size are independent draws; shared sets would correlate them.
    replicates = np.asarray(simulate(1).replicates, float)
    assert replicates.shape == (REPEATS, 4)
    p = replicates.mean()
    spread = replicates.std() / np.sqrt(p * (1 - p) / TEST_SIZE)
    assert 0.9 < spread < 1.3  # slightly above binomial: points of one repeat share their training set
    correlation = np.corrcoef(replicates.T)[np.triu_indices(4, 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(REPEATS)
    rows = np.corrcoef(replicates[:-1].ravel(), replicates[1:].ravel())[0, 1]
    assert abs(rows) < 4.5 / np.sqrt(replicates.size)


def test_units_do_not_matter():
    small, large = simulate(0, average=True), simulate(0, scale=1e3, average=True)
    np.testing.assert_allclose(large.replicates, small.replicates, rtol=1e-4)


NEAREST = jax.jit(_nearest_distance)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("size", [1, 2048, 20_000])
def test_distances_in_pieces_match_brute_force(d, size):
    train = lc.Gaussian(jnp.arange(d) * 1.0, jnp.eye(d) * 2.0 + 0.3)
    points = standard(d).sample(jax.random.key(2), 7)
    key = jax.random.key(3)
    piece = 2**14 if d == 1 else 2**11
    sample = np.concatenate([train.sample(jax.random.fold_in(key, i), piece) for i in range(-(-size // piece))])[:size]
    expected = np.linalg.norm(np.asarray(points, float)[:, None] - sample[None].astype(float), axis=2).min(axis=1)
    distance = NEAREST(key, points, train, jnp.asarray(size, jnp.int32))
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-6)


def test_radii_are_mapped_over():
    def curve(radius):
        return lc.simulate_error(jax.random.key(0), jnp.array([10, 100]), standard(2), standard(2), radius, 50, 4)

    stacked = jax.jit(jax.vmap(curve))(jnp.array([1.0, 1e-6]))
    direct = curve(1.0)
    assert direct.replicates.shape == (4, 2)
    assert int(direct.test_count) == 50
    np.testing.assert_allclose(stacked.replicates[0], direct.replicates, atol=1e-6)
    assert float(stacked.error[1].min()) > 0.999


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_size": 0}, "at least 1, got 0 and 20"),
        ({"repeats": 0}, "got 1000 and 0"),
        ({"power": 3}, "power must be 1 or 2, got 3"),
        ({"test": 3}, "differ in dimension"),
    ],
)
def test_wrong_arguments(change, message):
    options = {name: value for name, value in change.items() if name != "test"}
    test = standard(change.get("test", 2))
    with pytest.raises(ValueError, match=message):
        lc.simulate_error(jax.random.key(0), jnp.array([10]), standard(2), test, 1.0, **options)
