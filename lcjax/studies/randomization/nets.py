"""Networks of Zhang et al. (2017), dropout before their last layer, and the parameter table of their slides."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from lcjax.models.parameters import parameter_count
from lcjax.models.vision.alexnet import AlexNet, SmallAlexNet
from lcjax.models.vision.inception import InceptionV3, SmallInception
from lcjax.models.vision.lenet import LeNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.resnet import resnet
from lcjax.models.vision.vgg import VGG, VGG11, VGG19
from lcjax.typing import Array

__all__ = ["NETS", "Net", "WithDropout", "parameter_table"]

CIFAR, IMAGENET = 50_000, 1_200_000  # training examples, as in the slides


@dataclasses.dataclass(frozen=True)
class Net:
    """A network of the paper.

    Attributes:
        name: name on the command line.
        build: function from the number of classes to a Linen module.
        learning_rate: initial learning rate, the paper's (LeNet and Inception V3: ours).
        weight_decay: weight decay where it is switched on; ours, from replications.
        dropout: dropout rate of the last layer's inputs where it is switched on; ours.
        side: pixels per side of the central crop of an image.
    """

    name: str
    build: Callable[[int], nn.Module]
    learning_rate: float
    weight_decay: float
    dropout: float = 0.5
    side: int = 28

    def module(self, classes: int, *, dropout: bool = False) -> nn.Module:
        """Return the network, with dropout before its last layer if `dropout` is True."""
        net = self.build(classes)
        return WithDropout(net, self.dropout) if dropout else net


class WithDropout(nn.Module):
    """A network with dropout before its last layer; its parameters are those of the network alone.

    Attributes:
        net: a module with `features` and `head`.
        rate: dropout rate.

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

    def features(self, inputs: Array, *, train: bool = False) -> jax.Array:
        """Return the head's inputs, `(b, d)`."""
        features: jax.Array = self.last_dropping(self.net.features(inputs, train=train), deterministic=not train)
        return features

    def __call__(self, inputs: Array, *, train: bool = False) -> jax.Array:
        """Return the outputs, `(b, classes)`."""
        outputs: jax.Array = self.net.head(self.features(inputs, train=train))
        return outputs


NETS = {
    net.name: net
    for net in (
        Net("mlp-1x512", lambda classes: MLP((512,), classes), 0.01, 1e-4),
        Net("mlp-3x512", lambda classes: MLP((512, 512, 512), classes), 0.01, 1e-4),
        Net("lenet", lambda classes: LeNet(classes=classes), 0.01, 5e-4),
        Net("small-alexnet", SmallAlexNet, 0.01, 5e-4),
        Net("small-inception", SmallInception, 0.1, 5e-4),
        Net("small-inception-without-norm", lambda classes: SmallInception(classes, batch_norm=False), 0.1, 5e-4),
        Net("inception-v3", lambda classes: InceptionV3(classes, dropout=0.0), 0.045, 4e-5, dropout=0.2, side=299),
    )
}


def parameter_table() -> list[tuple[str, int, int, float]]:
    """Return name, parameters, training examples and their ratio of well-known networks, counted from our models.

    CIFAR-10 comes first, then ImageNet, as in the slides; Inception V3 includes its running statistics and has 1,008
    outputs.

    Examples:
        >>> rows = parameter_table()
        >>> [(name, count) for name, count, _, _ in rows[-2:]]
        [('VGG-11', 132863336), ('VGG-19', 143667240)]
    """

    def images(side: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, side, side, 3), np.float32)

    small = ("small-inception", "small-alexnet", "mlp-3x512", "mlp-1x512")
    large: dict[str, nn.Module] = {
        "AlexNet": AlexNet(),
        "ResNet-18": resnet(18, imagenet_stem=True, classes=1000),
        "ResNet-152": resnet(152, imagenet_stem=True, classes=1000),
        "VGG-11": VGG(VGG11, (4096, 4096), 1000, False),
        "VGG-19": VGG(VGG19, (4096, 4096), 1000, False),
    }
    v3 = parameter_count(InceptionV3(1008), images(299), collections=("params", "batch_stats"))
    rows = [(name, parameter_count(NETS[name].build(10), images(28)), CIFAR) for name in small]
    rows += [("Inception V3", v3, IMAGENET)]
    rows += [(name, parameter_count(model, images(224)), IMAGENET) for name, model in large.items()]
    return [(name, count, examples, count / examples) for name, count, examples in rows]
