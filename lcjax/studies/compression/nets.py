"""Networks of Sharma et al. (2019) with their data, recipe and losses."""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn

from lcjax.data.examples import Data
from lcjax.models.vision.densenet import DenseNet
from lcjax.models.vision.mlp import MLP
from lcjax.models.vision.quicknet import QuickNet
from lcjax.papers.sharma import DENSE_LOSSES, LOSSES, QUICK_LOSSES
from lcjax.studies.compression.recipes import ConvolutionalRecipe, FullyConnectedRecipe
from lcjax.studies.compression.subsets import halve_test, mean_image

__all__ = ["Subject", "convolutional_subject", "fully_connected_subjects"]


class Subject(NamedTuple):
    """A network to compress.

    Attributes:
        data: the task, normalized for the network.
        model: a Linen module.
        recipe: its training.
        losses: losses of the paper's table.
    """

    data: Data
    model: nn.Module
    recipe: FullyConnectedRecipe | ConvolutionalRecipe
    losses: Sequence[str]


def fully_connected_subjects(
    data: Data, depths: Sequence[int], width: int, recipe: FullyConnectedRecipe
) -> dict[str, Subject]:
    """Return perceptrons by their number of hidden layers.

    Raises:
        ValueError: a depth is negative, or no depth is given.

    Examples:
        >>> import lcjax as lc
        >>> list(fully_connected_subjects(lc.load_data("digits"), (1, 2), 50, FullyConnectedRecipe()))
        ['1', '2']
    """
    if not depths or min(depths) < 0:
        raise ValueError(f"Numbers of hidden layers must be at least 0, got {list(depths)}.")
    return {str(depth): Subject(data, MLP((width,) * depth, data.classes), recipe, LOSSES) for depth in depths}


def convolutional_subject(
    name: str, data: Data, *, depth: int = 40, seed: int = 0, **options: int | float | None
) -> Subject:
    """Return the quick network ("quicknet") or a DenseNet ("densenet").

    CIFAR's test set is split into validation and test halves with `seed`, as in Table 2. The quick network receives
    pixels minus the mean image, as in Caffe, in units of their standard deviation (ours). A DenseNet of `depth` layers
    receives standardized channels, with dropout rate 0.2 and batch size 64, as in its paper. The options are fields of
    `ConvolutionalRecipe`.

    Raises:
        ValueError: the network is unknown, or the inputs are not images.

    Examples:
        >>> import lcjax as lc
        >>> subject = convolutional_subject("densenet", lc.load_data("digits"), steps=10)
        >>> subject.recipe.dropout, subject.recipe.batch, len(subject.losses)
        (0.2, 64, 7)
    """
    if data.train.inputs.ndim != 4:
        raise ValueError(f"A {name} takes images (n, height, width, channels), got {data.train.inputs.shape}.")
    if "cifar" in data.name.lower():
        data = halve_test(data, seed=seed)
    defaults = {"batch": 64, "dropout": 0.2} if name == "densenet" else {}
    recipe = ConvolutionalRecipe(**{**defaults, **options})  # type: ignore[arg-type]  # checked by the class
    if name == "quicknet":
        return Subject(mean_image(data), QuickNet(data.classes), recipe, QUICK_LOSSES)
    if name == "densenet":
        return Subject(data, DenseNet(depth, classes=data.classes), recipe, DENSE_LOSSES)
    raise ValueError(f"Unknown network {name!r}; the networks are quicknet and densenet.")
