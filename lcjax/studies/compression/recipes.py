"""Training of Sharma et al. (2019) for fully connected and convolutional networks, and our choices beyond the paper."""

import dataclasses
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import optax

from lcjax.training import Budget, InverseDecay, Program, StepDecay, epochs, momentum

__all__ = ["ConvolutionalRecipe", "FullyConnectedRecipe", "Loss"]

RECORDS = 100  # recorded steps of a chosen setting: every fifth of the paper's 500 epochs

Loss = Callable[[jax.Array, jax.Array], jax.Array]  # (outputs (b, c), targets (b,)) -> losses (b,)


@dataclasses.dataclass(frozen=True)
class FullyConnectedRecipe:
    """Training for 500 epochs with a learning rate proportional to 1 / epoch.

    Unlike in `lcjax.studies.recipes.Recipe`, model, loss and penalties are open, because they vary in Table 1. Ours:
    plain stochastic gradient descent, batch size 100.

    Attributes:
        passes: epochs.
        choice: epochs after which settings are compared, fewer to save time; `passes` by default.
        batch: batch size.
        thresholds: steps of the pruning.
        dropout: dropout rate of D; ours.
    """

    passes: float | int = 500
    choice: float | int | None = None
    batch: int = 100
    thresholds: int = 50
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _check(self.passes, self.choice, self.batch, "passes")

    def program(self, model: nn.Module, loss: Loss, *, choosing: bool) -> Program:
        """Return the program of a network, to compare settings if `choosing`, else to train with the chosen one."""
        passes = (self.choice or self.passes) if choosing else self.passes
        budget = Budget(epochs=passes, records=1 if choosing else RECORDS)
        return Program(model, loss, optax.sgd, InverseDecay(math.ceil(passes)), self.batch, budget, epochs)


@dataclasses.dataclass(frozen=True)
class ConvolutionalRecipe:
    """Training for 230,000 steps with the learning rate divided by 10 every 100,000, scaled to other lengths.

    Ours: momentum 0.9, as in Caffe's examples; batch size 100, as in Caffe's example of the quick network.

    Attributes:
        steps: optimizer steps.
        choice: steps after which settings are compared, fewer to save time; `steps` by default.
        batch: batch size.
        thresholds: steps of the pruning.
        dropout: dropout rate of D; 0.5 is Caffe's default, 0.2 that of DenseNet.
        records: recorded steps of a chosen setting.
    """

    steps: int = 230_000
    choice: int | None = None
    batch: int = 100
    thresholds: int = 100
    dropout: float = 0.5
    records: int = RECORDS

    def __post_init__(self) -> None:
        _check(self.steps, self.choice, self.batch, "steps")

    def program(self, model: nn.Module, loss: Loss, *, choosing: bool) -> Program:
        """Return the program of a network, to compare settings if `choosing`, else to train with the chosen one."""
        steps = (self.choice or self.steps) if choosing else self.steps
        budget = Budget(steps=steps, records=1 if choosing else self.records)
        return Program(model, loss, momentum, StepDecay(0.1, 2.3), self.batch, budget, epochs)


def _check(length: float | int, choice: float | int | None, batch: int, name: str) -> None:
    if not length > 0 or batch < 1 or not (choice is None or 0 < choice <= length):
        raise ValueError(
            f"A recipe needs positive {name}, a positive batch size, and a choice within the {name}; got {name} "
            f"{length}, batch {batch}, choice {choice}."
        )
