"""A task of the hierarchy: data, models of several sizes, how they are trained, and in what its error is counted."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float

from lcjax.data.examples import Data
from lcjax.data.sequences.task import token_counts
from lcjax.training.program import Program
from lcjax.training.result import SweepResult

__all__ = ["METRICS", "Task", "best_guess", "parameters_of"]

METRICS = ("loss", "error", "top5")


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """One task to be ranked. A task of your own needs nothing more than this.

    Attributes:
        name: what the ranking calls it.
        domain: tasks of one domain are compared with each other: variants of one model, optimizer, loss.
        data: with training, validation and test split.
        programs: nets and how they are trained, one a model size, smallest first.
        rates: learning rates to choose from.
        sizes: training examples, ascending: the shards.
        metric: what the task is ranked by: "loss" in nats a unit, "error", a share of the units, or "top5".
        unit: what sizes count: "images", "words", "utterances" ...; tokens where the targets are sequences and
            `count_tokens` is set.
        count_tokens: whether sizes are told in tokens (unpadded targets) instead of examples.
        published: exponents of the paper by metric, and "model size" for that of the best model's size; a metric stands
            as often as the paper gives it another value.
        note: what was cut, for the table.
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
        n = len(self.data.train.targets)
        if self.metric not in METRICS:
            raise ValueError(f"The task {self.name!r} has the metric {self.metric!r}; known are {', '.join(METRICS)}.")
        if not self.programs or not self.rates:
            raise ValueError(f"The task {self.name!r} needs at least one program and one learning rate.")
        if (
            len(self.sizes) < 2
            or min(self.sizes) < 1
            or max(self.sizes) > n
            or list(self.sizes) != sorted(set(self.sizes))
        ):
            raise ValueError(
                f"The task {self.name!r} needs at least two ascending sizes in [1, {n}], its training examples; got "
                f"{', '.join(map(str, self.sizes))}."
            )
        if self.data.test is None:
            raise ValueError(f"The task {self.name!r} has no test split to measure on.")

    def published_in(self, metric: str) -> tuple[float, ...]:
        """What the paper says the exponent in a metric is: each value that it gives, none if it gives none.

        Examples:
            >>> from lcjax.studies.ranking.tasks import SMOKE, hestness_task
            >>> hestness_task("images", "digits", SMOKE).published_in("error")
            (-0.309,)
        """
        return tuple(value for name, value in self.published if name == metric)

    def units(self, result: SweepResult) -> Float[np.ndarray, " s"]:
        """What the sizes are in units: the mean over the shards that were trained on."""
        sizes = np.asarray(self.sizes)
        if not self.count_tokens:
            return sizes.astype(float)
        counts, trained = token_counts(np.asarray(self.data.train.targets)), np.asarray(result.runs.columns["size"])
        held = np.array([counts[result.shard(row)].sum() for row in range(len(trained))])
        return np.array([held[trained == size].mean() for size in sizes])


def best_guess(data: Data, metric: str) -> float:
    """Test score of what says the same of every example: where a learning curve begins.

    The loss is that of the training set's shares of classes or tokens (one added to every count), the error that of the
    commonest one, the top-5 error that of the five commonest. Without a test split the validation split is guessed.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> part = lc.Examples(np.zeros((8, 1)), np.arange(8) % 4)
        >>> data = lc.Data(part, part, None, classes=4)
        >>> round(best_guess(data, "loss"), 4), best_guess(data, "error"), best_guess(data, "top5")
        (1.3863, 0.75, 0.0)
    """
    part = data.validation if data.test is None else data.test
    if not data.classes:
        return dataclasses.replace(data, validation=part).guessing_error()
    train, targets = np.asarray(data.train.targets), np.asarray(part.targets)
    counts = np.bincount(train[train >= 0], minlength=data.classes)
    asked = targets[targets >= 0]
    if metric == "loss":
        share = (counts + 1) / (counts.sum() + data.classes)
        return float(-np.mean(np.log(share[asked])))
    named = np.argsort(-counts, kind="stable")[: 5 if metric == "top5" else 1]
    return float(np.mean(~np.isin(asked, named)))


def parameters_of(program: Program, data: Data) -> int:
    """Parameters of a program's model on such data."""

    def initial() -> dict[str, object]:
        inputs = jax.tree.map(lambda leaf: jax.numpy.zeros((1, *leaf.shape[1:]), _seen_dtype(leaf)), data.train.inputs)
        return dict(program.model.init(jax.random.key(0), inputs))

    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(initial)["params"]))


def _seen_dtype(leaf: np.ndarray) -> np.dtype:
    whole = np.issubdtype(leaf.dtype, np.integer) and leaf.dtype != np.uint8
    return np.dtype(np.int32) if whole else np.dtype(np.float32)
