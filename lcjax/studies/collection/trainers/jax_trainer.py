"""Trainers written in JAX, which train all sizes and repeats of a collection in one sweep."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jaxtyping import Float

from lcjax.data.examples import Data
from lcjax.models.adapters import adapter_for
from lcjax.models.losses import cross_entropy, mean_squared_error
from lcjax.records import canonical_hash
from lcjax.studies.collection.measurements import Training
from lcjax.studies.collection.subsets import Subsets, Task
from lcjax.studies.recipes import Recipe
from lcjax.studies.sweeps import run_stage
from lcjax.training import Budget, Execution, Program, Runs, SweepResult, epochs, features, steps_of
from lcjax.training.optimizers import constant
from lcjax.training.validation import check_sweep
from lcjax.typing import OnProgress, PathLike
from lcjax.user_code import hash_value

__all__ = ["JaxTrainer", "MetricFunction"]

MetricFunction = Callable[[jax.Array, jax.Array], jax.Array]  # outputs (m, c) and targets (m,) -> ()


@dataclasses.dataclass(frozen=True)
class JaxTrainer:
    """A network that `lcjax.collect` trains at all sizes and seeds at once, in one compiled program.

    It reports the test error, the accuracy and the mean loss, named "cross_entropy" for `lcjax.cross_entropy`; for a
    regression with the squared error, the "rmse" in the unit of the targets; and the metrics given.

    Attributes:
        program: network, loss, optimizer, batch size and number of steps.
        data: the task; it is scored on the test split.
        learning_rate: initial learning rate.
        metrics: other metrics by name: functions in JAX of the outputs `(m, c)`, before the softmax, and the targets
            `(m,)` of the test split, that return one number; they are compiled.
        by_class: True to report the error on each class of the test split, too.
        execution: concurrent execution of the sweep; chosen by default.

    Raises:
        ValueError: the data have no test split, or a metric is not a function in JAX that returns one number.

    Examples:
        >>> import lcjax as lc
        >>> trainer = JaxTrainer.for_model(lc.models.MLP((16,)), lc.load_data("digits"), steps=50)
        >>> table = lc.collect(trainer, [100, 400], repeats=2)
        >>> table.metrics, table.size.tolist()
        (('accuracy', 'cross_entropy', 'error'), [100, 100, 400, 400])
    """

    program: Program
    data: Data
    learning_rate: float
    metrics: Mapping[str, MetricFunction] = dataclasses.field(default_factory=dict)
    by_class: bool = False
    execution: Execution | None = None

    def __post_init__(self) -> None:
        test = self.data.test
        if test is None:
            raise ValueError(f"The data {self.data.name!r} have no test split to score on.")
        outputs = jax.ShapeDtypeStruct((len(test.targets), self.data.classes or 1), np.float32)
        for name, function in self.metrics.items():
            try:
                shape = jax.eval_shape(function, outputs, test.targets).shape
            except Exception as error:  # of a user's function
                reason = str(error).strip().partition("\n")[0]
                raise ValueError(
                    f"The metric {name!r} must be a function in JAX of outputs {outputs.shape} and targets "
                    f"{np.shape(test.targets)}: {type(error).__name__}: {reason}"
                ) from None
            if shape != ():
                raise ValueError(f"The metric {name!r} must return one number, got shape {shape}: take the mean.")

    @classmethod
    def for_model(
        cls,
        model: Any,
        data: Data,
        *,
        steps: int = 1000,
        batch: int = 64,
        learning_rate: float = 1e-3,
        optimizer: Callable[[jax.Array], optax.GradientTransformation] = optax.adam,
        schedule: Callable[[jax.Array], jax.Array] = constant,
        loss: Callable[..., jax.Array] | None = None,
        metrics: Mapping[str, MetricFunction] | None = None,
        by_class: bool = False,
        execution: Execution | None = None,
    ) -> "JaxTrainer":
        """Return a trainer of a network, by default with the loss of the task and Adam.

        Args:
            model: a Linen module, or a model of `lcjax.models.from_nnx`, `from_equinox` or `from_functions`.
            data: the task.
            steps: number of optimizer steps.
            batch: batch size.
            learning_rate: initial learning rate.
            optimizer: function of a learning rate that returns an optimizer of Optax, at module level.
            schedule: function of the progress in [0, 1] that returns a factor of the learning rate.
            loss: function of outputs and targets that returns one loss for each example.
            metrics: other metrics by name; see the attribute.
            by_class: True to report the error on each class, too.
            execution: concurrent execution of the sweep; chosen by default.

        Raises:
            ValueError: the model is not one of these.
        """
        if not isinstance(model, nn.Module):
            name = getattr(type(model), "__name__", model)
            raise ValueError(f"The model is a {name}, not a Linen module: pass {adapter_for(model)}.")
        loss = loss or (cross_entropy if data.classes else mean_squared_error)
        program = Program(model, loss, optimizer, schedule, batch, Budget(steps=steps, records=1), epochs)
        return cls(program, data, learning_rate, metrics or {}, by_class, execution)

    @classmethod
    def for_recipe(cls, recipe: Recipe, data: Data) -> "JaxTrainer":
        """Return a trainer of a recipe, such as `lcjax.studies.mlp_recipe(data)`."""
        return cls(recipe.program, data, recipe.learning_rate)

    def identity(self) -> dict[str, object]:
        """Return what identifies the trainer in another process, as plain data."""
        return {
            "program": canonical_hash([self.program, self.learning_rate]),
            "metrics": {name: hash_value(function) for name, function in sorted(self.metrics.items())},
            "by_class": self.by_class,
            "data": self.data.fingerprint(),
        }

    def check(self, subsets: Subsets, sizes: Sequence[int]) -> None:
        """Check the network on the data and sizes before anything is trained.

        Raises:
            ValueError: as by `lcjax.sweep`, or the subsets are not those of a sweep.
        """
        if subsets.groups is not None or subsets.order != "random":
            given = "groups" if subsets.groups is not None else f"the order {subsets.order!r}"
            raise ValueError(
                f"A JaxTrainer draws its subsets at random, without {given}: write a function of a seed and indices."
            )
        check_sweep(self._runs([(size, 0) for size in sizes], subsets), self.data, None, None)

    def train(
        self, tasks: Sequence[Task], subsets: Subsets, folder: PathLike | None, on_progress: OnProgress | None
    ) -> list[tuple[Task, Training | str]]:
        """Train all tasks in one sweep, and return each with its training, or the reason why it failed.

        The subsets are those of `subsets`. The seconds of a training are its share of the sweep's, by steps.

        Args:
            tasks: sizes and repeats.
            subsets: seed and order of the subsets.
            folder: folder of the unfinished sweep, from which it resumes; removed when it is finished.
            on_progress: progress callback, in optimizer steps.
        """
        started = time.monotonic()
        runs = self._runs(tasks, subsets)
        result = run_stage(
            jax.random.key(subsets.seed),
            self.data,
            runs,
            name="collect",
            folder=folder,
            keep=bool(self.metrics),
            execution=self.execution,
            on_progress=on_progress,
        )
        values = self._values(result)
        steps = np.array([steps_of(self.program, size) for size, _ in tasks], float)
        seconds = (time.monotonic() - started) * steps / steps.sum()
        outcomes: list[tuple[Task, Training | str]] = []
        for row, task in enumerate(tasks):
            if result.status[row]:
                outcomes.append((task, f"the loss was not finite after {int(result.steps[row])} steps"))
            else:
                own = {name: float(value[row]) for name, value in values.items()}
                outcomes.append((task, Training(*task, own, float(seconds[row]))))
        return outcomes

    @staticmethod
    def clear(folder: PathLike) -> None:
        """Remove what sweeps have stored in a folder, when the trainings are stored elsewhere."""
        shutil.rmtree(Path(folder, "runs"), ignore_errors=True)

    def _runs(self, tasks: Sequence[Task], subsets: Subsets) -> Runs:
        columns = {
            "size": np.array([size for size, _ in tasks]),
            "seed": np.array([repeat for _, repeat in tasks]),
            "learning_rate": np.full(len(tasks), self.learning_rate),
        }
        return Runs(self.program, np.zeros(len(tasks), int), columns, subsets.shards)

    def _values(self, result: SweepResult) -> dict[str, Float[np.ndarray, " w"]]:
        """Return the metrics of every run; nan for one that failed."""
        error, loss = np.asarray(result.test_error, float), np.asarray(result.test_loss, float)
        objective, values = self.program.objective, {}
        if self.data.classes:
            values["error"] = error
            values["accuracy"] = 1 - error
            values["error.standard_error"] = np.sqrt(error * (1 - error) / np.shape(result.wrong)[1])
            values["error.count"] = np.full(len(error), float(np.shape(result.wrong)[1]))
        if objective is mean_squared_error:
            values["rmse"] = np.sqrt(loss)
        else:
            values["cross_entropy" if objective is cross_entropy else "loss"] = loss
        if self.by_class:
            values |= self._class_errors(result)
        if self.metrics:
            values |= self._own_values(result)
        return values

    def _class_errors(self, result: SweepResult) -> dict[str, Float[np.ndarray, " w"]]:
        """Return the error on each class of the test split, and the number of its examples there."""
        assert self.data.test is not None
        wrong, targets, values = np.asarray(result.wrong), np.asarray(self.data.test.targets), {}
        for label in range(self.data.classes):
            own = wrong[:, targets == label]
            if own.shape[1]:
                values[f"classes.{label}.error"] = own.mean(axis=1)
            values[f"classes.{label}.error.count"] = np.full(len(own), float(own.shape[1]))
        return values

    def _own_values(self, result: SweepResult) -> dict[str, Float[np.ndarray, " w"]]:
        test = self.data.test
        assert test is not None
        compiled = {name: jax.jit(function) for name, function in self.metrics.items()}
        values = {name: np.full(len(result.params), np.nan) for name in compiled}
        for row in np.flatnonzero(np.asarray(result.status) == 0).tolist():
            outputs = features(result, row, self.data, test.inputs, method="__call__")
            for name, function in compiled.items():
                values[name][row] = float(function(outputs, test.targets))
        return values
