import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.kernels.integration import cube

MOMENT = {1: 0.5, 2: 0.765195716464213 / 2, 4: 1.121899618715861 / 2}


@pytest.mark.parametrize("d", [1, 2, 4])
def test_hypercube_from_density_is_the_direct_mean(d, x64):
    density = np.random.default_rng(0).lognormal(-3, 2, 700)
    density[:3] = 0
    size, radius = np.array([[1.0], [50.0], [1e6]]), np.array([0.05, 2.0])
    size, radius = np.broadcast_arrays(size, radius)
    intensity = size[..., None] * density * radius[..., None] ** d
    with np.errstate(divide="ignore"):
        expected = np.minimum(1, MOMENT[d] * intensity ** (-1 / d)).mean(-1)
    actual = lc.theory.expected_error_from_density(jnp.asarray(size), jnp.asarray(density), jnp.asarray(radius), d=d)
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if x64 else 1e-5)


@pytest.mark.parametrize("law", [lc.laws.hypercube, lc.laws.poisson])
def test_from_density_is_the_mean_of_the_law(law, x64):
    density = np.random.default_rng(1).lognormal(-3, 1, 300)
    size = jnp.array([5.0, 200.0])
    for power in (1, 2) if law is lc.laws.hypercube else (1,):
        log_intensity = jnp.asarray(np.log(np.asarray(size)[:, None] * density * 0.4**2))
        expected = np.asarray(law(log_intensity, d=2, power=power)).mean(1)
        actual = lc.theory.expected_error_from_density(size, jnp.asarray(density), 0.4, d=2, law=law, power=power)
        np.testing.assert_allclose(actual, expected, rtol=1e-12 if x64 else 1e-5)


@pytest.mark.parametrize("law", [lc.laws.hypercube, pytest.param(lc.laws.poisson, marks=pytest.mark.slow)])
def test_from_density_derivatives_match_central_differences(law, x64):
    if not x64:
        pytest.skip("differences need double precision")

    @jax.jit
    def error(size, density, radius):
        return lc.theory.expected_error_from_density(size, density, radius, d=2, law=law).sum()

    at = (np.array([5.0, 200.0]), np.random.default_rng(1).lognormal(-3, 1, 20), np.asarray(0.4))
    gradient = [np.asarray(g) for g in jax.jit(jax.grad(error, argnums=(0, 1, 2)))(*at)]
    rng, h = np.random.default_rng(0), 1e-6
    for _ in range(5):
        move = [rng.normal(size=v.shape) * v for v in at]
        difference = error(*(v + h * m for v, m in zip(at, move, strict=True)))
        difference -= error(*(v - h * m for v, m in zip(at, move, strict=True)))
        along = sum(np.vdot(g, m) for g, m in zip(gradient, move, strict=True))
        np.testing.assert_allclose(along, difference / (2 * h), rtol=1e-6)


def test_from_density_handles_absent_values():
    assert jnp.isnan(lc.theory.expected_error_from_density(jnp.ones(2), jnp.array([0.1, jnp.nan]), 0.5, d=1)).all()
    for law in (lc.laws.hypercube, lc.laws.poisson):
        assert (lc.theory.expected_error_from_density(jnp.ones(2), jnp.zeros(3), 0.5, d=2, law=law) == 1).all()
    with pytest.raises(ValueError, match=r"\(0,\)"):
        lc.theory.expected_error_from_density(jnp.ones(2), jnp.zeros(0), 0.5, d=2)
    with pytest.raises(ValueError, match="binomial"):
        lc.theory.expected_error_from_density(jnp.ones(2), jnp.ones(3), 0.5, d=2, law=lc.theory.binomial)


@pytest.mark.parametrize(
    ("d", "law"),
    [
        (2, lc.laws.poisson),
        *(
            pytest.param(d, law, marks=pytest.mark.slow)
            for d, law in ((1, lc.laws.hypercube), (4, lc.laws.hypercube), (4, lc.laws.poisson))
        ),
    ],
)
def test_qmc_agrees_with_the_contour_integral_within_its_standard_error(d, law, x64):
    rng = np.random.default_rng(d)
    train = lc.Gaussian(jnp.zeros(d), jnp.eye(d))
    test = lc.Gaussian(jnp.asarray(0.5 * rng.normal(size=d)), jnp.asarray(np.diag(rng.uniform(0.6, 1.4, d))))
    size = jnp.array([20.0, 1e2, 3e2, 1e3, 1e4, 1e5])

    @jax.jit
    def estimated(key):
        return lc.theory.expected_error_qmc(key, size, train.log_density, test.unwhiten, 0.4, d=d, law=law, points=1024)

    estimate = estimated(jax.random.key(0))
    exact = np.asarray(lc.expected_error(size, train, test, 0.4, law))
    assert estimate.value.shape == estimate.standard_error.shape == size.shape
    assert estimate.standard_error[0] < 1e-3 * exact[0]
    slack = 1e-13 if x64 else 2e-6
    # At large sizes rare distant points dominate: the estimate is rough there, as its standard error shows.
    assert (np.abs(np.asarray(estimate.value) - exact) < 5 * np.asarray(estimate.standard_error) + slack * exact).all()


def test_qmc_of_a_density_without_a_formula():
    """With a uniform training density on the unit square and test points in one quarter, the law has one intensity."""
    estimate = lc.theory.expected_error_qmc(
        jax.random.key(1),
        jnp.array([100.0, 400.0]),
        lambda x: jnp.where((x > 0).all(-1) & (x < 1).all(-1), 0.0, -jnp.inf),
        lambda uniform: uniform / 2,
        0.2,
        d=2,
        domain=cube,
        points=64,
    )
    expected = lc.laws.hypercube(jnp.log(jnp.array([100.0, 400.0]) * 0.04), d=2)
    np.testing.assert_allclose(estimate.value, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="binomial"):
        lc.theory.expected_error_qmc(jax.random.key(0), jnp.ones(1), jnp.sum, jnp.sum, 0.2, d=2, law=lc.theory.binomial)
