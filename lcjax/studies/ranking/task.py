"""A ranked task: data, programs of several model sizes, learning rates, training sizes, and the metric ranked by."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.data.examples import Data
from lcjax.data.sequences.task import token_counts
from lcjax.models.parameters import parameter_count
from lcjax.training import Program, SweepResult
from lcjax.typing import Array

__all__ = ["METRICS", "RankedTask", "chance_error"]

METRICS = ("loss", "error", "top5")


@dataclasses.dataclass(frozen=True, eq=False)
class RankedTask:
    """A task to be ranked.

    Attributes:
        name: name in the ranking.
        domain: tasks of one domain are compared with each other: variants of one model, optimizer or loss.
        data: the task, with training, validation and test split.
        programs: programs, one per model size, smallest first.
        rates: learning rates to choose from.
        sizes: training examples of the shards, ascending.
        metric: metric of the rank: "loss" in nats per unit, "error" (fraction of wrong units) or "top5".
        unit: name of the unit of the sizes, such as "images", "words" or "utterances".
        count_tokens: True to count sizes of sequences in tokens (unpadded targets) instead of examples.
        published: exponents printed in the paper as (metric, exponent), with "model size" for the exponent of the best
            model's size; a metric may have several.
        note: differences from the paper, for the table.
    """

    name: str
    domain: str
    data: Data
    programs: tuple[Program, ...]
    rates: tuple[float, ...]
    sizes: tuple[int, ...]
    metric: str = "error"
    unit: str = "examples"
    count_tokens: bool = False
    published: tuple[tuple[str, float], ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        n, sizes = len(self.data.train.targets), list(self.sizes)
        if self.metric not in METRICS:
            raise ValueError(
                f"The task {self.name!r} has metric {self.metric!r}; the metrics are {', '.join(METRICS)}."
            )
        if not self.programs or not self.rates:
            raise ValueError(f"The task {self.name!r} needs at least one program and one learning rate.")
        if len(sizes) < 2 or sizes != sorted(set(sizes)) or not 1 <= min(sizes) <= max(sizes) <= n:
            raise ValueError(
                f"The task {self.name!r} needs at least two ascending sizes in [1, {n}], its training examples; got "
                f"{', '.join(map(str, sizes))}."
            )
        if self.data.test is None:
            raise ValueError(f"The task {self.name!r} has no test split to measure on.")

    def paper_exponents(self, metric: str) -> tuple[float, ...]:
        """Return the exponents that the paper prints for a metric.

        Examples:
            >>> from lcjax.studies.ranking.scales import SMOKE
            >>> from lcjax.studies.ranking.tasks import hestness_task
            >>> hestness_task("images", "digits", SMOKE).paper_exponents("error")
            (-0.309,)
        """
        return tuple(value for name, value in self.published if name == metric)

    def units(self, result: SweepResult) -> Float[np.ndarray, " s"]:
        """Return the sizes in units, averaged over the shards of a sweep."""
        sizes = np.asarray(self.sizes)
        if not self.count_tokens:
            return sizes.astype(float)
        tokens, size = token_counts(np.asarray(self.data.train.targets)), np.asarray(result.runs.columns["size"])
        of_run = np.array([tokens[result.shard(row)].sum() for row in range(len(size))])
        return np.array([of_run[size == one].mean() for one in sizes])

    def parameters(self) -> Int[np.ndarray, " p"]:
        """Return the number of parameters of each program's model."""

        def shape(leaf: Array) -> jax.ShapeDtypeStruct:
            tokens = np.issubdtype(leaf.dtype, np.integer) and leaf.dtype != np.uint8
            return jax.ShapeDtypeStruct((1, *leaf.shape[1:]), np.int32 if tokens else np.float32)

        example = jax.tree.map(shape, self.data.train.inputs)
        return np.array([parameter_count(program.model, example) for program in self.programs])


def chance_error(data: Data, metric: str) -> float:
    """Return the test score of the best constant answer, where a learning curve begins.

    The loss is that of the class or token frequencies in the training set (one is added to every count), the error that
    of the most frequent class, and the top-5 error that of the five most frequent. Without a test split the validation
    split is scored.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> part = lc.Examples(np.zeros((8, 1)), np.arange(8) % 4)
        >>> data = lc.Data(part, part, None, classes=4)
        >>> round(chance_error(data, "loss"), 4), chance_error(data, "error"), chance_error(data, "top5")
        (1.3863, 0.75, 0.0)
    """
    part = data.validation if data.test is None else data.test
    if not data.classes:
        return dataclasses.replace(data, validation=part).chance_error()
    train, targets = np.asarray(data.train.targets), np.asarray(part.targets)
    counts = np.bincount(train[train >= 0], minlength=data.classes)
    targets = targets[targets >= 0]
    if metric == "loss":
        frequency = (counts + 1) / (counts.sum() + data.classes)
        return float(-np.mean(np.log(frequency[targets])))
    answers = np.argsort(-counts, kind="stable")[: 5 if metric == "top5" else 1]
    return float(np.mean(~np.isin(targets, answers)))
