"""Variables of models without their initialization, which takes longer to compile than the tests."""

import jax
import jax.numpy as jnp
import numpy as np

import lcjax as lc
from lcjax.models.layers.convolution import plain_convolutions


def random_variables(model, inputs, dtype=np.float64, scale=0.5):
    """Draw all variables, including biases, from a normal distribution."""
    generator = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), inputs)
    return jax.tree.map(lambda leaf: scale * generator.normal(size=leaf.shape).astype(dtype), shapes)


def scaled_variables(model, inputs):
    """Draw weights that preserve the scale of activations, and biases, scales and variances in [0.5, 1]."""
    generator = np.random.default_rng(1)

    def draw(leaf):
        if len(leaf.shape) == 1:
            return generator.uniform(0.5, 1, leaf.shape).astype(np.float32)
        return (generator.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))).astype(np.float32)

    return jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0), inputs))


def check_counts(model, shape, count):
    """Check the number of parameters, and that the head is linear in the features with one output per bias."""
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    with plain_convolutions():
        outputs, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), inputs)
    assert lc.models.parameter_count(variables) == count
    assert outputs.shape == (2, variables["params"]["head"]["bias"].shape[0])


def check_forward(model, shape, mean, spread):
    """Check that the mean of the features and their spread over images are those of version 0.1."""
    inputs = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    variables = scaled_variables(model, inputs)
    with plain_convolutions():  # they compile faster
        features = jax.jit(lambda v, x: model.apply(v, x, method="features"))(variables, inputs)
    np.testing.assert_allclose(np.mean(features), mean, rtol=1e-4)
    if spread is not None:
        np.testing.assert_allclose(np.mean(np.std(features, axis=0)), spread, rtol=1e-3)
