"""Training and preprocessing of Zhang et al. (2017): the paper's settings and ours."""

import dataclasses

import flax.linen as nn
import numpy as np

from lcjax.data.examples import Data, Examples
from lcjax.models.losses import cross_entropy
from lcjax.studies.randomization.nets import NETS
from lcjax.training import Budget, Program, StepDecay, epochs, momentum
from lcjax.training.augmentation import Composed, Crop, flip
from lcjax.training.program import Corruption

__all__ = ["RandomizationRecipe", "prepare"]


@dataclasses.dataclass(frozen=True)
class RandomizationRecipe:
    """The paper's training of any network; printed, it lists the paper's settings and ours.

    Unlike in `lcjax.studies.recipes.Recipe`, the model, its regularizers and the corruption of its data are open,
    because they vary between the cases of a study.

    Attributes:
        steps: optimizer steps.
        batch: batch size.
        decay_steps: steps after which the learning rate is multiplied by `decay`.
        decay: factor of the learning rate.
        records: recorded steps of a run.
        stop_when_fit: True to stop a run once it classifies all its examples correctly.

    Examples:
        >>> print(RandomizationRecipe(steps=1000))
        stated by the paper
          images        centre 28x28 pixels, each image standardized: (x - mean) / max(std, 1 / sqrt(elements))
          optimizer     SGD, momentum 0.9
          rate          0.1 small Inception, 0.01 small AlexNet and MLPs; times 0.95 per epoch
          regularizers  none, unless a row names them
          randomization labels and pixels drawn once, fixed for the run
        stated in the slides
          batch         128
        ours
          steps         1000, the rate times 0.95 every 391 steps (an epoch of 50,000 examples, whatever the subset)
          initial       Flax: LeCun normal weights, zero biases
          weight decay  0.0001 MLPs, 0.0005 convolutional networks, if a row names it
          random crop   shifts by up to 2 pixels, zeros beyond the edge; with left-right flip
          dropout       of half the inputs of the last layer, if a row names it
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
        """Return the paper's settings, those of the slides, and ours."""
        mlp, conv = NETS["mlp-1x512"].weight_decay, NETS["small-alexnet"].weight_decay
        v3 = NETS["inception-v3"]
        epoch = " (an epoch of 50,000 examples, whatever the subset)" if self.decay_steps == 391 else ""
        return "\n".join(
            [
                "stated by the paper",
                "  images        centre 28x28 pixels, each image standardized: "
                "(x - mean) / max(std, 1 / sqrt(elements))",
                "  optimizer     SGD, momentum 0.9",
                "  rate          0.1 small Inception, 0.01 small AlexNet and MLPs; times 0.95 per epoch",
                "  regularizers  none, unless a row names them",
                "  randomization labels and pixels drawn once, fixed for the run",
                "stated in the slides" if self.batch == 128 else "ours (slides: 128)",
                f"  batch         {self.batch}",
                "ours",
                f"  steps         {self.steps}, the rate times {self.decay:g} every {self.decay_steps} steps{epoch}",
                "  initial       Flax: LeCun normal weights, zero biases",
                f"  weight decay  {mlp:g} MLPs, {conv:g} convolutional networks, if a row names it",
                "  random crop   shifts by up to 2 pixels, zeros beyond the edge; with left-right flip",
                "  dropout       of half the inputs of the last layer, if a row names it",
                "  LeNet         not in the paper; rate 0.01",
                f"  Inception V3  centre {v3.side}x{v3.side} pixels, rate {v3.learning_rate:g}, weight decay "
                f"{v3.weight_decay:g}, dropout {v3.dropout:g}, shifts by up to {_largest_shift(v3.side)} pixels",
            ]
        )

    def program(self, model: nn.Module, corrupt: Corruption, *, crop: bool = False, side: int = 28) -> Program:
        """Return the program of a network for images of `side` pixels, with random crop and flip if `crop` is True."""
        return Program(
            model,
            cross_entropy,
            momentum,
            StepDecay(self.decay, self.steps / self.decay_steps),
            self.batch,
            Budget(steps=self.steps, records=self.records, stop_when_fit=self.stop_when_fit),
            epochs,
            augment=Composed((Crop(_largest_shift(side)), flip)) if crop else None,
            corrupt=corrupt,
        )


def _largest_shift(side: int) -> int:
    """Return the largest shift of a random crop: 2 of 28 pixels."""
    return side // 14


def prepare(data: Data, *, crop: int = 28) -> Data:
    """Preprocess images as in the paper: central crop, each image standardized, no further normalization.

        (x - mean) / max(standard deviation, 1 / sqrt(elements)),    x = pixel / 255

    Images are `(n, height, width, channels)` and become float32; sides shorter than the crop, in pixels, are kept.

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

    def standardize(part: Examples) -> Examples:
        images = np.asarray(part.inputs)
        top, left = (max(side - crop, 0) // 2 for side in images.shape[1:3])
        images = images[:, top : top + crop, left : left + crop].astype(np.float32) / np.float32(255)
        mean = images.mean(axis=(1, 2, 3), keepdims=True)
        spread = images.std(axis=(1, 2, 3), keepdims=True)
        floor = np.float32(1 / np.sqrt(images[0].size))
        return Examples((images - mean) / np.maximum(spread, floor), part.targets)

    test = None if data.test is None else standardize(data.test)
    train, validation = standardize(data.train), standardize(data.validation)
    return Data(train, validation, test, 0.0, 1.0, classes=data.classes, name=data.name)
