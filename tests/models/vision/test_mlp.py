import jax
import numpy as np
import pytest

from lcjax.models.vision.mlp import MLP
from tests.models.problems import check_counts, check_forward, scaled_variables


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (MLP((512,), 10), (28, 28, 3), 1_209_866),
        (MLP((512, 512, 512), 10), (28, 28, 3), 1_735_178),
        (MLP((64, 64), 10), (8, 8), 64 * 64 + 64 + 64 * 64 + 64 + 650),
        (MLP(), (3,), 4 * 64 + 650),
        (MLP((), 2), (126,), 254),
    ],
)
def test_counts(model, shape, count):
    check_counts(model, shape, count)


def test_forward():
    check_forward(MLP((20, 12), 3), (28, 28), 0.765771, 0.372959)


def test_dropout_acts_in_training_only():
    model = MLP((50,), 3, dropout=0.5)
    inputs = np.ones((4, 6), np.float32)
    variables = scaled_variables(model, inputs)
    plain = np.asarray(model.apply(variables, inputs, method="features"))
    np.testing.assert_array_equal(plain, MLP((50,), 3).apply(variables, inputs, method="features"))
    np.testing.assert_array_equal(plain, MLP((50,), 3).apply(variables, inputs, train=True, method="features"))
    rngs = {"dropout": jax.random.key(1)}
    dropped = np.asarray(model.apply(variables, inputs, train=True, method="features", rngs=rngs))
    alive = plain > 0
    assert 0.3 < (dropped[alive] == 0).mean() < 0.7
    np.testing.assert_allclose(dropped[dropped > 0], 2 * plain[dropped > 0], rtol=1e-6)
