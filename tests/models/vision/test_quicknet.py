import jax
import numpy as np
import pytest

from lcjax.models.vision.quicknet import QuickNet
from tests.models.problems import check_counts, check_forward


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (QuickNet(), (32, 32, 3), 145_578),
        (QuickNet(batch_norm=True), (32, 32, 3), 145_578 + 2 * 128),
        (QuickNet(), (14, 13, 1), 25 * 32 + 32 + 25 * 32**2 + 32 + 25 * 32 * 64 + 64 + 64 * 64 + 64 + 650),
    ],
)
def test_counts(model, shape, count):
    check_counts(model, shape, count)


def test_forward():
    check_forward(QuickNet(3, batch_norm=True), (14, 13, 2), 0.731964, 0.0243737)


@pytest.mark.slow
def test_weights_start_as_in_caffe():
    params = jax.jit(QuickNet().init)(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))["params"]
    for name, spread in (("convolutions_0", 1e-4), ("convolutions_1", 0.01), ("convolutions_2", 0.01), ("hidden", 0.1)):
        assert np.std(params[name]["kernel"]) == pytest.approx(spread, rel=0.05)
    assert np.std(params["head"]["kernel"]) == pytest.approx(0.1, rel=0.1)
