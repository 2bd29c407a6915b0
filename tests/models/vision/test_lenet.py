import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.models.vision.lenet import LeNet
from tests.models.problems import check_counts, check_forward, scaled_variables


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (LeNet(), (28, 28), 44_426),
        (LeNet(), (28, 28, 1), 44_426),
        (LeNet(padding="SAME"), (28, 28), 61_706),
        (LeNet(), (32, 32, 1), 61_706),
        (LeNet(), (32, 32, 3), 62_006),
    ],
)
def test_counts(model, shape, count):
    check_counts(model, shape, count)


def test_forward():
    check_forward(LeNet(filters=(3, 4), classes=3), (28, 28), 0.859100, 0.151419)


def test_padding_is_that_of_the_images():
    model, padded_model = LeNet((3, 4), 3), LeNet((3, 4), 3, padding="SAME")
    images = np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32)
    variables = scaled_variables(padded_model, images)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    outputs = jax.jit(padded_model.apply)(variables, images)
    np.testing.assert_allclose(outputs, jax.jit(model.apply)(variables, padded), atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 5), (3, 28, 28, 1, 1)])
def test_what_is_not_an_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"requires images .* got shape \(3, "):
        LeNet().init(jax.random.key(0), jnp.zeros(shape))
