import jax
import numpy as np
import pytest

from lcjax.models.vision.resnet import ResNet, resnet
from tests.models.problems import check_counts, check_forward


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (resnet(18), (32, 32, 3), 11_173_962),
        (resnet(20), (32, 32, 3), 272_474),
        (resnet(10, imagenet_stem=True, classes=1000), (224, 224, 3), 5_418_792),
        (resnet(10, width=0.0625, imagenet_stem=True, classes=1000), (224, 224, 3), 53_052),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (resnet(18), (32, 32, 1), 11_172_810),
                (resnet(50), (32, 32, 3), 23_520_842),
                (resnet(50, imagenet_stem=True, classes=1000), (224, 224, 3), 25_557_032),
                (resnet(18, imagenet_stem=True, classes=1000), (224, 224, 3), 11_689_512),
                (resnet(152, imagenet_stem=True, classes=1000), (224, 224, 3), 60_192_808),
                (resnet(200, imagenet_stem=True, classes=1000), (224, 224, 3), 64_673_832),
            )
        ),
    ],
)
def test_counts(model, shape, count):
    check_counts(model, shape, count)


def test_stages_of_the_depths():
    """Every block has two or three convolutions; the stem and the head are the other two layers."""
    for depth in (8, 10, 18, 20, 34, 50, 101, 110, 152, 200):
        model = resnet(depth)
        assert sum(model.stages) * (3 if model.deep_blocks else 2) + 2 == depth
        assert model.deep_blocks == (depth in (50, 101, 152, 200))
        assert (len(model.stages), model.width) == ((3, 16) if depth in (8, 20, 110) else (4, 64))
    assert resnet(101).stages == (3, 4, 23, 3)
    assert resnet(20, width=0.3).width == 5


@pytest.mark.parametrize(
    ("model", "shape", "mean", "spread"),
    [
        (ResNet((1, 1), 3, 4), (8, 8, 3), 0.413120, 0.0635319),
        (ResNet((1, 1), 3, 2, deep_blocks=True, imagenet_stem=True), (32, 32, 3), 0.498966, 0.0555477),
    ],
    ids=["shallow", "deep"],
)
def test_forward(model, shape, mean, spread):
    check_forward(model, shape, mean, spread)


@pytest.mark.parametrize("depth", [0, 2, 17, 7, 19])
def test_an_unknown_depth_is_refused(depth):
    with pytest.raises(ValueError, match=f"6 k \\+ 2 from 8 on, got {depth}"):
        resnet(depth)


def test_a_width_without_filters_is_refused():
    with pytest.raises(ValueError, match=r"width factor of 0\.01 leaves none of 16"):
        resnet(20, width=0.01)


def test_a_residual_network_starts_as_its_shortcuts():
    """The last scale of every block is zero, so a block returns its rectified shortcut."""
    model = ResNet((2,), 3, 4)
    inputs = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), inputs)
    stem = jax.lax.conv_general_dilated(
        inputs, variables["params"]["stem_conv"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = np.maximum(np.asarray(stem) / np.sqrt(1 + 1e-5), 0).mean(axis=(1, 2))
    features = jax.jit(lambda v: model.apply(v, inputs, method="features"))(variables)
    np.testing.assert_allclose(features, expected, atol=1e-5)
