"""Enclosing spheres against brute force in the plane and the dual program in many dimensions; certificates."""

import itertools

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels.enclosing_ball import approximate_sphere, enclosing_sphere

seeds = st.integers(0, 2**32 - 1)


def brute_force(points):
    """Return the radius of the smallest circle through two or three of the points that contains all of them."""
    best = np.inf
    for pair in itertools.combinations(points, 2):
        center = np.mean(pair, axis=0)
        radius = np.linalg.norm(points - center, axis=1).max()
        if radius <= np.linalg.norm(pair[0] - center) * (1 + 1e-12):
            best = min(best, radius)
    for a, b, c in itertools.combinations(points, 3):
        edges = 2 * np.array([b - a, c - a])
        if abs(np.linalg.det(edges)) > 1e-9:
            center = np.linalg.solve(edges, [b @ b - a @ a, c @ c - a @ a])
            radius = np.linalg.norm(points - center, axis=1).max()
            if radius <= np.linalg.norm(a - center) * (1 + 1e-9):
                best = min(best, radius)
    return best


@given(seed=seeds, n=st.integers(2, 12))
def test_sphere_in_the_plane_against_all_pairs_and_triples(seed, n):
    points = np.random.default_rng(seed).normal(size=(n, 2)) + 5
    sphere = enclosing_sphere(points)
    assert sphere.radius == pytest.approx(brute_force(points), rel=1e-9)
    assert np.linalg.norm(points - sphere.center, axis=1).max() <= sphere.radius * (1 + 1e-12)


@pytest.mark.parametrize(("n", "d"), [(30, 3), (40, 10), pytest.param(100, 40, marks=pytest.mark.slow), (20, 60)])
def test_sphere_in_many_dimensions_against_the_dual_program(n, d):
    points = np.random.default_rng(n).normal(size=(n, d))
    sphere = enclosing_sphere(points)
    gram, squares = points @ points.T, np.sum(points**2, axis=1)

    def dual(u):
        return u @ gram @ u - u @ squares

    solved = scipy.optimize.minimize(
        dual, np.full(n, 1 / n), jac=lambda u: 2 * gram @ u - squares, bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda u: u.sum() - 1, "jac": lambda u: np.ones(n)},
        method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert sphere.radius == pytest.approx(np.sqrt(-solved.fun), rel=1e-5)
    assert 1 <= sphere.factor <= 1 + 1e-9


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((3, 2)),
        np.array([[1.0, 2.0]]),
        np.array(list(itertools.product([0.0, 1.0], repeat=5))),  # all 32 corners lie on the sphere
        np.repeat(np.eye(4), 3, axis=0),
        np.linspace(0, 1, 9)[:, None] * np.ones(3),
    ],
)
def test_degenerate_spheres(points):
    sphere = enclosing_sphere(points)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    expected = np.linalg.norm(points - middle, axis=1).max()
    if np.array_equal(points[0], np.eye(4)[0]):
        expected = np.sqrt(3 / 4)
    assert sphere.radius == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(seed=seeds, steps=st.sampled_from([1, 10, 100]))
def test_the_stated_factor_of_the_approximate_sphere_holds(seed, steps):
    points = np.random.default_rng(seed).normal(size=(25, 4)).astype(np.float32)
    exact, sphere = enclosing_sphere(points), approximate_sphere(points, steps=steps)
    assert exact.radius * (1 - 1e-5) <= float(sphere.radius) <= exact.radius * float(sphere.factor) * (1 + 1e-5)
    assert np.linalg.norm(points - np.asarray(sphere.center), axis=1).max() <= float(sphere.radius) * (1 + 1e-5)


def test_bad_spheres():
    with pytest.raises(ValueError, match="finite"):
        enclosing_sphere(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="0, 3"):
        enclosing_sphere(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="steps=0"):
        approximate_sphere(np.zeros((2, 3)), steps=0)
