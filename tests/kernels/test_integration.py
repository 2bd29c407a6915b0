"""Expectations against closed forms, the coverage of their errors, and capped means against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from lcjax.kernels.integration import capped_mean, cube, expectation, gaussian, replicate_means, wide_gaussian

K = 0.2
HEAVY = 0.004  # the cap lies at 4.7 standard deviations, as for MNIST in Table 3 of Bisla et al. (2021)


def capped(x, peak=K):
    """Return min(1, psi / delta) of the hypercube law between equal whitened Gaussians."""
    return jnp.minimum(1, peak * jnp.exp(jnp.sum(x * x, axis=1) / (2 * x.shape[1])))


def heavy(x):
    return capped(x, HEAVY)


def closed_form(d, peak=K):
    """THEORY: Qc(d/2, Q/2) + K (1-1/d)^(-d/2) P(d/2, (1-1/d) Q/2), Q = -2 d ln K; Bisla et al. (2021), Eq. 7."""
    q = -2 * d * np.log(peak)
    shrink = 1 - 1 / d
    inside = peak * shrink ** (-d / 2) * scipy.special.gammainc(d / 2, shrink * q / 2)
    return scipy.special.gammaincc(d / 2, q / 2) + inside


@pytest.mark.parametrize("d", [2, pytest.param(3, marks=pytest.mark.slow), 5])
def test_expectation_matches_the_closed_form(d):
    found = expectation(jax.random.key(0), capped, d=d, n=1024)
    assert abs(found.value - closed_form(d)) < 5 * found.standard_error + 2e-6
    assert found.standard_error < 2e-4 * found.value
    assert found.evaluations == 1024 * 16


@pytest.mark.parametrize("d", [1, *(pytest.param(d, marks=pytest.mark.slow) for d in (2, 3)), 7])
def test_wide_points_have_the_weights_of_standard_ones(d):
    powers = expectation(
        jax.random.key(0), lambda x: jnp.sum(x**2, axis=1)[:, None] ** jnp.arange(3), d=d, domain=wide_gaussian
    )
    assert np.all(np.abs(powers.value - np.array([1, d, d * (d + 2)])) < 5 * powers.standard_error + 3e-6)
    assert np.all(powers.standard_error < 1e-3 * powers.value)


def test_wide_points_need_fewer_for_an_integrand_of_the_tail():
    few, many = (
        expectation(jax.random.key(0), heavy, d=2, n=1024, domain=domain).standard_error
        for domain in (wide_gaussian, gaussian)
    )
    assert 50 * few < many


def test_a_tolerance_is_met_with_as_many_points_as_it_takes():
    found = jax.jit(lambda key: expectation(key, capped, d=3, n=64, rtol=1e-4))(jax.random.key(1))
    assert found.standard_error <= 1e-4 * found.value
    assert 64 * 16 <= found.evaluations < 2**16
    assert abs(found.value - closed_form(3)) < 5 * found.standard_error
    assert found.evaluations % (64 * 16) == 0


@pytest.mark.parametrize(
    ("f", "options", "exact"),
    [
        pytest.param(capped, {"d": 2, "n": 64}, closed_form(2), marks=pytest.mark.slow),
        (capped, {"d": 3, "n": 64}, closed_form(3)),
        pytest.param(capped, {"d": 2, "n": 64, "domain": wide_gaussian}, closed_form(2), marks=pytest.mark.slow),
        (heavy, {"d": 2, "n": 256, "domain": wide_gaussian}, closed_form(2, HEAVY)),
        pytest.param(
            lambda x: jnp.exp(jnp.sum(x, axis=1)),
            {"d": 3, "n": 64, "domain": cube},
            (np.e - 1) ** 3,
            marks=pytest.mark.slow,
        ),
        (
            lambda x: (x[:, 0] * x[:, 1] > 0.3).astype(x.dtype),
            {"d": 2, "n": 64, "domain": cube},
            0.7 + 0.3 * np.log(0.3),
        ),
    ],
    ids=["capped 2", "capped 3", "wide", "heavy", "smooth", "step"],
)
def test_error_barss_are_honest(f, options, exact):
    """Coverage of 95 % intervals over 200 seeds, smooth and kinked integrands, two domains."""
    keys = jax.random.split(jax.random.key(0), 200)
    found = jax.jit(jax.vmap(lambda key: expectation(key, f, **options)))(keys)
    reach = scipy.stats.t.ppf(0.975, 15) * np.asarray(found.standard_error)
    covered = np.mean(np.abs(np.asarray(found.value) - exact) <= reach)
    assert 0.90 <= covered <= 0.99, (options, covered)


def test_expectation_is_differentiable(x64):
    def value(a):
        return expectation(jax.random.key(0), lambda x: jnp.exp(a * x[:, 0]), d=2, n=1024).value

    a = jnp.asarray(0.3)
    np.testing.assert_allclose(jax.grad(value)(a), 0.3 * np.exp(0.045), rtol=2e-3)


def test_randomizations_are_independent_of_each_other():
    keys = jax.random.split(jax.random.key(0), 6)
    whole = replicate_means(keys, capped, d=2, n=64)
    np.testing.assert_array_equal(whole[2:4], replicate_means(keys[2:4], capped, d=2, n=64))


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="n=100"):
        expectation(jax.random.key(0), capped, d=2, n=100)
    with pytest.raises(ValueError, match="randomizations=1"):
        expectation(jax.random.key(0), capped, d=2, randomizations=1)


@pytest.mark.parametrize("power", [None, 2])
def test_capped_means_match_numpy(power, x64):
    rng = np.random.default_rng(0)
    dtype = np.float64 if x64 else np.float32
    sample = rng.lognormal(sigma=2, size=100_003).astype(dtype)
    sample[:3] = np.inf
    scale = np.logspace(-5, 3, 60).astype(dtype).reshape(6, 10)
    expected = np.mean(np.minimum(1, scale[..., None].astype(np.float64) * sample) ** (power or 1), axis=-1)
    actual = capped_mean(jnp.asarray(sample), jnp.asarray(scale), **({"power": power} if power else {}))
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if x64 else 2e-6)


def capped_power(power):
    return lambda sample, scale: capped_mean(sample, scale, power=power)


SLOPE = {p: jax.jit(jax.vmap(jax.grad(capped_power(p), 1), (None, 0))) for p in (1, 2)}
BY_SAMPLE = {p: jax.jit(jax.grad(capped_power(p))) for p in (1, 2)}


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), power=st.sampled_from([1, 2]))
def test_capped_means_rise_with_the_scale_and_have_its_derivative(seed, power, x64):
    rng = np.random.default_rng(seed)
    sample = jnp.asarray(rng.exponential(size=37))
    scale = jnp.asarray(np.sort(rng.exponential(size=9)))
    mean = np.asarray(capped_mean(sample, scale, power=power))
    assert np.all(np.diff(mean) >= -1e-6)
    assert np.all((mean >= 0) & (mean <= 1 + 1e-6))
    slope = SLOPE[power](sample, scale)
    sample, scale = np.asarray(sample), np.asarray(scale)
    below = scale[:, None] * sample < 1
    exact = np.where(below, power * scale[:, None] ** (power - 1) * sample**power, 0)
    np.testing.assert_allclose(slope, exact.mean(axis=1), rtol=1e-10 if x64 else 1e-4, atol=1e-6)
    by_sample = BY_SAMPLE[power](sample, scale[4])
    exact = np.where(below[4], power * scale[4] ** power * sample ** (power - 1), 0) / 37
    np.testing.assert_allclose(by_sample, exact, rtol=1e-10 if x64 else 1e-4, atol=1e-7)


def test_a_missing_sample_shows():
    assert jnp.isnan(capped_mean(jnp.array([1.0, jnp.nan]), jnp.array(0.5)))


def test_lowers_for_every_platform():
    def both(data, sample, scale):
        key = jax.random.wrap_key_data(data)
        return expectation(key, capped, d=3, n=16, rtol=1e-2).value, capped_mean(sample, scale)

    data = jax.random.key_data(jax.random.key(0))
    exported = jax.export.export(jax.jit(both), platforms=("cpu", "cuda", "tpu"))(data, jnp.ones(9), jnp.ones(4))
    assert exported.platforms == ("cpu", "cuda", "tpu")
