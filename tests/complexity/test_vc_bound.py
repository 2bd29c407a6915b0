import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from lcjax.complexity.vc_bound import (
    approximate_sphere,
    bound_steps,
    enclosing_sphere,
    geometric_margin,
    larger_scores,
    surrogate,
    theorem_one,
    vc_dimension_bound,
)
from lcjax.compression.fixed_point import downwards, towards_zero
from lcjax.compression.quantization import quantize

seeds = st.integers(0, 2**32 - 1)
ROUNDINGS = (towards_zero, downwards)


def brute_force(points):
    """Radius of the smallest sphere through two or three points of the plane that holds all."""
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
    found = enclosing_sphere(points)
    assert found.radius == pytest.approx(brute_force(points), rel=1e-9)
    assert np.linalg.norm(points - found.center, axis=1).max() <= found.radius * (1 + 1e-12)


@pytest.mark.parametrize(("n", "d"), [(30, 3), (40, 10), (100, 40), (20, 60)])
def test_sphere_in_many_dimensions_against_the_dual_program(n, d):
    points = np.random.default_rng(n).normal(size=(n, d))
    found = enclosing_sphere(points)
    gram, squares = points @ points.T, np.sum(points**2, axis=1)

    def dual(u):
        return u @ gram @ u - u @ squares

    solved = scipy.optimize.minimize(
        dual, np.full(n, 1 / n), jac=lambda u: 2 * gram @ u - squares, bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda u: u.sum() - 1, "jac": lambda u: np.ones(n)},
        method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert found.radius == pytest.approx(np.sqrt(-solved.fun), rel=1e-5)
    assert 1 <= found.factor <= 1 + 1e-9


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
    found = enclosing_sphere(points)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    expected = np.linalg.norm(points - middle, axis=1).max()
    if np.array_equal(points[0], np.eye(4)[0]):
        expected = np.sqrt(3 / 4)
    assert found.radius == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(seed=seeds, steps=st.sampled_from([1, 10, 100]))
def test_the_stated_factor_of_the_approximate_sphere_holds(seed, steps):
    points = np.random.default_rng(seed).normal(size=(25, 4)).astype(np.float32)
    exact, found = enclosing_sphere(points), approximate_sphere(points, steps=steps)
    assert exact.radius * (1 - 1e-5) <= float(found.radius) <= exact.radius * float(found.factor) * (1 + 1e-5)
    assert np.linalg.norm(points - np.asarray(found.center), axis=1).max() <= float(found.radius) * (1 + 1e-5)


def test_bad_spheres():
    with pytest.raises(ValueError, match="finite"):
        enclosing_sphere(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="0, 3"):
        enclosing_sphere(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="got 0"):
        approximate_sphere(np.zeros((2, 3)), steps=0)


@pytest.mark.parametrize(
    ("radius", "margin", "expected"), [(3, 1, 10), (3, 0.9, 13), (3, 0.01, 8), (3, 0.0, 8), (1, -1, 8)]
)
def test_bound_keeps_the_ceiling_and_the_dimension(x64, radius, margin, expected):
    assert float(vc_dimension_bound(radius, margin, 7 if expected == 8 else 100)) == expected


def test_margin_against_the_distance_by_hand(x64):
    inputs, labels = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]]), np.array([-1, 1, 1])
    found = geometric_margin(jnp.array([3.0, 4.0]), -5.0, jnp.asarray(inputs), jnp.asarray(labels))
    assert float(found) == pytest.approx(1.0)  # 5/5 of the first, 7/5 and 19/5 of the others
    assert float(geometric_margin(jnp.array([3.0, 4.0]), 5.0, jnp.asarray(inputs), jnp.asarray(labels))) == -1


@given(seed=seeds)
def test_surrogate_is_convex_and_its_gradient_the_normal_equations(seed):
    rng = np.random.default_rng(seed)
    x, w, v = rng.normal(size=(9, 4)), rng.normal(size=4), rng.normal(size=4)
    with jax.enable_x64(True):
        gradient = jax.grad(surrogate)(jnp.asarray(w), 0.5, jnp.asarray(x), 0.3)
        np.testing.assert_allclose(gradient, 2 * x.T @ (x @ w + 0.5) + 0.6 * w, rtol=1e-10)
        middle = surrogate((w + v) / 2, 0.5, x, 0.3)
        assert float(middle) <= (float(surrogate(w, 0.5, x, 0.3)) + float(surrogate(v, 0.5, x, 0.3))) / 2 + 1e-9


def separated(seed, shift=0.0):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=5)
    x = rng.normal(size=(30, 5))
    y = np.where(x @ w > 0, 1, -1)
    return w, shift * np.linalg.norm(w), x + np.outer(0.3 * y - shift, w) / np.linalg.norm(w), y


@given(seed=seeds, shift=st.sampled_from([0.0, 3.0]))
def test_steps_that_always_hold_and_the_one_that_is_reversed(seed, shift):
    steps = {step.equation: step for step in bound_steps(*separated(seed, shift))}
    assert list(steps) == ["2", "4", "5", "7", "8", "9", "10", "11", "12", "13", "14", "15"]
    assert all(steps[name].holds for name in ("9", "10", "13"))
    assert not steps["4"].holds
    assert steps["5"].left <= steps["5"].right * (1 + 1e-9)  # the sphere is the smallest
    if shift == 0:  # Cauchy-Schwarz: |w.x| / |w| <= |x|
        assert steps["11"].right <= steps["11"].left * (1 + 1e-9)
        assert not steps["11"].holds


def test_the_eleventh_step_holds_for_a_large_bias():
    w, b, x, y = np.array([1.0]), -10.0, np.array([[1.0], [12.0]]), np.array([-1, 1])
    assert not {s.equation: s.holds for s in bound_steps(w, b, x, y)}["11"]
    x = np.array([[-10.5], [2.0]])  # with b = 10: scores -0.5 and 12, norms 10.5 and 2
    assert {s.equation: s.holds for s in bound_steps(w, 10.0, x, y)}["11"]


def test_the_second_step_fails_where_the_ceiling_counts():
    w, b, x, y = np.array([1.0, 0.0]), 0.0, np.array([[-1.0, 2.0], [1.0, -2.0]]), np.array([-1, 1])
    many = np.pad(x, ((0, 0), (0, 30)))
    assert not bound_steps(np.pad(w, (0, 30)), b, many, y)[0].holds
    assert bound_steps(w, b, x, y)[0].holds  # two dimensions are fewer than R^2/d^2


def test_nothing_is_said_of_a_hyperplane_that_does_not_separate():
    w, b, x, y = separated(0)
    with pytest.raises(ValueError, match="margin is -"):
        bound_steps(w, b, x, -y)
    with pytest.raises(ValueError, match=r"got 99\.0"):
        bound_steps(w, b, x, y, least_margin=99.0)


@given(seed=seeds, bits=st.integers(2, 12), fraction=st.integers(0, 8))
def test_equation_22_follows_from_equation_21(seed, bits, fraction):
    u = np.random.default_rng(seed).normal(size=12).astype(np.float32)
    small = quantize(u, bits, fraction, rounding=towards_zero).params
    x = np.random.default_rng(seed + 1).normal(size=(40, 12)).astype(np.float32)
    found = theorem_one(u, small, x, np.ones(40))
    assert bool(found.shrinks)
    assert bool(found.norm)


@given(
    seed=seeds, bits=st.integers(2, 12), fraction=st.integers(0, 8), rounding=st.sampled_from([towards_zero, downwards])
)
def test_equation_23_follows_from_equation_19_and_equal_predictions(seed, bits, fraction, rounding):
    rng = np.random.default_rng(seed)
    u, x = rng.normal(size=6).astype(np.float32), rng.normal(size=(60, 6)).astype(np.float32)
    y = np.where(x @ u > 0, 1, -1)
    found = theorem_one(u, quantize(u, bits, fraction, rounding=rounding).params, x, y)
    assert not np.any(np.asarray(found.agrees) & ~np.asarray(found.score))


def test_equation_23_often_fails_without_its_assumptions():
    rng = np.random.default_rng(0)
    failed = []
    for _ in range(50):
        u, x = rng.normal(size=20).astype(np.float32), rng.normal(size=(200, 20)).astype(np.float32)
        small = quantize(u, 8, 1, rounding=towards_zero).params
        failed.append(np.mean(larger_scores(u, small, x)))
        assert bool(theorem_one(u, small, x, np.where(x @ u > 0, 1, -1)).norm)
    assert 0.05 < np.mean(failed) < 0.5  # Eq. (21) holds throughout


def test_the_counter_example():
    found = theorem_one(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jnp.array([[1.0, -1.0]]), jnp.array([1]))
    assert bool(found.shrinks)
    assert bool(found.norm)
    assert not bool(found.score[0])
    assert not bool(found.agrees[0])
