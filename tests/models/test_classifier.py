import flax.linen as nn
import jax
import numpy as np
import pytest

from lcjax.models.classifier import Classifier


class Plain(Classifier):
    def setup(self):
        self.head = nn.Dense(3)


class Doubled(Plain):
    def features(self, inputs, *, train=False):
        return (3 if train else 2) * inputs


def test_the_head_is_applied_to_the_features():
    inputs = np.arange(8, dtype=np.float32).reshape(2, 4)
    variables = Doubled().init(jax.random.key(0), inputs)
    kernel = np.asarray(variables["params"]["head"]["kernel"])
    np.testing.assert_allclose(Doubled().apply(variables, inputs), 2 * inputs @ kernel, rtol=1e-5)
    np.testing.assert_allclose(Doubled().apply(variables, inputs, train=True), 3 * inputs @ kernel, rtol=1e-5)
    with pytest.raises(NotImplementedError, match="Plain has no method `features`"):
        Plain().init(jax.random.key(0), inputs)
