import flax.linen as nn
import jax
import numpy as np
import pytest

from lcjax.models.layers.pooling import local_response, max_pool, mean_pool

CASES = [
    ((8, 7), 3, 2, "SAME"),
    ((6, 9), 3, 1, "VALID"),
    ((7, 7), 2, 3, ((0, 1), (1, 1))),
    *(
        pytest.param(size, window, stride, padding, marks=pytest.mark.slow)
        for size, window, stride in (((8, 7), 3, 2), ((6, 9), 3, 1), ((7, 7), 2, 3), ((5, 4), 3, 2))
        for padding in ("SAME", "VALID", ((0, 1), (1, 1)))
    ),
]


def value_and_gradient(pool, inputs, cotangent):
    def both(inputs, cotangent):
        outputs, pull = jax.vjp(pool, inputs)
        return outputs, pull(cotangent)[0]

    return jax.jit(both)(inputs, cotangent)


@pytest.mark.parametrize(("size", "window", "stride", "padding"), CASES)
def test_pools_match_windowed_reductions(size, window, stride, padding):
    with jax.enable_x64(True):
        inputs = np.random.default_rng(0).normal(size=(2, *size, 3))
        shape, strides = (window, window), (stride, stride)
        for ours, theirs in (
            (max_pool, lambda x: nn.max_pool(x, shape, strides, padding)),
            (mean_pool, lambda x: nn.avg_pool(x, shape, strides, padding, count_include_pad=False)),
        ):
            cotangent = np.random.default_rng(1).normal(size=jax.eval_shape(theirs, inputs).shape)
            expected, expected_gradient = value_and_gradient(theirs, inputs, cotangent)
            actual, gradient = value_and_gradient(
                lambda x, ours=ours: ours(x, window, stride, padding), inputs, cotangent
            )
            np.testing.assert_allclose(actual, expected, rtol=1e-13)
            np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("height", "width"), [(5, 6), (4, 7)])
def test_the_default_pool_and_its_gradient_match_a_windowed_maximum(height, width):
    with jax.enable_x64(True):
        inputs = np.random.default_rng(0).normal(size=(2, height, width, 3))
        cotangent = np.random.default_rng(1).normal(size=(2, height // 2, width // 2, 3))
        expected = value_and_gradient(lambda x: nn.max_pool(x, (2, 2), (2, 2)), inputs, cotangent)
        for a, e in zip(value_and_gradient(max_pool, inputs, cotangent), expected, strict=True):
            np.testing.assert_array_equal(a, e)


def test_the_gradient_goes_to_the_first_of_tied_pixels():
    gradient = jax.jit(jax.grad(lambda x: max_pool(x, 3, 2).sum()))(np.ones((1, 3, 3, 1), np.float32))
    assert np.flatnonzero(gradient).tolist() == [0]


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="window of 3 does not fit 2 pixels"):
        max_pool(np.ones((1, 2, 4, 1)), 3, 2)


def test_local_response_by_loops():
    inputs = np.random.default_rng(0).normal(size=(2, 3, 11))
    expected = np.empty_like(inputs)
    for i in range(11):
        near = inputs[..., max(0, i - 4) : i + 5]
        expected[..., i] = inputs[..., i] / (1 + 0.001 / 9 * (near**2).sum(axis=-1)) ** 0.75
    with jax.enable_x64(True):
        np.testing.assert_allclose(local_response(inputs), expected, rtol=1e-14)
        wide = local_response(inputs, radius=1, bias=2.0, alpha=0.5, beta=2.0)
    sums = (inputs**2)[..., :2].sum(axis=-1)
    np.testing.assert_allclose(wide[..., 0], inputs[..., 0] / (2 + 0.5 * sums) ** 2, rtol=1e-14)
