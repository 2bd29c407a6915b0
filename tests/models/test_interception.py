import flax.linen as nn
import jax
import numpy as np
import pytest

from lcjax.models.interception import override, override_calls


class Scaled(nn.Module):
    factor: float = 2.0

    @nn.compact
    def __call__(self, inputs):
        return self.factor * inputs * self.param("weight", nn.initializers.ones, ())

    def twice(self, inputs):
        return 2 * self.factor * inputs


def test_attributes_change_while_modules_of_the_type_are_called():
    model = nn.Sequential([Scaled(), nn.relu, Scaled(3.0)])
    inputs = np.ones(1, np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), inputs)
    assert float(model.apply(variables, inputs)[0]) == 6
    with override_calls(Scaled, factor=5.0):
        assert float(model.apply(variables, inputs)[0]) == 25
        assert float(Scaled().apply({}, inputs, method="twice")[0]) == 4  # other methods are not calls
    with override_calls(nn.Dense, features=1):
        assert float(model.apply(variables, inputs)[0]) == 6
    assert float(model.apply(variables, inputs)[0]) == 6


def test_attributes_come_back_after_an_error():
    module = Scaled()

    def fail():
        with override(module, factor=7.0):
            raise ValueError(module.factor)

    with pytest.raises(ValueError, match=r"7\.0"):
        fail()
    assert module.factor == 2
