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
    vc_bound,
    vc_dimension_of_net,
)
from lcjax.complexity.report import complexity_report
from lcjax.complexity.weight_measures import margins, path_norm, sharpness, weight_norms

KEY = jax.random.key(0)


def memorizer(key, inputs, targets):
    """Fits any signs of different inputs."""
    return lambda queries: jnp.sum(targets * jnp.all(queries[:, None] == inputs, axis=2), axis=1)


@pytest.mark.parametrize("n", [1, 5, 12, 16])
def test_linear_complexity_equals_its_formula_by_enumeration(n):
    with jax.enable_x64(True):
        inputs, bound = np.random.default_rng(n).normal(size=(n, 3)), 2.5
        found = rademacher_complexity(KEY, linear_class(bound), inputs, every_sign=True)
        signs = np.array(list(itertools.product([-1, 1], repeat=n)))
        expected = bound / n * np.linalg.norm(signs @ inputs, axis=1).mean()
        np.testing.assert_allclose(found.value, expected, rtol=1e-12)
        assert found.standard_error == 0


@given(seed=st.integers(0, 2**32 - 1), bound=st.sampled_from([0.1, 1.0, 30.0]))
def test_linear_complexity_never_exceeds_its_bound(seed, bound):
    rng = np.random.default_rng(seed)
    inputs = (rng.normal(size=(8, 4)) * rng.exponential(size=(8, 1))).astype(np.float32)
    found = rademacher_complexity(KEY, linear_class(bound), inputs, every_sign=True)
    limit = float(linear_class_bound(inputs, bound))
    assert float(found.value) <= limit * (1 + 1e-6)
    np.testing.assert_allclose(limit, bound / 8 * np.sqrt(np.sum(inputs.astype(float) ** 2)), rtol=1e-5)


def test_drawn_signs_agree_with_all_of_them():
    inputs = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    exact = rademacher_complexity(KEY, linear_class(1.0), inputs, every_sign=True)
    for seed in range(5):
        drawn = rademacher_complexity(jax.random.key(seed), linear_class(1.0), inputs, draws=400)
        assert abs(float(drawn.value - exact.value)) < 5 * float(drawn.standard_error)
    np.testing.assert_allclose(drawn.standard_error, np.std(drawn.correlation, ddof=1) / 20, rtol=1e-5)
    np.testing.assert_allclose(drawn.standard_error, np.std(exact.correlation) / 20, rtol=0.2)


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
        found = uniform_stability(
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
        np.testing.assert_allclose(found.by_replacement, np.max(changes, axis=1), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.largest, np.max(changes), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.mean, np.mean(changes), rtol=1e-6, atol=1e-6)


def test_replacing_an_example_by_itself_changes_nothing():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(10, 3)).astype(np.float32), rng.normal(size=10).astype(np.float32)
    index = np.arange(10)
    found = uniform_stability(
        KEY, ridge_regression(1.0), squared, x, y, x, y, index=index, new_inputs=x, new_targets=y
    )  # fmt: skip
    assert float(found.largest) < 1e-5


def test_vc_bounds():
    found = vc_bound(100, 400, confidence=0.9)
    ratio = (100 - np.log(0.1)) / 400
    np.testing.assert_allclose(found["root"], np.sqrt(ratio), rtol=1e-6)
    np.testing.assert_allclose(found["without root"], ratio, rtol=1e-6)
    erring = vc_bound(100, 400, train_error=0.2, confidence=0.9)
    np.testing.assert_allclose(erring["root"], 0.2 + np.sqrt(ratio), rtol=1e-6)
    assert np.isnan(erring["without root"])
    assert vc_dimension_of_net(1_209_866, 2) == pytest.approx(1_209_866 * 2 * np.log2(1_209_866))


def test_norms_and_margins_match_numpy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 5, 2, 4)).astype(np.float32), rng.normal(size=(7, 3)).astype(np.float32)
    params = {"a": {"kernel": first, "bias": np.ones(4, np.float32)}, "b": {"kernel": second}}
    norms = weight_norms(params)
    singular = [np.linalg.svd(first.reshape(-1, 4))[1][0], np.linalg.svd(second)[1][0]]
    np.testing.assert_allclose(norms.spectral, singular, rtol=1e-5)
    np.testing.assert_allclose(norms.spectral_product, np.prod(singular), rtol=1e-5)
    np.testing.assert_allclose(norms.frobenius, np.sqrt((first**2).sum() + (second**2).sum()), rtol=1e-5)
    outputs, labels = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    expected = [row[y] - max(np.delete(row, y)) for row, y in zip(outputs, labels, strict=True)]
    np.testing.assert_allclose(margins(outputs, labels), expected, rtol=1e-5)


def test_path_norm_is_a_sum_over_paths():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    paths = [(a[i, j] * b[j, k]) ** 2 for i in range(3) for j in range(4) for k in range(2)]
    found = path_norm(lambda p, x: jax.nn.relu(x @ p[0]) @ p[1], (jnp.asarray(a), jnp.asarray(b)), (3,))
    np.testing.assert_allclose(found, np.sqrt(sum(paths)), rtol=1e-5)


def test_sharpness_of_a_quadratic_is_at_a_corner_of_the_box():
    weights, radius = jnp.array([1.0, -2.0, 0.5]), 0.1
    curvature = jnp.array([1.0, 10.0, 3.0])
    found = sharpness(KEY, lambda w: 0.5 * jnp.sum(curvature * (w - weights) ** 2), weights, radius=radius, steps=40)
    corner = 0.5 * np.sum(np.asarray(curvature) * (radius * (np.abs(np.asarray(weights)) + 1)) ** 2)
    np.testing.assert_allclose(found, corner, rtol=1e-5)


def test_report_tells_what_separates():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)).astype(np.float32)
    true, random = rng.normal(size=(3, 4, 5)).astype(np.float32), 10 * rng.normal(size=(3, 4, 5)).astype(np.float32)
    labels = np.argmax(x @ true[0], axis=1)
    others = np.stack([np.argmax(x @ w, axis=1) for w in random])
    complexity = rademacher_complexity(KEY, linear_class(1.0), x, draws=4)
    table = complexity_report(KEY, lambda w, x: x @ w, true, random, x, labels, others, layers=1, rademacher=complexity)
    found = dict(zip(table.name, table.separates.tolist(), strict=True))
    assert not found["parameters"]
    assert not found["VC bound, without root"]
    assert not found["Rademacher complexity"]
    assert found["Frobenius norm"]
    assert found["spectral product"]
    at = table.name.index("Frobenius norm")
    np.testing.assert_allclose(table.true_labels[at], np.linalg.norm(true, axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(table.ratio[at], table.random_labels[at].mean() / table.true_labels[at].mean())
    assert "sqrt(sum w^2)" in str(table)


def test_bad_input():
    x, y = np.ones((17, 2), np.float32), np.ones(17, np.float32)
    with pytest.raises(ValueError, match="at most 16 inputs is taken, got 17"):
        rademacher_complexity(KEY, memorizer, x, every_sign=True)
    with pytest.raises(ValueError, match="at least 2 draws, got 1"):
        rademacher_complexity(KEY, memorizer, x, draws=1)
    with pytest.raises(ValueError, match="positive bound, got 0"):
        linear_class(0.0)
    with pytest.raises(ValueError, match="not be negative, got -1"):
        ridge_regression(-1.0)
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 1"):
        vc_bound(10, 100, confidence=1.0)
    with pytest.raises(ValueError, match="got 1 and 1"):
        vc_dimension_of_net(1, 1)
    with pytest.raises(ValueError, match=r"in \[0, 16\], the training set, got 17 to 17"):
        uniform_stability(
            KEY, memorizer, squared, x, y, x, y, index=np.array([17]), new_inputs=x[:1], new_targets=y[:1]
        )  # fmt: skip
    with pytest.raises(ValueError, match="two classes"):
        margins(x[:, :1], np.zeros(17, int))
    with pytest.raises(ValueError, match="no kernel"):
        weight_norms({"bias": np.zeros(3)})
    with pytest.raises(ValueError, match="radius=0"):
        sharpness(KEY, jnp.sum, jnp.ones(2), radius=0.0)
    with pytest.raises(ValueError, match="differ in shape"):
        complexity_report(KEY, lambda w, x: x @ w, x[None], x[None, :3], x, y.astype(int), y.astype(int), layers=1)
