"""Convolutions against XLA's own."""

import contextlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.models.layers.convolution import Conv, banded_convolution, plain_convolutions, transposed_gradients
from tests.models.problems import scaled_variables

CASES = [
    ((2, 12, 11, 2), (5, 5, 2, 3), (1, 1), "VALID", 3),
    ((3, 9, 7, 2), (3, 3, 2, 4), (1, 1), "SAME", 1),
    ((1, 5, 5, 2), (5, 5, 2, 3), (1, 1), "VALID", 100),
    ((2, 10, 13, 2), (3, 4, 2, 3), (3, 2), "SAME", 2),
    ((1, 9, 6, 2), (1, 7, 2, 2), (1, 1), ((0, 0), (2, 3)), None),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ((2, 28, 28, 1), (5, 5, 1, 6), (1, 1), "VALID", 4),
            ((2, 12, 12, 6), (5, 5, 6, 16), (1, 1), "VALID", 3),
            ((2, 6, 11, 3), (1, 1, 3, 2), (1, 1), "SAME", 4),
            ((2, 22, 66, 3), (5, 5, 3, 4), (2, 2), "SAME", 4),
            ((2, 11, 33, 2), (5, 5, 2, 3), (2, 2), "SAME", 3),
            ((2, 10, 13, 2), (3, 4, 2, 3), (3, 2), "VALID", 2),
            ((2, 8, 9, 2), (2, 3, 2, 3), (1, 2), "SAME", 100),
            ((1, 7, 7, 1), (2, 2, 1, 2), (3, 3), "SAME", 4),
            ((2, 8, 8, 2), (3, 3, 2, 4), (2, 2), ((1, 1), (1, 1)), 2),
        )
    ),
]


def reference(inputs, kernel, strides, padding):
    return jax.lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


@pytest.mark.parametrize(("shape", "kernel_shape", "strides", "padding", "columns"), CASES)
def test_convolution_and_gradients_match_xla(shape, kernel_shape, strides, padding, columns):
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        inputs, kernel = generator.normal(size=shape), generator.normal(size=kernel_shape)

        def with_gradients(convolution):
            def loss(x, k):  # every output has its own weight, and the gradient depends on the outputs
                outputs = convolution(x, k)
                return jnp.sum(jnp.sin(outputs) * jnp.arange(outputs.size).reshape(outputs.shape)), outputs

            return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(inputs, kernel)

        (_, expected), gradients = with_gradients(lambda x, k: reference(x, k, strides, padding))
        (_, actual), banded_gradients = with_gradients(
            lambda x, k: banded_convolution(x, k, strides=strides, padding=padding, columns=columns)
        )
        assert actual.dtype == jnp.float64
        np.testing.assert_allclose(actual, expected, atol=1e-12)
        for gradient, banded in zip(gradients, banded_gradients, strict=True):
            np.testing.assert_allclose(banded, gradient, atol=1e-12 * np.abs(gradient).max())


def test_convolution_keeps_float32():
    inputs, kernel = np.ones((2, 8, 8, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    actual = banded_convolution(inputs, kernel)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, reference(inputs, kernel, (1, 1), "SAME"), rtol=1e-6)


def test_convolution_takes_the_parameters_of_flax():
    inputs = jax.random.normal(jax.random.key(1), (2, 9, 9, 3))
    plain = nn.Conv(5, (3, 3), strides=(2, 2))
    variables = scaled_variables(plain, inputs)
    actual = jax.jit(Conv(5, (3, 3), strides=(2, 2)).apply)(variables, inputs)
    np.testing.assert_allclose(actual, jax.jit(plain.apply)(variables, inputs), atol=1e-5)


def test_plain_convolutions_are_xlas_own():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            value = Conv(4, (3, 3), strides=(2, 2), padding=((1, 1), (0, 1)))(inputs)
            return Conv(2, (3, 3), use_bias=False)(nn.relu(value))

    inputs = jax.random.normal(jax.random.key(1), (2, 9, 8, 3))
    variables = scaled_variables(Net(), inputs)

    def text(context):
        with context:
            return jax.jit(lambda v: Net().apply(v, inputs)).lower(variables).as_text()

    assert "convolution" not in text(contextlib.nullcontext())
    assert text(plain_convolutions()).count("stablehlo.convolution") == 2
    with plain_convolutions():
        plain = jax.jit(lambda v: Net().apply(v, inputs))(variables)
    np.testing.assert_allclose(plain, jax.jit(lambda v: Net().apply(v, inputs))(variables), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "kernel_shape", "strides", "padding"),
    [
        ((3, 9, 8, 3), (5, 5, 3, 4), (1, 1), "SAME"),
        ((2, 5, 6, 6), (2, 1, 6, 3), (1, 1), ((1, 0), (2, 1))),
        ((2, 9, 8, 2), (3, 2, 2, 3), (2, 3), ((1, 1), (0, 1))),
        ((2, 7, 8, 6), (1, 1, 6, 3), (2, 2), "SAME"),
        pytest.param((2, 6, 7, 1), (3, 4, 1, 2), (1, 1), "VALID", marks=pytest.mark.slow),
        pytest.param((2, 7, 6, 6), (3, 4, 6, 2), (1, 1), "SAME", marks=pytest.mark.slow),
        pytest.param((2, 9, 8, 6), (3, 3, 6, 2), (2, 2), "SAME", marks=pytest.mark.slow),
    ],
)
def test_plain_convolutions_and_their_gradients(shape, kernel_shape, strides, padding):
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        layer = Conv(kernel_shape[3], kernel_shape[:2], strides, padding, use_bias=False)
        inputs, kernel = generator.normal(size=shape), generator.normal(size=kernel_shape)

        def ours(x, k):
            with plain_convolutions():
                return layer.apply({"params": {"kernel": k}}, x)

        def with_gradients(convolution):
            def both(x, k, cotangent):
                outputs, pull = jax.vjp(convolution, x, k)
                return outputs, *pull(cotangent)

            return jax.jit(both)(inputs, kernel, cotangent)

        cotangent = generator.normal(size=jax.eval_shape(ours, inputs, kernel).shape)
        expected = with_gradients(lambda x, k: reference(x, k, strides, padding))
        for mine, theirs in zip(with_gradients(ours), expected, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_transposed_gradients_are_those_of_the_layer():
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        inputs = generator.normal(size=(3, 7, 300))
        layer = nn.Dense(5, param_dtype=jnp.float64)
        variables = jax.vmap(layer.init)(jax.random.split(jax.random.key(0), 3), inputs)

        def gradients():
            def loss(v, x):
                return jnp.sum(jnp.sin(layer.apply(v, x)))

            return jax.jit(jax.vmap(jax.grad(loss, (0, 1)))).lower(variables, inputs)

        expected = gradients().compile()(variables, inputs)
        with transposed_gradients():
            lowered = gradients()
        assert "optimization_barrier" in lowered.as_text()
        for a, e in zip(*map(jax.tree.leaves, (lowered.compile()(variables, inputs), expected)), strict=True):
            np.testing.assert_allclose(a, e, atol=1e-13)


def test_convolution_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="5x5 kernel does not fit 4x9"):
        banded_convolution(np.ones((1, 4, 9, 1)), np.ones((5, 5, 1, 1)), padding="VALID")
    with pytest.raises(ValueError, match="expects 2 channels, but the images have 1"):
        banded_convolution(np.ones((1, 4, 9, 1)), np.ones((3, 3, 2, 1)))
