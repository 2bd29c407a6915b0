"""How Sharma et al. train fully connected and convolutional nets, and what is our choice where they do not say."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import numpy as np
import optax

from lcjax.data.examples import Data, Examples
from lcjax.training import Budget, InverseDecay, Program, StepDecay, epochs, momentum

__all__ = ["Convolutional", "FullyConnected", "cut", "halve_test", "mean_image"]

RECORDS = 100  # looks at a winner's validation error: every fifth epoch of the paper's 500


@dataclasses.dataclass(frozen=True)
class FullyConnected:
    """500 epochs, the rate falls as 1 / epoch. Ours: plain stochastic gradient descent, 100 examples a step.

    Attributes:
        passes: epochs.
        choice: epochs after which settings are compared, fewer to save time; as many by default.
        batch: examples a step.
        thresholds: steps of the pruning.
        dropout: share that D drops; ours.
    """

    passes: float | int = 500
    choice: float | int | None = None
    batch: int = 100
    thresholds: int = 50
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _positive(self.passes, self.choice, self.batch, "passes")

    def program(self, model: nn.Module, objective: Any, *, choosing: bool) -> Program:
        """What is compiled for one net: to choose a setting, or to train with what was chosen."""
        passes = (self.choice or self.passes) if choosing else self.passes
        budget = Budget(epochs=passes, records=1 if choosing else RECORDS)
        return Program(model, objective, optax.sgd, InverseDecay(math.ceil(passes)), self.batch, budget, epochs)


@dataclasses.dataclass(frozen=True)
class Convolutional:
    """230,000 iterations, the rate divided by 10 every 100,000: at the same shares of a run of other length.

    Ours: momentum 0.9, as in Caffe's examples; 100 examples a step, as in that of the quick net.

    Attributes:
        steps: iterations.
        choice: iterations after which settings are compared, fewer to save time; as many by default.
        batch: examples a step.
        thresholds: steps of the pruning.
        dropout: share that D drops; 0.5 is Caffe's default, and 0.2 that of DenseNet.
        records: looks at a winner's validation error.
    """

    steps: int = 230_000
    choice: int | None = None
    batch: int = 100
    thresholds: int = 100
    dropout: float = 0.5
    records: int = RECORDS

    def __post_init__(self) -> None:
        _positive(self.steps, self.choice, self.batch, "steps")

    def program(self, model: nn.Module, objective: Any, *, choosing: bool) -> Program:
        """What is compiled for one net: to choose a setting, or to train with what was chosen."""
        steps = (self.choice or self.steps) if choosing else self.steps
        budget = Budget(steps=steps, records=1 if choosing else self.records)
        return Program(model, objective, momentum, StepDecay(0.1, 2.3), self.batch, budget, epochs)


def mean_image(data: Data) -> Data:
    """Images of which the training set's mean image is subtracted, as Caffe does, divided by their standard deviation.

    Examples:
        >>> import lcjax as lc
        >>> mean_image(lc.load_data("digits")).offset.shape
        (8, 8, 1)
    """
    images = np.asarray(data.train.inputs, np.float32)
    offset = images.mean(axis=0)
    return dataclasses.replace(data, offset=offset, scale=1 / max(float((images - offset).std()), 1e-6))


def halve_test(data: Data, *, seed: int = 0) -> Data:
    """All training examples to train on, and the test set in two halves, the first for validation (Table 2).

    Which half an example is in is not published; ours is drawn by the seed.

    Raises:
        ValueError: there is no test set.

    Examples:
        >>> import lcjax as lc
        >>> halves = halve_test(lc.load_data("digits"))
        >>> [len(part.targets) for part in (halves.train, halves.validation, halves.test)]
        [1438, 179, 180]
    """
    if data.test is None:
        raise ValueError(f"{data.name} has no test set to split.")
    whole = Examples(
        np.concatenate([np.asarray(data.train.inputs), np.asarray(data.validation.inputs)]),
        np.concatenate([np.asarray(data.train.targets), np.asarray(data.validation.targets)]),
    )
    order = np.random.default_rng(seed).permutation(len(data.test.targets))
    half = len(order) // 2
    validation, test = (_rows(data.test, np.sort(part)) for part in (order[:half], order[half:]))
    return dataclasses.replace(data, train=whole, validation=validation, test=test)


def cut(data: Data, examples: int, *, seed: int = 0) -> Data:
    """So many training examples, drawn by the seed, and at most a quarter as many to validate and to test.

    Raises:
        ValueError: there are not so many.

    Examples:
        >>> import lcjax as lc
        >>> small = cut(lc.load_data("digits"), 400)
        >>> [len(part.targets) for part in (small.train, small.validation, small.test)]
        [400, 100, 100]
    """
    n = len(data.train.targets)
    if not 4 <= examples <= n:
        raise ValueError(f"The training set has {n} examples; a part of it has 4 to {n}, got {examples}.")
    generator = np.random.default_rng(seed)

    def part(whole: Examples, most: int) -> Examples:
        return _rows(whole, np.sort(generator.permutation(len(whole.targets))[:most]))

    test = None if data.test is None else part(data.test, examples // 4)
    return dataclasses.replace(
        data, train=part(data.train, examples), validation=part(data.validation, examples // 4), test=test
    )


def _rows(examples: Examples, index: np.ndarray) -> Examples:
    return Examples(np.asarray(examples.inputs)[index], np.asarray(examples.targets)[index])


def _positive(length: float | int, choice: float | int | None, batch: int, name: str) -> None:
    if not length > 0 or batch < 1 or not (choice is None or 0 < choice <= length):
        raise ValueError(
            f"A protocol needs {name} and a batch above 0, and settings are compared within the {name}; got {name} "
            f"{length}, batch {batch}, choice {choice}."
        )
