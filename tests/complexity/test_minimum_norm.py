import jax
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from lcjax.complexity.minimum_norm import gradient_descent, minimum_norm

RNG = np.random.default_rng(0)


def close(x64):
    return {"rtol": 1e-8, "atol": 1e-8} if x64 else {"rtol": 2e-3, "atol": 2e-3}


@pytest.mark.parametrize("gram", [False, True])
def test_minimum_norm_matches_the_pseudo_inverse(gram, x64):
    features = RNG.normal(size=(20, 50))
    targets = RNG.normal(size=(20, 3))
    dtype = np.float64 if x64 else np.float32
    solution = minimum_norm(features.astype(dtype), targets.astype(dtype), gram=gram)
    expected = scipy.linalg.lstsq(features, targets)[0]
    assert solution.weights.dtype == dtype
    np.testing.assert_allclose(solution.weights, expected, **close(x64))
    np.testing.assert_allclose(solution.norm, np.linalg.norm(expected), rtol=1e-4)
    np.testing.assert_allclose(solution.predict(features.astype(dtype)), targets, **close(x64))


@given(seed=st.integers(0, 2**32 - 1))
def test_no_other_solution_has_a_smaller_norm(seed):
    rng = np.random.default_rng(seed)
    features, targets = rng.normal(size=(6, 15)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    solution = minimum_norm(features, targets)
    null = scipy.linalg.null_space(features.astype(float))
    other = np.asarray(solution.weights, float) + null @ rng.normal(size=9)
    np.testing.assert_allclose(features @ other, targets, atol=1e-3)
    assert np.linalg.norm(other) > float(solution.norm)


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_descent_stays_in_the_row_span_and_reaches_the_minimum_norm(batch):
    with jax.enable_x64(True):
        features, targets = RNG.normal(size=(12, 60)), RNG.normal(size=12)
        path = gradient_descent(jax.random.key(0), features, targets, steps=4000, batch=batch, records=10)
        expected = scipy.linalg.lstsq(features, targets)[0]
        assert path.step.tolist() == [400 * i for i in range(1, 11)]
        assert np.asarray(path.outside).max() < 1e-13
        distances = np.asarray(path.distance)
        assert np.all(np.diff(distances[distances > 1e-12]) < 0)
        assert path.distance[-1] < 1e-9
        np.testing.assert_allclose(path.weights, expected, atol=1e-8)
        distance = np.linalg.norm(np.asarray(path.weights) - expected) / np.linalg.norm(expected)
        np.testing.assert_allclose(path.distance[-1], distance, atol=1e-12)


def test_descent_is_plain_gradient_descent():
    with jax.enable_x64(True):
        features, targets = RNG.normal(size=(4, 9)), RNG.normal(size=4)
        path = gradient_descent(jax.random.key(0), features, targets, steps=3, records=3, learning_rate=0.1)
        weights = np.zeros(9)
        for loss in path.loss:
            weights -= 0.1 * features.T @ (features @ weights - targets) / 4
            np.testing.assert_allclose(loss, np.mean((features @ weights - targets) ** 2) / 2)
        np.testing.assert_allclose(path.weights, weights)


def test_bad_input():
    points, values = RNG.normal(size=(70, 5)).astype(np.float32), RNG.normal(size=(70, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="70 equations in 5 unknowns is not under-determined"):
        minimum_norm(points, values)
    with pytest.raises(ValueError, match=r"each of 3 feature rows, got shape \(2, 3\)"):
        minimum_norm(points[:3], values[:2])
    for gram in (False, True):
        with pytest.raises(ValueError, match="3 rows is singular in float32"):
            minimum_norm(np.array([[1, 2, 0, 0], [0, 1, 1, 0], [1, 3, 1, 0]], np.float32), values[:3], gram=gram)
    for steps, records, batch, wrong in (
        (10, 20, None, "records=20"), (0, 1, None, "steps=0"), (10, 0, None, "records=0"), (10, 5, 0, "batch=0")
    ):  # fmt: skip
        with pytest.raises(ValueError, match=wrong):
            gradient_descent(jax.random.key(0), points[:3], values[:3, 0], steps=steps, records=records, batch=batch)
