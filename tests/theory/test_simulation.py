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
    """Exact expectation for standard normal train and test points, by SciPy's distributions and quadrature.

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
    ("d", "size", "radius", "power"), [(1, 100, 1.0, 1), (2, 300, 0.5, 2), (3, 1000, 1.0, 1), (8, 100, 2.0, 1)]
)
def test_simulation_meets_the_exact_law(d, size, radius, power):
    expected = binomial_error(size, d, radius, power)
    curve = lc.simulate_error(
        jax.random.key(d), jnp.array([size]), standard(d), standard(d), radius, 1000, 60, power=power, average=d != 3
    )
    assert abs(float(curve.error[0]) - expected) < 4 * float(curve.standard_error[0])


def test_averaging_keeps_the_expectation_and_lowers_the_noise():
    arguments = (jnp.array([200]), standard(2), standard(2), 1.0, 400, 100)
    drawn = lc.simulate_error(jax.random.key(0), *arguments)
    averaged = lc.simulate_error(jax.random.key(0), *arguments, average=True)
    assert averaged.standard_error[0] < 0.7 * drawn.standard_error[0]
    assert abs(float(drawn.error[0] - averaged.error[0])) < 4 * float(drawn.standard_error[0])
    counts = np.asarray(drawn.replicates) * 400
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)


def test_spread_of_failures_is_binomial_and_sets_are_fresh():
    # Columns of equal size are independent draws; shared sets would correlate them.
    curve = lc.simulate_error(jax.random.key(1), jnp.full(5, 50), standard(1), standard(1), 1.0, 300, 160)
    replicates = np.asarray(curve.replicates, float)
    p = replicates.mean()
    spread = replicates.std() / np.sqrt(p * (1 - p) / 300)
    assert 0.9 < spread < 1.3  # a little above binomial: points of one repeat share their training set
    correlation = np.corrcoef(replicates.T)[np.triu_indices(5, 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(160)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("size", [1, 2048, 20_000])
def test_distances_in_pieces_match_brute_force(d, size):
    train = lc.Gaussian(jnp.arange(d) * 1.0, jnp.eye(d) * 2.0 + 0.3)
    points = standard(d).sample(jax.random.key(2), 7)
    key = jax.random.key(3)
    piece = 2**14 if d == 1 else 2**11
    drawn = np.concatenate([train.sample(jax.random.fold_in(key, i), piece) for i in range(-(-size // piece))])[:size]
    expected = np.linalg.norm(np.asarray(points, float)[:, None] - drawn[None].astype(float), axis=2).min(axis=1)
    found = _nearest_distance(key, points, train, jnp.asarray(size, jnp.int32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_curve_has_the_shape_it_says_and_works_under_jit_and_vmap():
    sizes = jnp.array([10, 100])

    def curve(key, radius):
        return lc.simulate_error(key, sizes, standard(2), standard(2), radius, 50, 4)

    direct = curve(jax.random.key(0), 1.0)
    assert direct.replicates.shape == (4, 2)
    assert int(direct.test_count) == 50
    np.testing.assert_array_equal(jax.jit(curve)(jax.random.key(0), 1.0).replicates, direct.replicates)
    stacked = jax.vmap(curve, in_axes=(None, 0))(jax.random.key(0), jnp.array([1.0, 1e-6]))
    np.testing.assert_allclose(stacked.replicates[0], direct.replicates, atol=1e-6)
    assert float(stacked.error[1].min()) > 0.999


def test_units_do_not_matter():
    sizes = jnp.array([100])
    small = lc.simulate_error(jax.random.key(0), sizes, standard(2), standard(2), 1.0, 200, 3, average=True)
    scaled = lc.Gaussian(jnp.zeros(2), 1e6 * jnp.eye(2))
    large = lc.simulate_error(jax.random.key(0), sizes, scaled, scaled, 1e3, 200, 3, average=True)
    np.testing.assert_allclose(large.replicates, small.replicates, rtol=1e-4)


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
