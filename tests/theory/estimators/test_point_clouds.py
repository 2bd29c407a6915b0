"""Statistics of point clouds: NumPy and JAX agree, also where points coincide."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.theory.dimension import (
    effective_dimension,
    intrinsic_dimensions,
    levina_bickel,
    nearest_neighbor_accuracy,
    spectral_dimension,
    two_nn,
)


@pytest.mark.parametrize("coinciding", [0, 30])
def test_numpy_and_jax_agree(coinciding, x64):
    dtype = np.float64 if x64 else np.float32
    points = np.random.default_rng(0).normal(size=(200, 4)).astype(dtype)
    points[:coinciding] = points[0]
    together = intrinsic_dimensions(points)
    for estimator in (two_nn, levina_bickel, spectral_dimension):
        host, device = estimator(points), estimator(jnp.asarray(points))
        assert isinstance(host.value, np.ndarray)
        assert host.value.dtype == device.value.dtype == dtype
        for estimate in (host, together[estimator.__name__]):
            np.testing.assert_allclose(estimate.value, device.value, rtol=1e-10 if x64 else 1e-4)
            np.testing.assert_allclose(estimate.standard_error, device.standard_error, rtol=1e-10 if x64 else 1e-3)


def test_points_that_all_coincide_have_no_dimension():
    for estimate in intrinsic_dimensions(np.ones((20, 3))).values():
        assert np.isnan(estimate.value)


def test_accuracies_agree():
    rng = np.random.default_rng(1)
    points, labels = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
    arguments = points[:60], labels[:60], points[60:], labels[60:]
    assert nearest_neighbor_accuracy(*arguments) == pytest.approx(
        float(nearest_neighbor_accuracy(*map(jnp.asarray, arguments)))
    )
    width, accuracy = np.arange(1, 4), np.array([0.5, 0.9, np.nan])
    host = effective_dimension(width, accuracy, 0.01, 0.905)
    device = effective_dimension(jnp.asarray(width), jnp.asarray(accuracy), 0.01, 0.905)
    assert host.value == device.value
    np.testing.assert_allclose(host.pvalue, device.pvalue, rtol=1e-4)
