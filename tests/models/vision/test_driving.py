import jax
import jax.numpy as jnp
import pytest

from lcjax.models.vision.driving import DrivingNet
from tests.models.problems import check_counts, check_forward


def test_counts():
    check_counts(DrivingNet(), (22, 66, 3), 309_819)


def test_forward():
    check_forward(DrivingNet(2), (22, 33, 1), 1.176332, 0.104383)


def test_what_is_not_an_image_is_refused():
    with pytest.raises(ValueError, match=r"requires images .* got shape \(3, 22, 66\)"):
        DrivingNet().init(jax.random.key(0), jnp.zeros((3, 22, 66)))
