"""Learning curves from repeats against loops in NumPy."""

import jax.numpy as jnp
import numpy as np

from lcjax.curves.learning_curve import curve_from_replicates, mean_of_present

SIZE = np.array([10.0, 20.0, 40.0, 80.0])


def test_replicates_give_mean_and_standard_error(x64):
    rows = np.random.default_rng(0).uniform(0.1, 0.5, size=(4, 4))
    rows[2, 2] = rows[:, 3] = np.nan
    curve = curve_from_replicates(jnp.asarray(SIZE), jnp.asarray(rows), test_count=jnp.asarray(100))
    for i in range(3):
        present = rows[:, i][~np.isnan(rows[:, i])]
        np.testing.assert_allclose(curve.error[i], present.mean(), rtol=1e-12 if x64 else 1e-5)
        expected = present.std(ddof=1) / np.sqrt(present.size)
        np.testing.assert_allclose(curve.standard_error[i], expected, rtol=1e-12 if x64 else 1e-4)
    assert np.isnan(curve.error[3])
    assert curve.test_count == 100
    np.testing.assert_array_equal(curve.replicates, jnp.asarray(rows))
    single = curve_from_replicates(jnp.asarray(SIZE), jnp.asarray(rows[:1]))
    assert np.all(np.isnan(single.standard_error))


def test_two_repeats_have_a_standard_error_of_half_their_difference():
    curve = curve_from_replicates(jnp.ones(1), jnp.array([[0.1], [0.3]]), train_error=jnp.zeros(1))
    np.testing.assert_allclose(curve.standard_error, [0.1], rtol=1e-6)
    assert curve.train_error == 0


def test_means_skip_what_is_absent_along_the_axis():
    values = jnp.array([[[1.0, jnp.nan]], [[3.0, 5.0]]])
    np.testing.assert_array_equal(mean_of_present(values, axis=0), [[2.0, 5.0]])
    np.testing.assert_array_equal(mean_of_present(values, axis=2), [[1.0], [4.0]])
