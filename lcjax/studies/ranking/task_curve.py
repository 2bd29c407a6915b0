"""One task measured over shards, nets, rates and seeds, and the laws fitted to its lower envelope."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Key

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forms import power_law, power_law_offset
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates, lower_envelope
from lcjax.curves.ranking import ModelSizeLaw, fit_model_size
from lcjax.data.examples import Examples
from lcjax.data.shards import Shards, nested_shards
from lcjax.records import record
from lcjax.studies.prediction.stages import Report, runs_folder, stage_progress
from lcjax.studies.ranking.task import Task, best_guess, parameters_of
from lcjax.training.evaluation import evaluate
from lcjax.training.execution.execution import Execution
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs
from lcjax.training.sweep import sweep

__all__ = ["FEWEST", "TaskCurve", "TaskGrid", "fit_task", "measure_task"]

BETTER_THAN_GUESSING = 0.95  # of the best guess: what a point that is fitted may be at most
DRAWS = 200
FEWEST = 3  # sizes in a fit


@record
class TaskGrid:
    """Everything that was trained for one task.

    Attributes:
        size: training examples, `(s,)`.
        units: the same in the task's unit, `(s,)`.
        parameters: of each member's net, `(h,)`.
        learning_rate: of each member, `(h,)`.
        validation: metric -> scores `(h, r, s)`; nan where a training failed.
        test: alike.
        guess: metric -> test score of the best guess.
        validation_guess: its validation score, by which it is told where a curve leaves the plateau.
        test_count: units of the test set.
    """

    size: Int[np.ndarray, " s"]
    units: Float[np.ndarray, " s"]
    parameters: Int[np.ndarray, " h"]
    learning_rate: Float[np.ndarray, " h"]
    validation: dict[str, Float[np.ndarray, "h r s"]]
    test: dict[str, Float[np.ndarray, "h r s"]]
    guess: dict[str, float]
    validation_guess: dict[str, float]
    test_count: int


@record
class TaskCurve:
    """The learning curve of one task in one metric.

    Attributes:
        curve: test scores of the member chosen at each size by its validation score, in the task's unit, `(s,)`.
        fitted: which sizes are fitted: by their validation score at least 5 % better than the best guess, and none of
            the plateau before, `(s,)`.
        guess: score of the best guess.
        fit: of `scale * size ** exponent` to the envelope, with bootstrap draws, or `None` with fewer than three sizes.
        best_parameters: parameters of the net chosen at each size, `(s,)`.
        model_size: the law of the best net's size over the fitted sizes, or `None`.
        fixed: for each net, `scale * size ** exponent + offset` fitted to its own curve, best rate at each size, a
            batch `(g,)`; `None` with fewer than four fitted sizes.
        fixed_parameters: parameters of those nets, `(g,)`.
        fixed_curve: their test scores, `(g, s)`.
        fixed_relative_error: root mean square of their fits' relative errors, `(g,)`.
    """

    curve: LearningCurve
    fitted: Bool[np.ndarray, " s"]
    guess: float
    fit: CurveFit | None
    best_parameters: Float[np.ndarray, " s"]
    model_size: ModelSizeLaw | None
    fixed: CurveFit | None
    fixed_parameters: Int[np.ndarray, " g"]
    fixed_curve: LearningCurve
    fixed_relative_error: Float[np.ndarray, " g"]

    @property
    def exponent(self) -> float:
        """Of the envelope; nan where nothing was fitted."""
        return float("nan") if self.fit is None else float(self.fit.parameters["exponent"])

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Of the exponent, from the bootstrap draws."""
        if self.fit is None:
            return float("nan"), float("nan")
        low, high = np.quantile(np.asarray(self.fit.parameter_draws["exponent"]), [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)

    def law(self) -> dict[str, float] | None:
        """The envelope's law in numbers: exponent, its interval at 90 %, scale, and how far its points lie off.

        `relative_error` is the root mean square over the fitted sizes, as for the nets of fixed size.
        """
        if self.fit is None:
            return None
        low, high = self.interval()
        off = _relative_error(self.fit.predict(jnp.asarray(self.curve.size)), self.curve.error, self.fitted)
        scale = float(self.fit.parameters["scale"])
        return {"exponent": self.exponent, "low": low, "high": high, "scale": scale, "relative_error": float(off)}

    def laws_of_nets(self) -> tuple[dict[str, float], ...]:
        """Exponent, offset and scale of each net of fixed size, smallest first, and how far its points lie off.

        An offset of 0 is the bound: the net's own curve does not bend.
        """
        if self.fixed is None:
            return ()
        found = {name: np.asarray(self.fixed.parameters[name], float) for name in ("exponent", "offset", "scale")}
        columns = {
            "parameters": np.asarray(self.fixed_parameters, float),
            **found,
            "relative_error": np.asarray(self.fixed_relative_error, float),
        }
        return tuple(
            {name: float(column[net]) for name, column in columns.items()} for net in range(len(self.fixed_parameters))
        )


def measure_task(
    key: Key[jax.Array, ""],
    task: Task,
    *,
    seeds: int,
    shards: Shards = nested_shards,
    folder: Path | None = None,
    execution: Execution | None = None,
    on_progress: Report | None = None,
) -> TaskGrid:
    """Train every net of a task with every rate and seed at every size."""
    h, s = len(task.programs) * len(task.rates), len(task.sizes)
    member, seed, place = (a.ravel() for a in np.meshgrid(range(h), range(seeds), range(s), indexing="ij"))
    program, rate = member // len(task.rates), np.asarray(task.rates)[member % len(task.rates)]
    table = {"size": np.asarray(task.sizes)[place], "seed": seed, "learning_rate": rate}
    runs = Runs(task.programs, program, table, shards)
    top5 = task.programs[0].scoring is None and task.data.classes > 5
    result = sweep(
        key,
        task.data,
        runs,
        keep=np.full(len(member), top5),
        folder=runs_folder(folder, task.name.replace(" ", "-"), key, runs, task.data),
        execution=execution,
        on_progress=None if on_progress is None else stage_progress(on_progress, task.name),
    )
    lost = np.asarray(result.status) != 0
    parameters = np.array([parameters_of(one, task.data) for one in task.programs])

    def grid(score: Any) -> np.ndarray:
        return np.where(lost, np.nan, np.asarray(score, float)).reshape(h, seeds, s)

    validation = {"loss": grid(result.validation_loss[:, -1]), "error": grid(result.validation_error[:, -1])}
    test = {"loss": grid(result.test_loss), "error": grid(result.test_error)}
    if top5:
        validation["top5"], test["top5"] = (grid(score) for score in _top5(result, task))
    return TaskGrid(
        size=np.asarray(task.sizes),
        units=task.units(result),
        parameters=np.repeat(parameters, len(task.rates)),
        learning_rate=np.tile(np.asarray(task.rates, float), len(task.programs)),
        validation=validation,
        test=test,
        guess={metric: best_guess(task.data, metric) for metric in validation},
        validation_guess={metric: best_guess(task.data.without_test(), metric) for metric in validation},
        test_count=_units(task.data.test),
    )


def fit_task(key: Key[jax.Array, ""], grid: TaskGrid, metric: str, *, draws: int = DRAWS) -> TaskCurve:
    """The lower envelope of a task's grid in one metric, its power law, and those of its nets one by one.

    The member with the lowest mean validation score is chosen at each size, and its test score reported. The sizes
    that are fitted begin behind the last one whose validation score is not 5 % better than the best guess's: the test
    set has no say in what is fitted.

    Args:
        key: of the bootstrap.
        grid: what was trained.
        metric: one of the grid's.
        draws: of the bootstrap.
    """
    validation, test, guess = grid.validation[metric], grid.test[metric], grid.guess[metric]
    envelope = lower_envelope(grid.units, validation, test)
    count = np.asarray(grid.test_count)
    curve, choice = dataclasses.replace(envelope.curve, test_count=count), np.asarray(envelope.choice)
    error = np.asarray(curve.error)
    validated = np.asarray(lower_envelope(grid.units, validation, validation).curve.error)
    plateau = np.flatnonzero(~(validated <= BETTER_THAN_GUESSING * grid.validation_guess[metric]))
    fitted = np.arange(len(error)) > (plateau[-1] if plateau.size else -1)
    best = np.where(choice >= 0, grid.parameters[np.maximum(choice, 0)], np.nan).astype(float)
    fit, law = None, None
    if fitted.sum() >= FEWEST:
        fit = fit_curve(_only(curve, fitted), power_law, key=key, draws=draws)
        if len(set(grid.parameters.tolist())) > 1:
            law = fit_model_size(jnp.asarray(np.where(fitted, grid.units, np.nan)), jnp.asarray(best))
    nets = np.unique(grid.parameters)
    of_nets = [_best_rate(grid, metric, net) for net in nets.tolist()]
    fixed_curve = curve_from_replicates(
        np.broadcast_to(grid.units, (len(nets), len(error))),
        np.stack(of_nets),
        test_count=np.broadcast_to(count, len(nets)),
    )
    fixed, off = None, np.full(len(nets), np.nan)
    if fitted.sum() > FEWEST:
        fixed = fit_curve(_only(fixed_curve, fitted), power_law_offset)
        off = _relative_error(fixed.predict(jnp.asarray(grid.units)), fixed_curve.error, fitted)
    return TaskCurve(curve, fitted, guess, fit, best, law, fixed, nets, fixed_curve, off)


def _relative_error(predicted: Any, measured: Any, fitted: np.ndarray) -> Any:
    """Root mean square over the fitted sizes, the last axis; sizes without any error left are not counted."""
    predicted, measured = np.asarray(predicted, float), np.asarray(measured, float)
    counts = fitted & (measured > 0)
    relative = np.where(counts, predicted / np.where(counts, measured, 1) - 1, 0)
    return np.sqrt(np.sum(relative**2, axis=-1) / np.maximum(counts.sum(axis=-1), 1))


def _units(examples: Examples | None) -> int:
    targets = np.asarray(examples.targets) if examples is not None else np.zeros(0)
    return len(targets) if targets.ndim == 1 else int(np.sum(targets >= 0))


def _top5(result: SweepResult, task: Task) -> tuple[np.ndarray, np.ndarray]:
    assert task.data.test is not None
    validation = evaluate(result, task.data, task.data.validation, top=5).mean(axis=1)
    return validation, evaluate(result, task.data, task.data.test, top=5).mean(axis=1)


def _best_rate(grid: TaskGrid, metric: str, net: int) -> np.ndarray:
    """Test scores of one net, at each size with the rate that validates best, `(r, s)`."""
    rows = np.flatnonzero(grid.parameters == net)
    envelope = lower_envelope(grid.units, grid.validation[metric][rows], grid.test[metric][rows])
    assert envelope.curve.replicates is not None
    return np.asarray(envelope.curve.replicates)


def _only(curve: LearningCurve, fitted: np.ndarray) -> LearningCurve:
    """The curve with the sizes that are not fitted absent."""
    replicates = None if curve.replicates is None else np.where(fitted, np.asarray(curve.replicates), np.nan)
    error = None if curve.standard_error is None else np.where(fitted, np.asarray(curve.standard_error), np.nan)
    return dataclasses.replace(
        curve, error=np.where(fitted, np.asarray(curve.error), np.nan), standard_error=error, replicates=replicates
    )
