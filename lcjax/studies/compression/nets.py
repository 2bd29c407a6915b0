"""The nets of Sharma et al. with their data as they see them, their protocol and their losses."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn

from lcjax.data.examples import Data
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.quicknet import QuickNet
from lcjax.papers.sharma import DENSE_LOSSES, LOSSES, QUICK_LOSSES
from lcjax.studies.compression.protocol import Convolutional, FullyConnected, halve_test, mean_image

__all__ = ["Subject", "convolutional_subject", "fully_connected_subjects"]


class Subject(NamedTuple):
    """A net to be compressed.

    Attributes:
        data: as the net sees them.
        model: a Linen module.
        protocol: how it is trained.
        losses: rows of the paper's table.
    """

    data: Data
    model: nn.Module
    protocol: FullyConnected | Convolutional
    losses: Sequence[str]


def fully_connected_subjects(
    data: Data, depths: Sequence[int], width: int, protocol: FullyConnected
) -> dict[str, Subject]:
    """Perceptrons with so many hidden layers of one width, by a short name.

    Raises:
        ValueError: a depth is negative, or no depth is given.

    Examples:
        >>> import lcjax as lc
        >>> list(fully_connected_subjects(lc.load_data("digits"), (1, 2), 50, FullyConnected()))
        ['1', '2']
    """
    if not depths or min(depths) < 0:
        raise ValueError(f"Numbers of hidden layers are at least 0, got {list(depths)}.")
    return {str(depth): Subject(data, MLP((width,) * depth, data.classes), protocol, LOSSES) for depth in depths}


def convolutional_subject(name: str, data: Data, *, depth: int = 40, seed: int = 0, **options: Any) -> Subject:
    """The quick net ("quicknet") or a DenseNet ("densenet").

    CIFAR's test set is halved to validate and to test, as in Table 2. The quick net sees pixels less the mean image, as
    in Caffe, in units of their standard deviation (ours); DenseNet sees each channel standardized, as in its paper,
    drops 0.2 and takes 64 examples a step.

    Args:
        name: of the net.
        data: images with channels last.
        depth: layers of a DenseNet.
        seed: of the halves.
        options: of `Convolutional`.

    Raises:
        ValueError: there is no such net, or the inputs are not images.

    Examples:
        >>> import lcjax as lc
        >>> subject = convolutional_subject("densenet", lc.load_data("digits"), steps=10)
        >>> subject.protocol.dropout, subject.protocol.batch, len(subject.losses)
        (0.2, 64, 7)
    """
    if data.train.inputs.ndim != 4:
        raise ValueError(f"A {name} takes images (n, height, width, channels), got {data.train.inputs.shape}.")
    if "cifar" in data.name.lower():
        data = halve_test(data, seed=seed)
    if name == "quicknet":
        return Subject(mean_image(data), QuickNet(data.classes), Convolutional(**options), QUICK_LOSSES)
    if name == "densenet":
        protocol = Convolutional(**{"batch": 64, "dropout": 0.2, **options})
        return Subject(data, DenseNet(depth, classes=data.classes), protocol, DENSE_LOSSES)
    raise ValueError(f"There is no net {name!r}; there are quicknet and densenet.")
