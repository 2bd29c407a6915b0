import jax
import numpy as np
import pytest
from flax.errors import InvalidRngError

from lcjax.models.vision.alexnet import AlexNet, SmallAlexNet
from tests.models.problems import check_counts, check_forward


@pytest.mark.parametrize(
    ("model", "shape", "count"), [(SmallAlexNet(), (28, 28, 3), 1_387_786), (AlexNet(), (224, 224, 3), 61_100_840)]
)
def test_counts(model, shape, count):
    check_counts(model, shape, count)


def test_forward_of_the_small_form():
    check_forward(SmallAlexNet(3), (9, 9, 1), 1.098497, 0.136824)


def test_forward():
    check_forward(AlexNet(3), (67, 67, 3), 1.313310, 0.0482897)


def test_dropout_acts_in_training_only():
    inputs = np.zeros((1, 67, 67, 3), np.float32)
    variables = jax.eval_shape(AlexNet(3).init, jax.random.key(0), inputs)

    def features(model, *, train):
        return jax.eval_shape(lambda v: model.apply(v, inputs, train=train, method="features"), variables).shape

    assert features(AlexNet(3, dropout=0.0), train=True) == features(AlexNet(3), train=False) == (1, 4096)
    with pytest.raises(InvalidRngError):
        features(AlexNet(3), train=True)
