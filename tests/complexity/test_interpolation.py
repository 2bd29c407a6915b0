import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from sklearn.metrics.pairwise import polynomial_kernel as sklearn_polynomial
from sklearn.metrics.pairwise import rbf_kernel

from lcjax.complexity.interpolation import gaussian_kernel, kernel_interpolation, linear_kernel, polynomial_kernel
from lcjax.complexity.minimum_norm import minimum_norm
from lcjax.kernels.linear_systems.block_cholesky import factorize, solve
from tests.problems import run_with_devices

N, D = 70, 5
RNG = np.random.default_rng(0)
POINTS, VALUES, QUERIES = RNG.normal(size=(N, D)), RNG.normal(size=(N, 3)), RNG.normal(size=(40, D))


def close(x64):
    return {"rtol": 1e-8, "atol": 1e-8} if x64 else {"rtol": 2e-3, "atol": 2e-3}


@pytest.mark.parametrize("block", [16, 70, pytest.param(100, marks=pytest.mark.slow), 1])
def test_block_cholesky_matches_scipy(block, x64):
    points = jnp.asarray(POINTS[:23] if block == 1 else POINTS)
    kernel = gaussian_kernel(0.5)
    factor = factorize(kernel, points, ridge=0.1, block=min(block, len(points)))
    assert [len(row) for row in factor] == list(range(1, len(factor) + 1))  # only the lower triangle
    matrix = rbf_kernel(np.asarray(points, float), gamma=0.5) + 0.1 * np.eye(len(points))
    whole = np.block([[factor[i][j] if j <= i else np.zeros_like(factor[0][0]) for j in range(len(factor))]
                      for i in range(len(factor))])[: len(points), : len(points)]  # fmt: skip
    np.testing.assert_allclose(whole, scipy.linalg.cholesky(matrix, lower=True), **close(x64))
    values = VALUES[: len(points)]
    np.testing.assert_allclose(solve(factor, jnp.asarray(values)), np.linalg.solve(matrix, values), **close(x64))


def exponential_of_product(queries, points):
    return jnp.exp(queries @ points.T / 10)


KERNELS = {
    "gaussian": (gaussian_kernel(0.3), lambda a, b: rbf_kernel(a, b, gamma=0.3)),
    "polynomial": (
        polynomial_kernel(4, offset=2.0, scale=0.5),
        lambda a, b: sklearn_polynomial(a, b, degree=4, coef0=2, gamma=0.5),
    ),
    "own": (exponential_of_product, lambda a, b: np.exp(a @ b.T / 10)),
}


QUICK = {("gaussian", "exact"), ("polynomial", "iterative"), ("own", "preconditioned"), ("own", "exact")}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(name, form, marks=() if (name, form) in QUICK else pytest.mark.slow)
        for name in KERNELS
        for form in ("exact", "iterative", "preconditioned")
    ],
)
def test_kernel_interpolation_matches_a_dense_solve(name, form):
    kernel, reference = KERNELS[name]
    options = {"block": 16, "iterative": form != "exact", "rank": 20 if form == "preconditioned" else 0}
    with jax.enable_x64(True):
        found = kernel_interpolation(POINTS, VALUES, kernel, ridge=0.01, tolerance=1e-11, **options)
        matrix = reference(POINTS, POINTS)
        alpha = np.linalg.solve(matrix + 0.01 * np.eye(N), VALUES)
        np.testing.assert_allclose(found.predict(QUERIES), reference(QUERIES, POINTS) @ alpha, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.norm, np.sqrt(np.trace(alpha.T @ matrix @ alpha)), rtol=1e-6)
        assert bool(found.converged)
        assert float(found.residual) < 1e-8


@pytest.mark.parametrize("iterative", [False, True])
def test_interpolation_goes_through_the_values_far_from_the_origin(iterative):
    points = (POINTS + 1000).astype(np.float32).reshape(N, 5, 1)
    found = kernel_interpolation(points, VALUES[:, 0], gaussian_kernel(1.0), iterative=iterative, tolerance=1e-6)
    np.testing.assert_allclose(found.predict(points, rows=16), VALUES[:, 0], atol=2e-3)


def test_a_mesh_of_one_device_changes_nothing():
    options = {"ridge": 0.01, "iterative": True, "block": 16, "tolerance": 1e-11}
    with jax.enable_x64(True):
        plain = kernel_interpolation(POINTS, VALUES, KERNELS["gaussian"][0], **options)
        mesh = jax.make_mesh((1,), ("rows",))
        found = kernel_interpolation(POINTS, VALUES, KERNELS["gaussian"][0], mesh=mesh, **options)
        np.testing.assert_allclose(found.coefficients, plain.coefficients, rtol=1e-9)


def test_a_preconditioner_saves_iterations():
    with jax.enable_x64(True):
        options = {"ridge": 1e-4, "iterative": True, "tolerance": 1e-8}
        plain, helped = (
            kernel_interpolation(POINTS, VALUES, gaussian_kernel(0.05), rank=r, **options) for r in (0, 50)
        )
        assert int(helped.iterations) < int(plain.iterations) / 2
        np.testing.assert_allclose(helped.predict(QUERIES), plain.predict(QUERIES), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_rows_over_devices_give_the_same():
    run_with_devices(
        4,
        """
        import jax, numpy as np
        from lcjax.complexity.interpolation import gaussian_kernel, kernel_interpolation
        assert jax.device_count() == 4
        rng = np.random.default_rng(0)
        points, values = rng.normal(size=(70, 5)).astype("float32"), rng.normal(size=(70, 3)).astype("float32")
        options = dict(ridge=0.1, iterative=True, block=8, tolerance=1e-6)
        kernel, mesh = gaussian_kernel(0.5), jax.make_mesh((4,), ("rows",))
        one = kernel_interpolation(points, values, kernel, **options)
        four = kernel_interpolation(points, values, kernel, mesh=mesh, **options)
        np.testing.assert_allclose(four.coefficients, one.coefficients, rtol=1e-3, atol=1e-4)
        assert bool(four.converged)
        """,
    )


def test_a_linear_kernel_is_the_minimum_norm():
    with jax.enable_x64(True):
        features, targets = RNG.normal(size=(20, 50)), RNG.normal(size=20)
        weights = minimum_norm(features, targets)
        found = kernel_interpolation(features, targets, linear_kernel, block=8)
        np.testing.assert_allclose(features.T @ np.asarray(found.coefficients), weights.weights, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.norm, weights.norm, rtol=1e-8)


def test_bad_input():
    points, values = POINTS.astype(np.float32), VALUES.astype(np.float32)
    for bandwidth in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"must be positive, got {bandwidth}"):
            gaussian_kernel(bandwidth)
    with pytest.raises(ValueError, match="degree=0"):
        polynomial_kernel(0)
    with pytest.raises(ValueError, match="70 points is singular in float32"):
        kernel_interpolation(points, values, linear_kernel)
    twins = np.concatenate([points[:9], points[:1]])
    with pytest.raises(ValueError, match="10 points is singular"):
        kernel_interpolation(twins, values[:10], gaussian_kernel(1.0), block=4)
    with pytest.raises(ValueError, match=r"each of 70 > 0 points, got shape \(3, 3\)"):
        kernel_interpolation(points, values[:3], gaussian_kernel(1.0))
    for wrong in ({"ridge": -1.0}, {"block": 0}, {"rank": 71}, {"tolerance": 0.0}, {"most_iterations": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
            kernel_interpolation(points, values, gaussian_kernel(1.0), **wrong)
