import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc


@pytest.mark.parametrize(("n", "width", "d"), [(200, 6, 3), (10, 40, 4), (5, 5, 5)])
def test_pca_matches_a_singular_value_decomposition(n, width, d, x64):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, width)) * np.linspace(3, 1, width) + 5
    dtype = np.float64 if x64 else np.float32
    fitted = lc.theory.fit_pca(jnp.asarray(features), d)
    assert fitted.components.dtype == dtype
    _, singular, axes = np.linalg.svd(features - features.mean(0), full_matrices=False)
    keep = d if n > d else d - 1  # n centred points span n - 1 directions
    np.testing.assert_allclose(fitted.variance[:keep], singular[:keep] ** 2 / n, rtol=1e-10 if x64 else 1e-4)
    overlap = np.abs(np.sum(np.asarray(fitted.components) * axes[:d], axis=1))[:keep]
    np.testing.assert_allclose(overlap, 1, rtol=1e-9 if x64 else 1e-3)
    np.testing.assert_allclose(fitted.components @ fitted.components.T, np.eye(d), atol=1e-10 if x64 else 1e-4)
    largest = np.take_along_axis(
        np.asarray(fitted.components), np.abs(fitted.components).argmax(1)[:, None].astype(int), 1
    )
    assert (largest > 0).all()
    projected = lc.fit_gaussian(fitted.project(jnp.asarray(features)))
    np.testing.assert_allclose(np.diag(projected.covariance), fitted.variance, rtol=1e-6, atol=1e-3)


def test_wrong_dimensions_are_named():
    with pytest.raises(ValueError, match="d=4 for features of dimension D=3"):
        lc.theory.fit_pca(jnp.ones((9, 3)), 4)
    with pytest.raises(ValueError, match="d=0 for features of dimension D=3"):
        lc.theory.fit_pca(jnp.ones((9, 3)), 0)
    with pytest.raises(ValueError, match="2 points span fewer than d=3"):
        lc.theory.fit_pca(jnp.ones((2, 5)), 3)
