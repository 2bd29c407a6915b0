import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.complexity.vc_bound import (
    bound_steps,
    geometric_margin,
    larger_scores,
    surrogate,
    theorem_one,
    vc_dimension_bound,
)
from lcjax.compression.fixed_point import downwards, towards_zero
from lcjax.compression.quantization import quantize

seeds = st.integers(0, 2**32 - 1)
FORMS = ((2, 0), (4, 3), (8, 1), (12, 8))  # bits and fractional bits of fixed-point numbers


@pytest.mark.parametrize(
    ("radius", "margin", "expected"), [(3, 1, 10), (3, 0.9, 13), (3, 0.01, 8), (3, 0.0, 8), (1, -1, 8)]
)
def test_bound_keeps_the_ceiling_and_the_dimension(x64, radius, margin, expected):
    assert float(vc_dimension_bound(radius, margin, 7 if expected == 8 else 100)) == expected


def test_margin_against_the_distance_by_hand(x64):
    inputs, labels = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]]), np.array([-1, 1, 1])
    margin = geometric_margin(jnp.array([3.0, 4.0]), -5.0, jnp.asarray(inputs), jnp.asarray(labels))
    assert float(margin) == pytest.approx(1.0)  # 5/5 of the first, 7/5 and 19/5 of the others
    assert float(geometric_margin(jnp.array([3.0, 4.0]), 5.0, jnp.asarray(inputs), jnp.asarray(labels))) == -1


VALUE_AND_GRADIENT = jax.jit(jax.vmap(jax.value_and_grad(lambda w, x: surrogate(w, 0.5, x, 0.3)), in_axes=(0, None)))


@given(seed=seeds)
def test_surrogate_is_convex_and_its_gradient_the_normal_equations(seed):
    rng = np.random.default_rng(seed)
    x, w, v = rng.normal(size=(9, 4)), rng.normal(size=4), rng.normal(size=4)
    with jax.enable_x64(True):
        value, gradient = VALUE_AND_GRADIENT(jnp.asarray([w, v, (w + v) / 2]), jnp.asarray(x))
        np.testing.assert_allclose(value[0], np.sum((x @ w + 0.5) ** 2) + 0.3 * w @ w, rtol=1e-10)
        np.testing.assert_allclose(gradient[0], 2 * x.T @ (x @ w + 0.5) + 0.6 * w, rtol=1e-10)
        assert value[2] <= (value[0] + value[1]) / 2 + 1e-9


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


@given(seed=seeds, form=st.sampled_from(FORMS))
def test_equation_22_follows_from_equation_21(seed, form):
    u = np.random.default_rng(seed).normal(size=12).astype(np.float32)
    small = quantize(u, *form, rounding=towards_zero).params
    x = np.random.default_rng(seed + 1).normal(size=(40, 12)).astype(np.float32)
    check = theorem_one(u, small, x, np.ones(40))
    assert bool(check.shrinks)
    assert bool(check.norm)


@given(seed=seeds, form=st.sampled_from(FORMS), rounding=st.sampled_from([towards_zero, downwards]))
def test_equation_23_follows_from_equation_19_and_equal_predictions(seed, form, rounding):
    rng = np.random.default_rng(seed)
    u, x = rng.normal(size=6).astype(np.float32), rng.normal(size=(60, 6)).astype(np.float32)
    y = np.where(x @ u > 0, 1, -1)
    check = theorem_one(u, quantize(u, *form, rounding=rounding).params, x, y)
    assert not np.any(np.asarray(check.agrees) & ~np.asarray(check.score))


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
    check = theorem_one(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jnp.array([[1.0, -1.0]]), jnp.array([1]))
    assert bool(check.shrinks)
    assert bool(check.norm)
    assert not bool(check.score[0])
    assert not bool(check.agrees[0])
