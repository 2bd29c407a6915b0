import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.complexity.capacity import (
    linear_class,
    linear_class_bound,
    rademacher_complexity,
    ridge_regression,
    uniform_stability,
    vc_bounds,
    vc_dimension_of_network,
)

KEY = jax.random.key(0)


def memorizer(key, inputs, targets):
    """Return a function that fits any signs at distinct inputs."""
    return lambda queries: jnp.sum(targets * jnp.all(queries[:, None] == inputs, axis=2), axis=1)


@pytest.mark.parametrize(
    "n", [1, 5, pytest.param(12, marks=pytest.mark.slow), pytest.param(16, marks=pytest.mark.slow)]
)
def test_linear_complexity_equals_its_formula_by_enumeration(n):
    with jax.enable_x64(True):
        inputs, bound = np.random.default_rng(n).normal(size=(n, 3)), 2.5
        complexity = rademacher_complexity(KEY, linear_class(bound), inputs, every_sign=True)
        signs = np.array(list(itertools.product([-1, 1], repeat=n)))
        expected = bound / n * np.linalg.norm(signs @ inputs, axis=1).mean()
        np.testing.assert_allclose(complexity.value, expected, rtol=1e-12)
        assert complexity.standard_error == 0


@given(seed=st.integers(0, 2**32 - 1), bound=st.sampled_from([0.1, 1.0, 30.0]))
def test_linear_complexity_never_exceeds_its_bound(seed, bound):
    rng = np.random.default_rng(seed)
    inputs = (rng.normal(size=(8, 4)) * rng.exponential(size=(8, 1))).astype(np.float32)
    complexity = rademacher_complexity(KEY, linear_class(bound), inputs, every_sign=True)
    limit = float(linear_class_bound(inputs, bound))
    assert float(complexity.value) <= limit * (1 + 1e-6)
    np.testing.assert_allclose(limit, bound / 8 * np.sqrt(np.sum(inputs.astype(float) ** 2)), rtol=1e-5)


def test_drawn_signs_agree_with_all_of_them():
    inputs = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    exact = rademacher_complexity(KEY, linear_class(1.0), inputs, every_sign=True)
    for seed in range(5):
        sample = rademacher_complexity(jax.random.key(seed), linear_class(1.0), inputs, draws=400)
        assert abs(float(sample.value - exact.value)) < 5 * float(sample.standard_error)
    np.testing.assert_allclose(sample.standard_error, np.std(sample.correlation, ddof=1) / 20, rtol=1e-5)
    np.testing.assert_allclose(sample.standard_error, np.std(exact.correlation) / 20, rtol=0.2)


def test_what_memorizes_has_complexity_one():
    inputs = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    assert float(rademacher_complexity(KEY, memorizer, inputs, draws=8).value) == 1


def squared(outputs, targets):
    return (outputs - targets) ** 2


@pytest.mark.parametrize("strength", [0.1, 10.0])
def test_stability_of_ridge_regression_agrees_with_its_rank_two_update(strength):
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        n, m, d, r = 40, 25, 6, 12
        x, y, tests, wanted = rng.normal(size=(n, d)), rng.normal(size=n), rng.normal(size=(m, d)), rng.normal(size=m)
        index, new_x, new_y = rng.permutation(n)[:r], rng.normal(size=(r, d)), rng.normal(size=r)
        stability = uniform_stability(
            KEY, ridge_regression(strength), squared, x, y, tests, wanted,
            index=index, new_inputs=new_x, new_targets=new_y,
        )  # fmt: skip
        # (A + U S U^T)^-1 by Woodbury: one old row leaves, one new row comes.
        inverse, moment = np.linalg.inv(x.T @ x + strength * np.eye(d)), x.T @ y
        before = squared(tests @ inverse @ moment, wanted)
        changes = []
        for i, a, b in zip(index, new_x, new_y, strict=True):
            columns, signs = np.stack([x[i], a], axis=1), np.diag([-1.0, 1.0])
            middle = np.linalg.inv(np.linalg.inv(signs) + columns.T @ inverse @ columns)
            updated = inverse - inverse @ columns @ middle @ columns.T @ inverse
            weights = updated @ (moment - y[i] * x[i] + b * a)
            changes.append(np.abs(squared(tests @ weights, wanted) - before))
        np.testing.assert_allclose(stability.by_replacement, np.max(changes, axis=1), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(stability.largest, np.max(changes), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(stability.mean, np.mean(changes), rtol=1e-6, atol=1e-6)


def test_replacing_an_example_by_itself_changes_nothing():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(10, 3)).astype(np.float32), rng.normal(size=10).astype(np.float32)
    index = np.arange(10)
    stability = uniform_stability(
        KEY, ridge_regression(1.0), squared, x, y, x, y, index=index, new_inputs=x, new_targets=y
    )  # fmt: skip
    assert float(stability.largest) < 1e-5


def test_vc_bounds():
    bounds = vc_bounds(100, 400, confidence=0.9)
    ratio = (100 - np.log(0.1)) / 400
    np.testing.assert_allclose(bounds["root"], np.sqrt(ratio), rtol=1e-6)
    np.testing.assert_allclose(bounds["without root"], ratio, rtol=1e-6)
    erring = vc_bounds(100, 400, train_error=0.2, confidence=0.9)
    np.testing.assert_allclose(erring["root"], 0.2 + np.sqrt(ratio), rtol=1e-6)
    assert np.isnan(erring["without root"])
    assert vc_dimension_of_network(1_209_866, 2) == pytest.approx(1_209_866 * 2 * np.log2(1_209_866))


def test_bad_input():
    x, y = np.ones((17, 2), np.float32), np.ones(17, np.float32)
    with pytest.raises(ValueError, match="at most 16 inputs, got 17"):
        rademacher_complexity(KEY, memorizer, x, every_sign=True)
    with pytest.raises(ValueError, match="at least 2 draws, got 1"):
        rademacher_complexity(KEY, memorizer, x, draws=1)
    with pytest.raises(ValueError, match="positive bound, got 0"):
        linear_class(0.0)
    with pytest.raises(ValueError, match="not be negative, got -1"):
        ridge_regression(-1.0)
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 1"):
        vc_bounds(10, 100, confidence=1.0)
    with pytest.raises(ValueError, match="parameters=1"):
        vc_dimension_of_network(1, 1)
    with pytest.raises(ValueError, match=r"in \[0, 16\], the training set, got 17 to 17"):
        uniform_stability(
            KEY, memorizer, squared, x, y, x, y, index=np.array([17]), new_inputs=x[:1], new_targets=y[:1]
        )  # fmt: skip
