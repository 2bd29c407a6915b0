"""Nets by their exact parameter counts, and the bottleneck."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.models.layers.bottleneck import Bottleneck, Bottlenecked
from lcjax.models.losses import cross_entropy, largest_hinge, mean_squared_error, multiclass_hinge, vc_penalty
from lcjax.models.vision.alexnet import AlexNet, SmallAlexNet
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.driving import DrivingNet
from lcjax.models.vision.inception import InceptionV3, SmallInception
from lcjax.models.vision.lenet import LeNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.quicknet import QuickNet
from lcjax.models.vision.resnet import ResNet, resnet
from lcjax.models.vision.vgg import VGG, VGG11, VGG19

COUNTS = [
    (LeNet(), (28, 28), 44_426),
    (LeNet(), (28, 28, 1), 44_426),
    (LeNet(padding="SAME"), (28, 28), 61_706),
    (LeNet(), (32, 32, 1), 61_706),
    (LeNet(), (32, 32, 3), 62_006),
    (MLP((512,), 10), (28, 28, 3), 1_209_866),
    (MLP((512, 512, 512), 10), (28, 28, 3), 1_735_178),
    (MLP((64, 64), 10), (8, 8), 64 * 64 + 64 + 64 * 64 + 64 + 650),
    (MLP((), 2), (126,), 254),
    (DrivingNet(), (22, 66, 3), 309_819),
    (SmallAlexNet(), (28, 28, 3), 1_387_786),
    (SmallInception(), (28, 28, 3), 1_649_402),
    (SmallInception(batch_norm=False), (28, 28, 3), 1_649_402),
    (QuickNet(), (32, 32, 3), 145_578),
    (QuickNet(batch_norm=True), (32, 32, 3), 145_578 + 2 * 128),
    (VGG(), (32, 32, 3), 14_728_266),
    (VGG(batch_norm=False), (32, 32, 3), 14_719_818),
    (VGG(hidden=(512, 512), batch_norm=False), (32, 32, 3), 15_245_130),
    (VGG(VGG11, (4096, 4096), 1000, False), (224, 224, 3), 132_863_336),
    (VGG(VGG19, (4096, 4096), 1000, False), (224, 224, 3), 143_667_240),
    (resnet(18), (32, 32, 3), 11_173_962),
    (resnet(18), (32, 32, 1), 11_172_810),
    (resnet(50), (32, 32, 3), 23_520_842),
    (resnet(20), (32, 32, 3), 272_474),
    (resnet(18, imagenet_stem=True, classes=1000), (224, 224, 3), 11_689_512),
    (resnet(50, imagenet_stem=True, classes=1000), (224, 224, 3), 25_557_032),
    (resnet(152, imagenet_stem=True, classes=1000), (224, 224, 3), 60_192_808),
    (resnet(10, imagenet_stem=True, classes=1000), (224, 224, 3), 5_418_792),
    (resnet(200, imagenet_stem=True, classes=1000), (224, 224, 3), 64_673_832),
    (resnet(10, width=0.0625, imagenet_stem=True, classes=1000), (224, 224, 3), 53_052),
    (AlexNet(), (224, 224, 3), 61_100_840),
    (DenseNet(), (32, 32, 3), 1_019_722),
    (InceptionV3(1008), (299, 299, 3), 23_850_960),
]


@pytest.mark.parametrize(("model", "shape", "count"), COUNTS)
def test_parameter_count_and_head(model, shape, count):
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    outputs, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), inputs)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count
    assert outputs.shape == (2, variables["params"]["head"]["bias"].shape[0])
    if isinstance(model, InceptionV3):  # the paper counts the running statistics, too
        assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 23_885_392


def test_the_padded_net_is_the_net_on_padded_images():
    images = np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32)
    variables = drawn(LeNet(padding="SAME"), images)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    outputs = jax.jit(LeNet(padding="SAME").apply)(variables, images)
    np.testing.assert_allclose(outputs, jax.jit(LeNet().apply)(variables, padded), atol=1e-5)


def drawn(model, inputs):
    """Variables of the model, without its initialization: compiling that takes longer than all else here."""
    generator = np.random.default_rng(1)

    def draw(leaf):
        if len(leaf.shape) == 1:
            return generator.uniform(0.5, 1, leaf.shape).astype(np.float32)
        return (generator.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))).astype(np.float32)

    return jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0), inputs))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (MLP((20, 12), 3), (28, 28)),
        (LeNet(filters=(3, 4), classes=3), (28, 28)),
        (QuickNet(3, batch_norm=True), (14, 13, 2)),
        (SmallAlexNet(3), (9, 9, 1)),
        (DenseNet(7, 4, 3), (8, 8, 3)),
        (ResNet((1, 1), 3, 4), (8, 8, 3)),
        (ResNet((1, 1), 3, 2, deep_blocks=True, imagenet_stem=True), (32, 32, 3)),
        (VGG((1, 1), (6,), 3), (8, 8, 3)),
    ],
)
def test_head_of_features_is_the_output(model, shape):
    inputs = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    variables = drawn(model, inputs)
    outputs, features = jax.jit(lambda v, x: (model.apply(v, x), model.apply(v, x, method="features")))(
        variables, inputs
    )
    head = variables["params"]["head"]
    assert np.ptp(features, axis=0).max() > 0.1
    np.testing.assert_allclose(outputs, features @ head["kernel"] + head["bias"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("model", "shape"), [(LeNet(), (3, 5)), (DrivingNet(), (3, 22, 66))])
def test_what_is_not_an_image_is_refused(model, shape):
    with pytest.raises(ValueError, match=r"takes images .* got inputs of \(3, "):
        model.init(jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize("depth", [0, 17, 7, 19])
def test_an_unknown_depth_is_refused(depth):
    with pytest.raises(ValueError, match=f"6 k \\+ 2 from 8 on, got {depth}"):
        resnet(depth)


def test_bad_widths_and_depths_are_refused():
    with pytest.raises(ValueError, match=r"width of 0\.01 leaves none of 16"):
        resnet(20, width=0.01)
    with pytest.raises(ValueError, match="3 k \\+ 4, got 41"):
        jax.eval_shape(DenseNet(41).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))


def test_a_residual_net_starts_as_its_shortcuts():
    """The last scale of every block is zero, so that a block passes on its rectified shortcut."""
    model = ResNet((2,), 3, 4)
    inputs = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), inputs)
    stem = jax.lax.conv_general_dilated(
        inputs,
        variables["params"]["stem_conv"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    expected = np.maximum(np.asarray(stem) / np.sqrt(1 + 1e-5), 0).mean(axis=(1, 2))
    features = jax.jit(lambda v: model.apply(v, inputs, method="features"))(variables)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_dropout_acts_in_training_only():
    model = MLP((50,), 3, dropout=0.5)
    inputs = np.ones((4, 6), np.float32)
    variables = model.init(jax.random.key(0), inputs)
    plain = model.apply(variables, inputs, method="features")
    np.testing.assert_array_equal(plain, MLP((50,), 3).apply(variables, inputs, method="features"))
    rngs = {"dropout": jax.random.key(1)}
    dropped = np.asarray(model.apply(variables, inputs, train=True, method="features", rngs=rngs))
    alive = np.asarray(plain) > 0
    assert 0.3 < (dropped[alive] == 0).mean() < 0.7
    np.testing.assert_allclose(dropped[dropped > 0], 2 * np.asarray(plain)[dropped > 0], rtol=1e-6)


def test_objectives_match_their_definitions():
    with jax.enable_x64(True):
        outputs = np.random.default_rng(0).normal(size=(6, 4)) * 30
        targets = np.array([0, 3, 1, 2, 2, 0])
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        expected = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(6), targets]
        np.testing.assert_allclose(cross_entropy(outputs, targets), expected, rtol=1e-12)
        margins = 1 - outputs[np.arange(6), targets][:, None] + outputs
        margins[np.arange(6), targets] = 0
        np.testing.assert_allclose(multiclass_hinge(outputs, targets), np.maximum(margins, 0).sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(largest_hinge(outputs, targets), np.maximum(margins, 0).max(axis=1), rtol=1e-12)
        np.testing.assert_allclose(vc_penalty(outputs), (outputs**2).sum(axis=1) / 2, rtol=1e-12)
        real = np.linspace(-1, 1, 6)
        np.testing.assert_allclose(mean_squared_error(outputs[:, :1], real), (outputs[:, 0] - real) ** 2, rtol=1e-15)
    with pytest.raises(ValueError, match="one output an example, got 4"):
        mean_squared_error(outputs, real)


def features_of_rank(n, d, seed=0):
    generator = np.random.default_rng(seed)
    scale = np.geomspace(3, 0.1, d)
    return np.maximum(generator.normal(size=(n, d)) * scale @ np.linalg.qr(generator.normal(size=(d, d)))[0], 0).astype(
        np.float32
    )


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_a_bottleneck_starts_as_the_best_linear_code(width):
    """On the examples it was initialized on it gives the reconstruction from the first principal components."""
    features = features_of_rank(400, 9)
    (code, restored), _ = Bottleneck(9).init_with_output(jax.random.key(0), features, width)
    mean = features.mean(axis=0)
    _, _, directions = np.linalg.svd(features - mean, full_matrices=False)
    expected = mean + (features - mean) @ directions[:width].T @ directions[:width]
    np.testing.assert_allclose(restored, np.maximum(expected, 0), atol=1e-4)
    assert (np.asarray(code)[:, :width] > 0).all()  # no dead unit
    assert (np.asarray(code)[:, width:] == 0).all()


def test_units_that_two_widths_share_start_equal():
    features = features_of_rank(300, 6)
    one, three = (Bottleneck(4).init(jax.random.key(0), features, width)["params"] for width in (1, 3))
    for name in ("down_kernel", "down_bias", "up_kernel"):
        np.testing.assert_array_equal(one[name], three[name])


def test_a_masked_unit_gets_no_gradient():
    features = features_of_rank(50, 6)
    bottleneck = Bottleneck(4)
    variables = bottleneck.init(jax.random.key(0), features, 2)
    gradient = jax.grad(lambda v: jnp.sum(bottleneck.apply(v, features, 2)[1] ** 2))(variables)["params"]
    assert (np.asarray(gradient["down_kernel"])[:, 2:] == 0).all()
    assert (np.asarray(gradient["up_kernel"])[2:] == 0).all()
    assert (np.abs(gradient["down_kernel"])[:, :2].sum(axis=0) > 0).all()


def test_a_bottleneck_goes_into_trained_weights():
    """Parameters of the model are taken as they are, those of the bottleneck are initialized on its features."""
    images = np.random.default_rng(0).normal(size=(60, 28, 28)).astype(np.float32)
    model = LeNet(filters=(3, 4))
    trained = drawn(model, images)
    narrow = Bottlenecked(model, 16)

    @jax.jit
    def insert(trained):
        rngs = {"params": jax.random.key(0)}
        return narrow.apply(trained, images, bottleneck_width=16, mutable=True, rngs=rngs)

    outputs, variables = insert(trained)
    for path, leaf in jax.tree.leaves_with_path(trained):
        np.testing.assert_array_equal(_at(variables, path), leaf)
    assert set(variables["params"]) == {*trained["params"], "bottleneck"}
    features = jax.jit(lambda v: model.apply(v, images, method="features"))(trained)
    assert features.shape[1] > 16
    code, restored = (
        jax.jit(lambda v, method=method: narrow.apply(v, images, bottleneck_width=16, method=method))(variables)
        for method in ("code", "features")
    )
    assert code.shape == (60, 16)
    head = trained["params"]["head"]
    np.testing.assert_allclose(outputs, restored @ head["kernel"] + head["bias"], atol=1e-5)


def _at(tree, path):
    for part in path:
        tree = tree[part.key]
    return tree


def test_a_bottleneck_wider_than_the_features_is_refused():
    with pytest.raises(ValueError, match=r"in \[1, 6\], the features before it, got 7"):
        Bottleneck(7).init(jax.random.key(0), np.ones((3, 6), np.float32), 2)
