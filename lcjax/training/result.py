"""Results of a sweep, one row per run."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.records import record
from lcjax.training.concurrency import Execution
from lcjax.training.runs import Runs
from lcjax.typing import Array, Variables

__all__ = ["SweepResult"]


@record
class SweepResult:
    """Outcome of every run.

    Attributes:
        runs: the table.
        status: 0 finished, 1 failed (a loss was not finite), `(w,)`.
        steps: optimizer steps before the end or the failure, `(w,)`.
        recorded_step: steps at which the curves below were recorded, evenly spaced, `(w, t)`: by default a quarter, a
            half, three quarters and the end of each run. Curves of a failed run are nan where it did not arrive. The
            last entry is that of the weights that are scored and kept: the last ones, or with patience the best ones.
            It is repeated where a run stopped early.
        train_loss: mean loss on the run's shard, in nats or target units squared, `(w, t)`; before the end on the
            shard's first 2,048 examples (every prefix of a shard is balanced), and on the whole shard where a run that
            stops when it fits has fitted those.
        train_error: fraction of wrong examples, among the same examples, `(w, t)`.
        validation_loss: mean loss on the validation set, `(w, t)`.
        validation_error: fraction of wrong validation examples, `(w, t)`.
        test_loss: mean loss on the test set at the end, `(w,)`; nan where the test split was withheld.
        test_error: fraction of wrong test examples at the end, `(w,)`; nan likewise. Losses and errors of sequences are
            per unit (token, character): see `Scoring`.
        wrong: test examples that are wrong at the end (sequences: anywhere), `(w, m)`; m = 0 where the test split was
            withheld. All true for a failed run.
        validation_wrong: validation examples that are wrong at the end, `(w, v)`, for paired comparisons.
        params: final variables of the runs that `keep` selects, in table order, `None` for the others and for failed
            ones; a tuple of length w. A run's entry is the first argument of Linen's `apply`.
        orders: orders of the training set, `(r, n)`, one for each distinct seed, ascending (with independent shards one
            for each seed and size); shards are prefixes.
        order: row of `orders` of which each run's shard is a prefix, `(w,)`.
        executions: execution of each program, `None` for a program without runs.
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
    params: tuple[Variables | None, ...]
    orders: Int[Array, "r n"]
    order: Int[Array, " w"]
    executions: tuple[Execution | None, ...] = jax.tree.static()

    def table(self) -> dict[str, np.ndarray]:
        """Return one row per run as columns for pandas, polars and pyarrow: the table of runs and how each ended.

        Examples:
            >>> import jax, optax, numpy as np, lcjax as lc
            >>> from lcjax.training import Budget, constant, with_replacement
            >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
            >>> data = lc.Data(examples, examples, None, classes=4)
            >>> model, budget = lc.models.MLP((8,), 4), Budget(steps=3)
            >>> program = lc.Program(model, lc.cross_entropy, optax.adam, constant, 4, budget, with_replacement)
            >>> runs = lc.Runs.grid(program, size=[2, 4], seed=0, learning_rate=0.01)
            >>> result = lc.sweep(jax.random.key(0), data, runs)
            >>> sorted(result.table())[:4], result.table()["steps"].tolist()
            (['learning_rate', 'program', 'scored_step', 'seed'], [3, 3])
        """
        curves = ("train_loss", "train_error", "validation_loss", "validation_error")
        last = {"scored_step": self.recorded_step, **{name: getattr(self, name) for name in curves}}
        return {
            "program": np.asarray(self.runs.program),
            **{name: np.asarray(column) for name, column in self.runs.columns.items()},
            "status": np.asarray(self.status),
            "steps": np.asarray(self.steps),
            **{name: np.asarray(curve)[:, -1] for name, curve in last.items()},
            "test_loss": np.asarray(self.test_loss),
            "test_error": np.asarray(self.test_error),
        }

    def shard(self, row: int) -> Int[np.ndarray, " size"]:
        """Return the training examples of the run at `row`, in its order."""
        return np.asarray(self.orders)[int(self.order[row]), : int(self.runs.columns["size"][row])]
