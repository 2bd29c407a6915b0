"""Cases of the randomization tests of Zhang et al. (2017): conditions, regularizers and widths as tables of runs."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num

from lcjax.complexity.corruption import corrupt_labels, gaussian_pixels, random_pixels, shuffle_pixels
from lcjax.models.vision.mlp import MLP
from lcjax.papers.zhang import paper_rows
from lcjax.studies.randomization.nets import NETS, Net
from lcjax.studies.randomization.recipe import RandomizationRecipe
from lcjax.training import Runs
from lcjax.training.program import Columns
from lcjax.typing import Array, KeyArray

__all__ = ["CONDITIONS", "Case", "Randomization", "condition_cases", "regularizer_cases", "runs_of", "width_cases"]

Images: TypeAlias = Num[Array, "b h w c"]
Labels: TypeAlias = Int[Array, " b"]

RATIOS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # parameters over examples: the range of the table of Bourlard and Wellekens

# Columns "pixels" and "corruption" of each condition; "corrupted labels" has a corruption of its own in every case.
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
    """Corruption of the examples of a run by its columns "pixels" and "corruption", for `Program.corrupt`.

    Images must be standardized: Gaussian pixels have mean 0 and variance 1.

    Attributes:
        classes: number of classes.
        pixels: values that occur in the column "pixels", ascending; vectorized runs compute all of them.
    """

    classes: int
    pixels: tuple[int, ...] = (0, 1, 2, 3)

    def __call__(
        self, key: KeyArray, number: Labels, images: Images, labels: Labels, columns: Columns, *, train: bool
    ) -> tuple[Num[jax.Array, "b h w c"], Int[jax.Array, " b"]]:
        """Return the images and labels of the examples with these numbers; only training labels change."""
        label_key, pixel_key = jax.random.split(key)
        if train:
            labels = corrupt_labels(label_key, labels, self.classes, columns["corruption"], index=number)
        branches: list[Callable[[jax.Array], jax.Array]] = [
            lambda images: images,
            lambda images: shuffle_pixels(pixel_key, images),
            lambda images: random_pixels(pixel_key, images, index=number),
            lambda images: gaussian_pixels(pixel_key, images, index=number, mean=0.0, standard_deviation=1.0),
        ]
        branches = [branches[kind] for kind in self.pixels]
        if len(branches) == 1:
            return branches[0](jnp.asarray(images)), jnp.asarray(labels)
        place = jnp.searchsorted(jnp.asarray(self.pixels), columns["pixels"])
        return jax.lax.switch(place, branches, jnp.asarray(images)), jnp.asarray(labels)


@dataclasses.dataclass(frozen=True)
class Case:
    """One run of a randomization test.

    Attributes:
        net: the network.
        size: training examples.
        condition: a name of `CONDITIONS`.
        corruption: probability that a training label is replaced.
        crop: True for random crop and flip.
        decay: True for weight decay.
        seed: seed of order, initialization, minibatches and randomization.
        dropout: True for dropout before the last layer.
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
        """True if no regularizer is on."""
        return not (self.crop or self.decay or self.dropout)


def condition_cases(
    nets: Sequence[tuple[Net, int]], *, levels: int = 11, seeds: Sequence[int] = (0,)
) -> tuple[Case, ...]:
    """Return the cases of Figure 1: every condition, and corruption in equal steps from true to random labels.

    Each network is paired with its number of training examples; `levels` is the number of levels, at least 2.

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
    """Return the cases of Tables 1 and 2 and Figure 2: each regularizer switched on, and random labels.

    Each network is paired with its number of training examples. A network that the tables lack has five cases, as the
    convolutional networks in Table 1. With `dropout` there is also a case with dropout alone, which Table 1 lacks.

    Examples:
        >>> small = [(net, 100) for name, net in NETS.items() if name not in ("lenet", "inception-v3")]
        >>> len(regularizer_cases(small)), len(regularizer_cases([(NETS["inception-v3"], 100)]))
        (19, 7)
    """
    off = {"crop": False, "decay": False, "dropout": False}
    switched = [(off | {"crop": crop, "decay": decay}, False) for crop in (True, False) for decay in (True, False)]
    cases = []
    for net, size in nets:
        rows = [
            ({"crop": r.crop, "decay": r.decay, "dropout": r.dropout}, r.random_labels) for r in paper_rows(net.name)
        ] or [*switched, (off, True)]
        alone = (off | {"dropout": True}, False)
        for switches, random in [*rows, alone] if dropout and alone not in rows else rows:
            condition = "random labels" if random else "true labels"
            cases += [Case(net, size, condition, float(random), seed=seed, **switches) for seed in seeds]
    return tuple(cases)


def width_cases(
    inputs: int, classes: int, size: int, *, ratios: Sequence[float] = RATIOS, seeds: Sequence[int] = (0,)
) -> tuple[Case, ...]:
    """Return perceptrons with one hidden layer and given ratios of parameters to examples, on true labels.

    They test whether the error rises with p / n, as in the table of Bourlard and Wellekens (1990).

    Args:
        inputs: numbers per example.
        classes: number of classes.
        size: training examples.
        ratios: parameters over examples; the width is rounded, so that the ratios hold approximately.
        seeds: seeds of the runs.

    Raises:
        ValueError: the smallest ratio allows less than half of one hidden unit.

    Examples:
        >>> [case.net.name for case in width_cases(64, 10, 1000, ratios=(1.0, 10.0))]
        ['mlp-1x13', 'mlp-1x133']
    """
    per_unit = inputs + 1 + classes
    if min(ratios) * size < classes + per_unit / 2:
        raise ValueError(
            f"A ratio of {min(ratios)} parameters per example is too small for one hidden unit, which has "
            f"{per_unit + classes} with {inputs} inputs, over {size} examples. Use more examples or larger ratios."
        )
    widths = sorted({max(1, round((ratio * size - classes) / per_unit)) for ratio in ratios})
    return tuple(Case(_perceptron(width), size, seed=seed) for width in widths for seed in seeds)


@functools.cache  # one Net per width, hence one program
def _perceptron(width: int) -> Net:
    return Net(f"mlp-1x{width}", lambda classes: MLP((width,), classes), 0.01, NETS["mlp-1x512"].weight_decay)


def runs_of(cases: Sequence[Case], classes: int, recipe: RandomizationRecipe) -> Runs:
    """Return the cases as a table of runs, with one program per network, with and without crop and dropout."""
    corrupt = Randomization(classes, tuple(sorted({CONDITIONS[case.condition][0] for case in cases})))
    kinds = list(dict.fromkeys((case.net, case.crop, case.dropout) for case in cases))
    programs = tuple(
        recipe.program(net.module(classes, dropout=dropout), corrupt, crop=crop, side=net.side)
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
