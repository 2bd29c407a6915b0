"""Programs, the table of runs, and its results."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int, Num

from lcjax.data.shards import Shards, nested_shards
from lcjax.records import record
from lcjax.training.sampling import consecutive
from lcjax.training.scoring import Scoring

__all__ = ["Budget", "Program", "Progress", "Runs", "SweepResult", "columns_of", "steps_of"]

Array = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long a run trains: `max(steps, epochs * size / batch)` optimizer steps, rounded up, or less.

    A run is looked at `records` times, evenly spaced over its steps. That is where it may stop early, so that where it
    stops does not depend on what else is trained.

    Attributes:
        steps: smallest number of optimizer steps.
        epochs: passes over the run's own shard; 0 for an equal-step budget.
        records: recorded steps, the last one included.
        stop_when_fit: stop at the first recorded step where no example of the shard is wrong.
        patience: stop after so many recorded steps in a row without a new lowest validation error (among equals, the
            lower loss counts; with `scoring` its `order`), and take the weights back to the best step; 0 trains to the
            end.
    """

    steps: int = 0
    epochs: float | int = 0.0
    records: int = 4
    stop_when_fit: bool = False
    patience: int = 0

    @property
    def may_stop(self) -> bool:
        """Whether a run may end before its last step."""
        return self.stop_when_fit or self.patience > 0


@dataclasses.dataclass(frozen=True)
class Program:
    """What is compiled once; every field is static and hashable.

    Attributes:
        model: a Linen module offering `features(x, train=False)`, `__call__(x, train=False)` and a submodule `head`.
        objective: `(outputs (b, ...), targets (b,)) -> losses (b,)`.
        optimizer: `learning_rate -> optax.GradientTransformation`, a module-level function; the rate is traced.
        schedule: `progress in [0, 1] -> factor` of the run's learning rate, a module-level function.
        batch: examples a step.
        budget: how long a run trains.
        sampling: how minibatches are drawn, a module-level function: with replacement, keyed epochs, or consecutive
            windows of a sequence.
        model_columns: columns of the table that the model's `__call__` takes as keyword arguments.
        augment: `(key, inputs) -> inputs`, of normalised training inputs, or `None`.
        dtype: floating dtype of the computation; with "bfloat16" parameters, losses and the optimizer stay float32.
        corrupt: what a run sees instead of the data, or `None`: a module-level function
            `(key, number (b,), inputs (b, ...), targets (b,), columns, train=bool) -> (inputs, targets)` of inputs as
            stored. The key is the run's own (by seed), the number tells every example of training, validation and test
            set from every other, so that what becomes of an example is fixed once for a run; `train` says whether it is
            a training example; the columns are the run's.
        scoring: what is counted where an example is a sequence of targets, or `None` where it has one. The objective
            then gives sums over an example, integers that are no bytes reach the model as they are (tokens, lengths),
            and early stopping looks at the loss.
    """

    model: nn.Module
    objective: Callable[..., Any]
    optimizer: Callable[[Any], optax.GradientTransformation]
    schedule: Callable[[Any], Any]
    batch: int
    budget: Budget
    sampling: Callable[..., Any]
    model_columns: tuple[str, ...] = ()
    augment: Callable[..., Any] | None = None
    dtype: str = "float32"
    corrupt: Callable[..., Any] | None = None
    scoring: Scoring | None = None

    @property
    def continuous(self) -> bool:
        """Whether a step continues the sequences of the step before, with the state that the model keeps."""
        return self.sampling is consecutive


@dataclasses.dataclass(frozen=True, eq=False)
class Runs:
    """A table of runs, one row a training.

    Attributes:
        programs: what is compiled.
        program: index into `programs` for each run, `(w,)`.
        columns: per-run numbers, each `(w,)`: "size", "seed" and "learning_rate" are required; "weight_decay" adds
            its multiple of all parameters to the gradient; "l1", "l2" and "vc" are strengths of penalties on weights
            and pre-activations of all layers, "l2/head" and the like of one (see `lcjax.training.penalties`); the
            others go where a program names them.
        shards: which order of the training set a shard is a prefix of, a module-level function of `(key of the seed's
            orders, size) -> key of the order`: `lcjax.data.nested_shards` or `lcjax.data.independent_shards`.
    """

    programs: tuple[Program, ...]
    program: Int[np.ndarray, " w"]
    columns: Mapping[str, Num[np.ndarray, " w"]]
    shards: Shards = nested_shards

    def rows(self, index: Any) -> "Runs":
        """The runs at `index`, anything that NumPy indexes with."""
        columns = {name: np.asarray(column)[index] for name, column in self.columns.items()}
        return Runs(self.programs, np.asarray(self.program)[index], columns, self.shards)


def columns_of(runs: Runs, row: int) -> dict[str, jax.Array]:
    """The numbers of one run as a compiled program takes them: whole ones as int32."""
    return {
        name: jnp.asarray(column[row], jnp.int32 if np.asarray(column).dtype.kind in "iub" else None)
        for name, column in runs.columns.items()
    }


def steps_of(program: Program, size: int) -> int:
    """Optimizer steps of a run with `size` examples.

    Examples:
        >>> from lcjax.models.losses import cross_entropy
        >>> from lcjax.models.vision.mlp import MLP
        >>> from lcjax.training.optimizers import cosine, momentum
        >>> from lcjax.training.sampling import epochs
        >>> program = Program(MLP(), cross_entropy, momentum, cosine, 64, Budget(steps=100, epochs=10), epochs)
        >>> steps_of(program, 320), steps_of(program, 6400)
        (100, 1000)
    """
    return max(program.budget.steps, math.ceil(program.budget.epochs * size / program.batch))


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a sweep stands, between two chunks of steps.

    Attributes:
        done: optimizer steps made, of all runs together, those read from a folder included.
        total: optimizer steps of all runs together; what a failed run did not make counts as done.
        resumed: of `done`, the steps of finished runs that were read from the folder.
        runs: number of runs.
        ended: number of runs that have ended, finished or failed.
        just_ended: those that ended since the last report, indices into the table.
        found: number of finished runs that were read from the folder.
    """

    done: int
    total: int
    resumed: int
    runs: int
    ended: int
    just_ended: tuple[int, ...] = ()
    found: int = 0


@record
class SweepResult:
    """What became of every run.

    Attributes:
        runs: the table.
        status: 0 finished, 1 failed (a loss was not finite), `(w,)`.
        steps: optimizer steps made before the end or the failure, `(w,)`.
        recorded_step: steps at which the curves below were recorded, evenly spaced, `(w, t)`: by default a quarter, a
            half, three quarters and the end of each run. What a failed run did not reach is nan in the curves. The last
            entry is the net that is scored and kept: the last one, or with patience the best one. It is repeated
            where a run stopped early.
        train_loss: mean loss on the run's shard, in nats or target units squared, `(w, t)`; before the end on the
            shard's first 2,048 examples (every prefix of a shard is balanced), on all of it where they were all right
            and the run stops when it fits.
        train_error: share of wrong examples, of the same examples, `(w, t)`.
        validation_loss: mean loss on the validation set, `(w, t)`.
        validation_error: share of wrong validation examples, `(w, t)`.
        test_loss: mean loss on the test set in the end, `(w,)`; nan where the test split was withheld.
        test_error: share of wrong test examples in the end, `(w,)`; nan likewise. Losses and errors of sequences are
            per unit (token, character): see `Scoring`.
        wrong: which test examples were wrong in the end (sequences: anywhere), `(w, m)`; m = 0 where the test split was
            withheld. All true for a failed run.
        validation_wrong: which validation examples were wrong in the end, `(w, v)`: paired comparisons.
        params: final variables of the runs asked for, in table order, `None` for the others and for failed ones; a
            tuple of length w. A run's entry is what Linen's `apply` takes.
        orders: orders of the training set, `(r, n)`, one a distinct seed, ascending (with independent shards one for
            each seed and size); shards are prefixes.
        order: which of them each run's shard is a prefix of, `(w,)`.
        form: execution form and chunk width, one string a program; "" for a program without runs.
    """

    runs: Runs = jax.tree.static()
    status: Int[Array, " w"]
    steps: Int[Array, " w"]
    recorded_step: Int[Array, "w t"]
    train_loss: Float[Array, "w t"]
    train_error: Float[Array, "w t"]
    validation_loss: Float[Array, "w t"]
    validation_error: Float[Array, "w t"]
    test_loss: Float[Array, " w"]
    test_error: Float[Array, " w"]
    wrong: Bool[Array, "w m"]
    validation_wrong: Bool[Array, "w v"]
    params: tuple[Any, ...]
    orders: Int[Array, "r n"]
    order: Int[Array, " w"]
    form: tuple[str, ...] = jax.tree.static()

    def table(self) -> dict[str, np.ndarray]:
        """One row a run, as columns that pandas, polars and pyarrow take: the table of runs and how each ended.

        Examples:
            >>> import jax, optax, numpy as np, lcjax as lc
            >>> from lcjax.training import Budget, constant, with_replacement
            >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
            >>> data = lc.Data(examples, examples, None, classes=4)
            >>> program = lc.Program(
            ...     lc.models.MLP((8,), 4), lc.cross_entropy, optax.adam, constant, 4, Budget(steps=3), with_replacement
            ... )
            >>> columns = {"size": np.array([2, 4]), "seed": np.array([0, 0]), "learning_rate": np.full(2, 0.01)}
            >>> result = lc.sweep(jax.random.key(0), data, lc.Runs((program,), np.array([0, 0]), columns))
            >>> sorted(result.table())[:4], result.table()["steps"].tolist()
            (['learning_rate', 'program', 'scored_step', 'seed'], [3, 3])
        """
        ends = {
            "scored_step": self.recorded_step,
            "train_loss": self.train_loss,
            "train_error": self.train_error,
            "validation_loss": self.validation_loss,
            "validation_error": self.validation_error,
        }
        return {
            "program": np.asarray(self.runs.program),
            **{name: np.asarray(column) for name, column in self.runs.columns.items()},
            "status": np.asarray(self.status),
            "steps": np.asarray(self.steps),
            **{name: np.asarray(curve)[:, -1] for name, curve in ends.items()},
            "test_loss": np.asarray(self.test_loss),
            "test_error": np.asarray(self.test_error),
        }

    def shard(self, row: int) -> Int[np.ndarray, " size"]:
        """Which training examples the run at `row` saw, in its order."""
        return np.asarray(self.orders)[int(self.order[row]), : int(self.runs.columns["size"][row])]
