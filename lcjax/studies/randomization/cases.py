"""What the randomization tests of Zhang et al. (2017) train: conditions, regularizers and widths as tables of runs."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.complexity.corruption import corrupt_labels, gaussian_pixels, random_pixels, shuffle_pixels
from lcjax.models.vision.mlp import MLP
from lcjax.papers.zhang import paper_rows
from lcjax.studies.randomization.protocol import NETS, Net, Protocol
from lcjax.training.runs import Runs

__all__ = ["CONDITIONS", "Case", "Randomization", "condition_cases", "regularizer_cases", "runs_of", "width_cases"]

RATIOS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # parameters over examples: the range of Bourlard and Wellekens' table

# Name of a condition to the columns "pixels" and "corruption"; "corrupted labels" brings its own corruption.
CONDITIONS = {
    "true labels": (0, 0.0),
    "random labels": (0, 1.0),
    "shuffled pixels": (1, 0.0),
    "random pixels": (2, 0.0),
    "gaussian pixels": (3, 0.0),
    "corrupted labels": (0, 0.5),
}


@dataclasses.dataclass(frozen=True)
class Randomization:
    """What a run sees instead of the data, by its columns "pixels" and "corruption": the `corrupt` of a `Program`.

    Images must be standardized: Gaussian pixels have mean 0 and variance 1.

    Attributes:
        classes: of the labels.
        pixels: values of the column "pixels" that occur, ascending; runs side by side pay for all of them.
    """

    classes: int
    pixels: tuple[int, ...] = (0, 1, 2, 3)

    def __call__(self, key: Any, number: Any, images: Any, labels: Any, columns: Any, *, train: bool) -> Any:
        """Images and labels of the examples with these numbers; labels change in the training set only."""
        label_key, pixel_key = jax.random.split(key)
        if train:
            labels = corrupt_labels(label_key, labels, self.classes, columns["corruption"], index=number)
        branches = [
            lambda images: images,
            lambda images: shuffle_pixels(pixel_key, images),
            lambda images: random_pixels(pixel_key, images, index=number),
            lambda images: gaussian_pixels(pixel_key, images, index=number, mean=0.0, standard_deviation=1.0),
        ]
        chosen = [branches[kind] for kind in self.pixels]
        if len(chosen) == 1:
            return chosen[0](jnp.asarray(images)), labels
        place = jnp.searchsorted(jnp.asarray(self.pixels), columns["pixels"])
        return jax.lax.switch(place, chosen, jnp.asarray(images)), labels


@dataclasses.dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        net: what is trained.
        size: examples.
        condition: a name of `CONDITIONS`.
        corruption: probability that a training label is replaced.
        crop: random crop and flip.
        decay: weight decay.
        seed: of order, initialization, minibatches and randomization.
        dropout: before the last layer.
    """

    net: Net
    size: int
    condition: str = "true labels"
    corruption: float = 0.0
    crop: bool = False
    decay: bool = False
    seed: int = 0
    dropout: bool = False

    @property
    def plain(self) -> bool:
        """Whether no regularizer is switched on."""
        return not (self.crop or self.decay or self.dropout)


def condition_cases(
    nets: Sequence[tuple[Net, int]], *, levels: int = 11, seeds: Sequence[int] = (0,)
) -> tuple[Case, ...]:
    """Figure 1: every condition, and corruption in equal steps from 0 (true labels) to 1 (random labels).

    Args:
        nets: nets and the examples that each gets.
        levels: of corruption, at least 2.
        seeds: repeats.

    Raises:
        ValueError: there are fewer than two levels.

    Examples:
        >>> cases = condition_cases([(NETS["lenet"], 100)], levels=3)
        >>> [(case.condition, case.corruption) for case in cases[:3]], len(cases)
        ([('true labels', 0.0), ('corrupted labels', 0.5), ('random labels', 1.0)], 6)
    """
    if levels < 2:
        raise ValueError(f"Corruption needs at least the levels 0 and 1, got levels={levels}.")
    names = {0.0: "true labels", 1.0: "random labels"}
    pairs = [(names.get(p, "corrupted labels"), p) for p in np.linspace(0, 1, levels).round(6).tolist()]
    pairs += [(name, 0.0) for name in ("shuffled pixels", "random pixels", "gaussian pixels")]
    return tuple(
        Case(net, size, condition, p, seed=seed) for net, size in nets for condition, p in pairs for seed in seeds
    )


def regularizer_cases(
    nets: Sequence[tuple[Net, int]], *, seeds: Sequence[int] = (0,), dropout: bool = False
) -> tuple[Case, ...]:
    """Tables 1 and 2, Figure 2: regularizers switched one by one, and random labels; the rows that the paper has.

    A net that the paper's tables lack gets all five rows.

    Args:
        nets: nets and the examples that each gets.
        seeds: repeats.
        dropout: add a row with dropout alone, which Table 1 lacks.

    Examples:
        >>> small = [(net, 100) for name, net in NETS.items() if name not in ("lenet", "inception-v3")]
        >>> len(regularizer_cases(small)), len(regularizer_cases([(NETS["inception-v3"], 100)]))
        (19, 7)
    """
    off = {"crop": False, "decay": False, "dropout": False}
    every = [(off | {"crop": crop, "decay": decay}, False) for crop in (True, False) for decay in (True, False)]
    cases = []
    for net, size in nets:
        rows = [
            ({"crop": r.crop, "decay": r.decay, "dropout": r.dropout}, r.random_labels) for r in paper_rows(net.name)
        ] or [*every, (off, True)]
        alone = (off | {"dropout": True}, False)
        for on, random in [*rows, alone] if dropout and alone not in rows else rows:
            condition = "random labels" if random else "true labels"
            cases += [Case(net, size, condition, float(random), seed=seed, **on) for seed in seeds]
    return tuple(cases)


def width_cases(
    inputs: int, classes: int, size: int, *, ratios: Sequence[float] = RATIOS, seeds: Sequence[int] = (0,)
) -> tuple[Case, ...]:
    """Perceptrons of one hidden layer with given numbers of parameters over examples, true labels.

    The question of Bourlard and Wellekens' table: does the test error rise with p / n?

    Args:
        inputs: numbers an example.
        classes: of the labels.
        size: examples.
        ratios: parameters over examples wanted; the width is the nearest whole number, so that the ratio is not exact.
        seeds: repeats.

    Raises:
        ValueError: one hidden unit alone has more parameters than the smallest ratio allows by half.

    Examples:
        >>> [case.net.name for case in width_cases(64, 10, 1000, ratios=(1.0, 10.0))]
        ['mlp-1x13', 'mlp-1x133']
    """
    per_unit = inputs + 1 + classes
    if min(ratios) * size < classes + per_unit / 2:
        raise ValueError(
            f"{min(ratios)} parameters an example are fewer than one hidden unit has: {per_unit + classes} for "
            f"{inputs} inputs, over {size} examples. Take more examples or larger ratios."
        )
    widths = sorted({max(1, round((ratio * size - classes) / per_unit)) for ratio in ratios})
    return tuple(Case(_perceptron(width), size, seed=seed) for width in widths for seed in seeds)


@functools.cache  # one net a width, one program
def _perceptron(width: int) -> Net:
    return Net(f"mlp-1x{width}", lambda classes: MLP((width,), classes), 0.01, NETS["mlp-1x512"].weight_decay)


def runs_of(cases: Sequence[Case], classes: int, protocol: Protocol) -> Runs:
    """The cases as a table of runs: one program for each net, with and without crop and dropout."""
    corrupt = Randomization(classes, tuple(sorted({CONDITIONS[case.condition][0] for case in cases})))
    kinds = list(dict.fromkeys((case.net, case.crop, case.dropout) for case in cases))
    programs = tuple(
        protocol.program(net.module(classes, dropout=dropout), corrupt, crop=crop, side=net.side)
        for net, crop, dropout in kinds
    )
    columns = {
        "size": np.array([case.size for case in cases]),
        "seed": np.array([case.seed for case in cases]),
        "learning_rate": np.array([case.net.learning_rate for case in cases], np.float32),
        "weight_decay": np.array([case.net.weight_decay * case.decay for case in cases], np.float32),
        "corruption": np.array([case.corruption for case in cases], np.float32),
        "pixels": np.array([CONDITIONS[case.condition][0] for case in cases]),
    }
    if not any(case.decay for case in cases):
        del columns["weight_decay"]
    program = [kinds.index((case.net, case.crop, case.dropout)) for case in cases]
    return Runs(programs, np.array(program), columns)
