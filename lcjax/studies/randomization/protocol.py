"""How Zhang et al. (2017) train: nets, preprocessing, schedule; what the paper states and what is our choice."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from lcjax.data.examples import Data, Examples
from lcjax.models.losses import cross_entropy
from lcjax.models.parameters import parameter_count
from lcjax.models.vision.alexnet import AlexNet, SmallAlexNet
from lcjax.models.vision.inception import InceptionV3, SmallInception
from lcjax.models.vision.lenet import LeNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.resnet import resnet
from lcjax.models.vision.vgg import VGG, VGG11, VGG19
from lcjax.training import Budget, Program, StepDecay, epochs, momentum
from lcjax.training.augmentation import Composed, Crop, flip

__all__ = ["NETS", "Net", "Protocol", "WithDropout", "parameter_table", "prepare"]


IMAGENET = 1_200_000  # training examples, as in the slides


@dataclasses.dataclass(frozen=True)
class Net:
    """A net of the paper.

    Attributes:
        name: on the command line.
        build: classes -> Linen module.
        learning_rate: at the start, as the paper states (for the LeNet and Inception V3: ours).
        weight_decay: where it is switched on; ours, from replications.
        dropout: share of the last layer's inputs dropped where it is switched on; ours.
        side: pixels of the centre of an image that it sees.
    """

    name: str
    build: Callable[[int], nn.Module]
    learning_rate: float
    weight_decay: float
    dropout: float = 0.5
    side: int = 28

    def module(self, classes: int, *, dropout: bool = False) -> nn.Module:
        """The net, with dropout before its last layer where it is switched on."""
        net = self.build(classes)
        return WithDropout(net, self.dropout) if dropout else net


class WithDropout(nn.Module):
    """A net some of whose last layer's inputs are dropped in training; its parameters are those of the net alone.

    Attributes:
        net: with `features` and `head`.
        rate: share that is dropped.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> variables = WithDropout(MLP((3,), 2), 0.5).init(jax.random.key(0), jnp.ones((1, 4)))
        >>> sorted(variables["params"])
        ['head', 'hidden_0']
    """

    net: nn.Module
    rate: float

    def setup(self) -> None:  # noqa: D102
        nn.share_scope(self, self.net)
        self.last_dropping = nn.Dropout(self.rate)

    def features(self, inputs: Any, *, train: bool = False) -> Any:
        """What the head sees."""
        return self.last_dropping(self.net.features(inputs, train=train), deterministic=not train)

    def __call__(self, inputs: Any, *, train: bool = False) -> Any:
        """Outputs, `(b, classes)`."""
        return self.net.head(self.features(inputs, train=train))


def _mlp_one(classes: int) -> nn.Module:
    return MLP((512,), classes)


def _mlp_three(classes: int) -> nn.Module:
    return MLP((512, 512, 512), classes)


def _lenet(classes: int) -> nn.Module:
    return LeNet(classes=classes)


def _inception(classes: int) -> nn.Module:
    return SmallInception(classes)


def _inception_without_norm(classes: int) -> nn.Module:
    return SmallInception(classes, batch_norm=False)


def _inception_v3(classes: int) -> nn.Module:
    return InceptionV3(classes, dropout=0.0)


NETS = {
    net.name: net
    for net in (
        Net("mlp-1x512", _mlp_one, 0.01, 1e-4),
        Net("mlp-3x512", _mlp_three, 0.01, 1e-4),
        Net("lenet", _lenet, 0.01, 5e-4),
        Net("small-alexnet", SmallAlexNet, 0.01, 5e-4),
        Net("small-inception", _inception, 0.1, 5e-4),
        Net("small-inception-without-norm", _inception_without_norm, 0.1, 5e-4),
        Net("inception-v3", _inception_v3, 0.045, 4e-5, dropout=0.2, side=299),
    )
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The paper's way of training; printed, it says what the paper states and what is ours.

    Attributes:
        steps: of optimization.
        batch: examples a step.
        decay_steps: after how many steps the rate falls by `decay`.
        decay: factor of the rate.
        records: how often a run is looked at.
        stop_when_fit: whether a run ends where it is right on all its examples.

    Examples:
        >>> print(Protocol(steps=1000))
        stated by the paper
          images        centre 28x28 pixels, each image standardized: (x - mean) / max(std, 1 / sqrt(elements))
          optimizer     SGD, momentum 0.9
          rate          0.1 small Inception, 0.01 small AlexNet and MLPs; times 0.95 an epoch
          regularizers  none, unless a row names them
          randomization labels and pixels drawn once, fixed for the run
        stated in the slides
          batch         128
        ours
          steps         1000, the rate times 0.95 every 391 steps (an epoch of 50,000 examples, whatever the subset)
          initial       Flax: LeCun normal weights, zero biases
          weight decay  0.0001 MLPs, 0.0005 convolutional nets, where a row switches it on
          random crop   shifts by up to 2 pixels, zeros beyond the edge; with left-right flip
          dropout       of half the inputs of the last layer, where a row switches it on
          LeNet         not in the paper; rate 0.01
          Inception V3  centre 299x299 pixels, rate 0.045, weight decay 4e-05, dropout 0.2, shifts by up to 21 pixels
    """

    steps: int
    batch: int = 128
    decay_steps: int = 391
    decay: float = 0.95
    records: int = 50
    stop_when_fit: bool = False

    def __str__(self) -> str:
        """What the paper states, and what is ours."""
        mlp, conv = NETS["mlp-1x512"].weight_decay, NETS["small-alexnet"].weight_decay
        v3 = NETS["inception-v3"]
        ours_or_slides = "stated in the slides" if self.batch == 128 else "ours (slides: 128)"
        return "\n".join(
            [
                "stated by the paper",
                "  images        centre 28x28 pixels, each image standardized: "
                "(x - mean) / max(std, 1 / sqrt(elements))",
                "  optimizer     SGD, momentum 0.9",
                "  rate          0.1 small Inception, 0.01 small AlexNet and MLPs; times 0.95 an epoch",
                "  regularizers  none, unless a row names them",
                "  randomization labels and pixels drawn once, fixed for the run",
                ours_or_slides,
                f"  batch         {self.batch}",
                "ours",
                f"  steps         {self.steps}, the rate times {self.decay:g} every {self.decay_steps} steps"
                + (" (an epoch of 50,000 examples, whatever the subset)" if self.decay_steps == 391 else ""),
                "  initial       Flax: LeCun normal weights, zero biases",
                f"  weight decay  {mlp:g} MLPs, {conv:g} convolutional nets, where a row switches it on",
                "  random crop   shifts by up to 2 pixels, zeros beyond the edge; with left-right flip",
                "  dropout       of half the inputs of the last layer, where a row switches it on",
                "  LeNet         not in the paper; rate 0.01",
                f"  Inception V3  centre {v3.side}x{v3.side} pixels, rate {v3.learning_rate:g}, weight decay "
                f"{v3.weight_decay:g}, dropout {v3.dropout:g}, shifts by up to {_shift(v3.side)} pixels",
            ]
        )

    def program(self, model: nn.Module, corrupt: Callable[..., Any], *, crop: bool = False, side: int = 28) -> Program:
        """What is compiled for one net that sees so many pixels a side."""
        return Program(
            model,
            cross_entropy,
            momentum,
            StepDecay(self.decay, self.steps / self.decay_steps),
            self.batch,
            Budget(steps=self.steps, records=self.records, stop_when_fit=self.stop_when_fit),
            epochs,
            augment=Composed((Crop(_shift(side)), flip)) if crop else None,
            corrupt=corrupt,
        )


def _shift(side: int) -> int:
    """How far a random crop moves: 2 pixels of 28."""
    return side // 14


def prepare(data: Data, *, crop: int = 28) -> Data:
    """Images as the paper's nets see them: centre crop, each image standardized; nothing is normalised afterwards.

        (x - mean) / max(standard deviation, 1 / sqrt(elements)),    x = pixel / 255

    Args:
        data: images `(n, height, width, channels)`.
        crop: height and width of the crop; smaller images stay as they are.

    Returns:
        The same task with float32 images.

    Raises:
        ValueError: the inputs are not images with a channel axis, or there are no classes.

    Examples:
        >>> import lcjax as lc
        >>> images = prepare(lc.load_data("digits")).train.inputs  # bytes up to 16 only: below the smallest deviation
        >>> print(images.shape, images.dtype, abs(images.mean()) < 1e-6, round(float(images[0].std()), 3))
        (1198, 8, 8, 1) float32 True 0.198
    """
    shape = np.shape(data.train.inputs)
    if len(shape) != 4:
        raise ValueError(
            f"The randomization tests need images (n, height, width, channels), got inputs of shape {shape}; "
            "images[..., None] adds a channel axis to grey images."
        )
    if not data.classes:
        raise ValueError(f"The randomization tests need classes, got real targets in {data.name or 'the data'}.")

    def standardized(part: Examples) -> Examples:
        images = np.asarray(part.inputs)
        top, left = (max(side - crop, 0) // 2 for side in images.shape[1:3])
        images = images[:, top : top + crop, left : left + crop].astype(np.float32) / np.float32(255)
        mean = images.mean(axis=(1, 2, 3), keepdims=True)
        spread = images.std(axis=(1, 2, 3), keepdims=True)
        floor = np.float32(1 / np.sqrt(images[0].size))
        return Examples((images - mean) / np.maximum(spread, floor), part.targets)

    parts = (None if part is None else standardized(part) for part in (data.train, data.validation, data.test))
    train, validation, test = parts
    assert train is not None
    assert validation is not None
    return Data(train, validation, test, 0.0, 1.0, classes=data.classes, name=data.name)


def parameter_table() -> list[tuple[str, int, int, float]]:
    """Parameters over examples of well-known nets, as the slides list them, from counted models.

    Inception V3 counts its running statistics and has 1,008 outputs, as in the slides.

    Returns:
        Name, parameters, training examples and their ratio; CIFAR-10 first, then ImageNet.

    Examples:
        >>> rows = parameter_table()
        >>> [(name, count) for name, count, _, _ in rows[-2:]]
        [('VGG-11', 132863336), ('VGG-19', 143667240)]
    """
    small = ("small-inception", "small-alexnet", "mlp-3x512", "mlp-1x512")
    rows = [(name, parameter_count(NETS[name].build(10), jnp.zeros((1, 28, 28, 3))), 50_000) for name in small]
    images = jnp.zeros((1, 299, 299, 3))
    count = parameter_count(InceptionV3(1008), images, collections=("params", "batch_stats"))
    rows.append(("Inception V3", count, IMAGENET))
    for name, model in (
        ("AlexNet", AlexNet()),
        ("ResNet-18", resnet(18, imagenet_stem=True, classes=1000)),
        ("ResNet-152", resnet(152, imagenet_stem=True, classes=1000)),
        ("VGG-11", VGG(VGG11, (4096, 4096), 1000, False)),
        ("VGG-19", VGG(VGG19, (4096, 4096), 1000, False)),
    ):
        rows.append((name, parameter_count(model, jnp.zeros((1, 224, 224, 3))), IMAGENET))
    return [(name, count, examples, count / examples) for name, count, examples in rows]
