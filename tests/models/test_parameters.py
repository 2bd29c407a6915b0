import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lcjax.models.parameters import parameter_count


class Normalized(nn.Module):
    """A model with several named inputs and running statistics."""

    @nn.compact
    def __call__(self, inputs, scale=1.0):
        value = nn.BatchNorm(use_running_average=True)(inputs["left"] + inputs["right"])
        return scale * nn.Dense(3)(value)


def test_counts_of_modules_and_trees():
    inputs = {name: jax.ShapeDtypeStruct((2, 5), jnp.float32) for name in ("left", "right")}
    assert parameter_count(Normalized(), inputs) == 10 + 18
    assert parameter_count(Normalized(), inputs, collections=("params", "batch_stats")) == 10 + 18 + 10
    assert parameter_count(Normalized(), inputs, collections=("batch_stats", "none")) == 10
    variables = jax.eval_shape(Normalized().init, jax.random.key(0), inputs)
    assert parameter_count(variables) == parameter_count(variables["params"]) == 28
    assert parameter_count([np.zeros((2, 3)), {"a": np.zeros(())}]) == 7
    assert parameter_count({}) == 0
