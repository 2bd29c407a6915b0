import jax
import jax.numpy as jnp
import numpy as np

from lcjax.curves.standard_errors import bootstrap_error, curve_from_mistakes, draw_indices, mean_and_standard_error


def simulate(rng, r, m, repeat_spread=0.02, example_spread=0.3):
    """Draw mistakes with random effects of repeat and example; the true mean error is 0.5 by symmetry."""
    logit = repeat_spread * 40 * rng.normal(size=(r, 1)) + 10 * example_spread * rng.normal(size=(1, m))
    return rng.random((r, m)) < 1 / (1 + np.exp(-logit))


def test_coverage_of_the_standard_error():
    rng = np.random.default_rng(0)
    wrong = np.stack([simulate(rng, 8, 200, repeat_spread=0.005) for _ in range(400)])
    mean, standard_error = mean_and_standard_error(wrong)
    covered = np.mean(np.abs(np.asarray(mean) - 0.5) < 1.96 * np.asarray(standard_error))
    assert 0.92 <= covered <= 0.995


def test_one_repeat_is_the_binomial_standard_error():
    wrong = np.zeros((1, 100), bool)
    wrong[:, :20] = True
    mean, standard_error = mean_and_standard_error(wrong)
    np.testing.assert_allclose(mean, 0.2, rtol=1e-6)
    np.testing.assert_allclose(standard_error, np.sqrt(0.2 * 0.8 / 99), rtol=1e-6)


def test_curve_fields(x64):
    wrong = np.random.default_rng(1).random((3, 4, 50)) < 0.3
    curve = curve_from_mistakes(np.arange(1, 5), wrong)
    assert curve.error.dtype == (jnp.float64 if x64 else jnp.float32)
    np.testing.assert_allclose(curve.replicates, wrong.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(curve.error, wrong.mean((0, 2)), rtol=1e-6)


def test_bootstrap_mean_and_spread_match_theory():
    wrong = np.random.default_rng(2).random((6, 2, 300)) < np.array([0.4, 0.1])[None, :, None]
    draws = np.asarray(bootstrap_error(jax.random.key(0), wrong, draws=4000))
    np.testing.assert_allclose(draws.mean(0), wrong.mean((0, 2)), atol=5 * draws.std(0).max() / np.sqrt(4000))
    # The exact variance of the two-way bootstrap: repeats, examples, and their interaction (Owen, 2007).
    peculiar = wrong - wrong.mean(0, keepdims=True) - wrong.mean(-1, keepdims=True) + wrong.mean((0, 2), keepdims=True)
    spread = np.sqrt(wrong.mean(-1).var(0) / 6 + wrong.mean(0).var(-1) / 300 + peculiar.var((0, 2)) / (6 * 300))
    np.testing.assert_allclose(draws.std(0), spread, rtol=0.05)


def test_numpy_and_jax_agree(x64):
    """Both resample the same repeats and examples; NumPy sums in double precision."""
    wrong = np.random.default_rng(3).random((4, 3, 70)) < 0.2
    key = jax.random.key(5)
    host, device = bootstrap_error(key, wrong, draws=9), bootstrap_error(key, jnp.asarray(wrong), draws=9)
    mapped = jax.jit(lambda key, wrong: bootstrap_error(key, wrong, draws=9))(key, wrong)
    assert isinstance(host, np.ndarray)
    assert host.dtype == device.dtype
    for other in (device, mapped):
        np.testing.assert_allclose(host, other, rtol=1e-12 if x64 else 1e-5)
    for ours, theirs in zip(mean_and_standard_error(wrong), mean_and_standard_error(jnp.asarray(wrong)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12 if x64 else 1e-5)


def test_indices_are_those_of_randint():
    key = jax.random.key(7)
    np.testing.assert_array_equal(draw_indices(key, 20, 3), jax.random.randint(key, (20,), 0, 3))
