import jax
import jax.numpy as jnp
import pytest

from lcjax.models.vision.densenet import DenseNet
from tests.models.problems import check_counts, check_forward


@pytest.mark.parametrize(
    ("model", "count"),
    [
        # Stem; a norm and a 3x3 convolution with 3 filters per layer; two transitions; the last norm and the head.
        (DenseNet(10, 3, 5), 432 + (2 + 27) * (16 + 19 + 22 + 25 + 28 + 31) + 22 * 24 + 28 * 30 + 34 * 7 + 5),
        pytest.param(DenseNet(), 1_019_722, marks=pytest.mark.slow),
    ],
)
def test_counts(model, count):
    check_counts(model, (32, 32, 3), count)


def test_forward():
    check_forward(DenseNet(10, 3, 3), (8, 8, 3), 0.236254, 0.0151268)


@pytest.mark.parametrize("depth", [4, 41])
def test_an_impossible_depth_is_refused(depth):
    with pytest.raises(ValueError, match=f"3 k \\+ 4, got {depth}"):
        jax.eval_shape(DenseNet(depth).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
