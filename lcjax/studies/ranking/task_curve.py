"""Learning curves of one task: runs over shards, models, learning rates and seeds, and the laws of their envelope."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.curves.envelope import lower_envelope
from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forms import power_law, power_law_offset
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.curves.model_size import ModelSizeLaw, fit_model_size
from lcjax.data.examples import Data
from lcjax.data.shards import Shards, nested_shards
from lcjax.records import record
from lcjax.studies.ranking.task import RankedTask, chance_error
from lcjax.studies.sweeps import run_stage
from lcjax.training import Execution, Runs, evaluate
from lcjax.typing import Array, KeyArray, OnProgress, PathLike

__all__ = ["FEWEST", "TaskCurve", "TaskScores", "fit_task", "measure_task"]

BETTER_THAN_CHANCE = 0.95  # of the chance error: largest score of a fitted point
DRAWS = 200
FEWEST = 3  # sizes in a fit


@record
class TaskScores:
    """Scores of all runs of a task.

    Attributes:
        size: training examples, `(s,)`.
        units: sizes in the task's unit, `(s,)`.
        parameters: number of parameters of each member's model, `(h,)`; a member is a model with a learning rate.
        learning_rate: learning rate of each member, `(h,)`.
        validation: metric -> validation scores `(h, r, s)`; nan where a run failed.
        test: metric -> test scores `(h, r, s)`.
        guess: metric -> test score of the best constant answer.
        validation_guess: metric -> its validation score, which decides where a curve leaves the plateau.
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
    """Learning curve of one task in one metric.

    Attributes:
        curve: test scores of the member with the lowest validation score at each size, in the task's unit, `(s,)`.
        fitted: True at fitted sizes, `(s,)`: those after the last one whose validation score is not at least 5 % below
            the best constant answer's.
        guess: score of the best constant answer.
        fit: fit of `scale * size ** exponent` to the envelope with bootstrap draws; `None` for fewer than three sizes.
        best_parameters: number of parameters of the model chosen at each size, `(s,)`.
        model_size: law of the best model's size over the fitted sizes, or `None`.
        fixed: for each model, a fit of `scale * size ** exponent + offset` to its own curve, with the best learning
            rate at each size, a batch `(g,)`; `None` with fewer than four fitted sizes.
        fixed_parameters: number of parameters of those models, `(g,)`.
        fixed_curve: their test scores, `(g, s)`.
        fixed_relative_error: root mean square relative error of their fits, `(g,)`.
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
        """Exponent of the envelope; nan if nothing was fitted."""
        return float("nan") if self.fit is None else float(self.fit.parameters["exponent"])

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Return the interval of the exponent from the bootstrap draws."""
        if self.fit is None:
            return float("nan"), float("nan")
        low, high = np.quantile(np.asarray(self.fit.parameter_draws["exponent"]), [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)

    def law(self) -> dict[str, float] | None:
        """Return the law of the envelope: exponent, its 90 % interval, scale and relative error; None without a fit.

        The relative error is the root mean square over the fitted sizes, as for the models of fixed size.
        """
        if self.fit is None:
            return None
        low, high = self.interval()
        error = _relative_error(self.fit.predict(jnp.asarray(self.curve.size)), self.curve.error, self.fitted)
        scale = float(self.fit.parameters["scale"])
        return {"exponent": self.exponent, "low": low, "high": high, "scale": scale, "relative_error": float(error)}

    def fixed_laws(self) -> tuple[dict[str, float], ...]:
        """Return exponent, offset, scale and relative error of each model of fixed size, smallest first.

        An offset of 0 is at its bound: the model's own curve does not flatten.
        """
        if self.fixed is None:
            return ()
        columns = {
            "parameters": self.fixed_parameters,
            **{name: self.fixed.parameters[name] for name in ("exponent", "offset", "scale")},
            "relative_error": self.fixed_relative_error,
        }
        rows = zip(*(np.asarray(column, float).tolist() for column in columns.values()), strict=True)
        return tuple(dict(zip(columns, row, strict=True)) for row in rows)


def measure_task(
    key: KeyArray,
    task: RankedTask,
    *,
    seeds: int,
    shards: Shards = nested_shards,
    folder: PathLike | None = None,
    execution: Execution | None = None,
    on_progress: OnProgress | None = None,
) -> TaskScores:
    """Train every model of a task with every learning rate and seed at every size."""
    data, label, name = task.data, task.name, task.name.replace(" ", "-")
    runs = Runs.grid(task.programs, learning_rate=task.rates, seed=range(seeds), size=task.sizes, shards=shards)
    top5 = task.programs[0].scoring is None and data.classes > 5
    result = run_stage(
        key, data, runs, name=name, label=label, folder=folder, keep=top5, execution=execution, on_progress=on_progress
    )
    failed = np.asarray(result.status) != 0
    members = len(task.programs) * len(task.rates)

    def scores(values: Array) -> Float[np.ndarray, "h r s"]:
        return np.where(failed, np.nan, np.asarray(values, float)).reshape(members, seeds, len(task.sizes))

    validation = {"loss": scores(result.validation_loss[:, -1]), "error": scores(result.validation_error[:, -1])}
    test = {"loss": scores(result.test_loss), "error": scores(result.test_error)}
    if top5 and data.test is not None:
        for part, by_metric in ((data.validation, validation), (data.test, test)):
            by_metric["top5"] = scores(evaluate(result, data, part, top=5).mean(axis=1))
    return TaskScores(
        size=np.asarray(task.sizes),
        units=task.units(result),
        parameters=np.repeat(task.parameters(), len(task.rates)),
        learning_rate=np.tile(np.asarray(task.rates, float), len(task.programs)),
        validation=validation,
        test=test,
        guess={metric: chance_error(data, metric) for metric in validation},
        validation_guess={metric: chance_error(data.without_test(), metric) for metric in validation},
        test_count=_unit_count(data),
    )


def fit_task(key: KeyArray, scores: TaskScores, metric: str, *, draws: int = DRAWS) -> TaskCurve:
    """Fit power laws to the lower envelope of a task in one metric, and to each of its models.

    At each size the member with the lowest mean validation score is chosen, and its test score reported. The fitted
    sizes begin after the last one whose validation score is not at least 5 % below that of the best constant answer;
    the test set does not influence the choice. `key` is for the bootstrap.
    """
    validation, test, guess = scores.validation[metric], scores.test[metric], scores.guess[metric]
    envelope = lower_envelope(scores.units, validation, test)
    count = np.asarray(scores.test_count)
    curve, choice = dataclasses.replace(envelope.curve, test_count=count), np.asarray(envelope.choice)
    error = np.asarray(curve.error)
    validated = np.asarray(lower_envelope(scores.units, validation, validation).curve.error)
    plateau = np.flatnonzero(~(validated <= BETTER_THAN_CHANCE * scores.validation_guess[metric]))
    fitted = np.arange(len(error)) > (plateau[-1] if plateau.size else -1)
    best = np.where(choice >= 0, scores.parameters[np.maximum(choice, 0)], np.nan).astype(float)
    fit, law = None, None
    if fitted.sum() >= FEWEST:
        fit = fit_curve(_select(curve, fitted), power_law, key=key, draws=draws)
        if len(set(scores.parameters.tolist())) > 1:
            law = fit_model_size(jnp.asarray(np.where(fitted, scores.units, np.nan)), jnp.asarray(best))
    models = np.unique(scores.parameters)
    fixed_curve = curve_from_replicates(
        np.broadcast_to(scores.units, (len(models), len(error))),
        np.stack([_model_scores(scores, metric, parameters) for parameters in models.tolist()]),
        test_count=np.broadcast_to(count, len(models)),
    )
    fixed, relative_error = None, np.full(len(models), np.nan)
    if fitted.sum() > FEWEST:
        fixed = fit_curve(_select(fixed_curve, fitted), power_law_offset)
        relative_error = _relative_error(fixed.predict(jnp.asarray(scores.units)), fixed_curve.error, fitted)
    return TaskCurve(curve, fitted, guess, fit, best, law, fixed, models, fixed_curve, relative_error)


def _relative_error(
    predicted: Float[Array, "*g s"], measured: Float[Array, "*g s"], fitted: Bool[np.ndarray, " s"]
) -> Float[np.ndarray, "*g"]:
    """Return the root mean square relative error over the fitted sizes with a positive measured error."""
    predicted, measured = np.asarray(predicted, float), np.asarray(measured, float)
    used = fitted & (measured > 0)
    relative = np.where(used, predicted / np.where(used, measured, 1) - 1, 0)
    return np.asarray(np.sqrt(np.sum(relative**2, axis=-1) / np.maximum(used.sum(axis=-1), 1)))


def _unit_count(data: Data) -> int:
    """Return the number of test examples, or of their tokens for sequences."""
    targets = np.asarray(data.test.targets) if data.test is not None else np.zeros(0)
    return len(targets) if targets.ndim == 1 else int(np.sum(targets >= 0))


def _model_scores(scores: TaskScores, metric: str, parameters: int) -> Float[np.ndarray, "r s"]:
    """Return the test scores of one model, with the learning rate of lowest validation score at each size."""
    rows = np.flatnonzero(scores.parameters == parameters)
    envelope = lower_envelope(scores.units, scores.validation[metric][rows], scores.test[metric][rows])
    assert envelope.curve.replicates is not None
    return np.asarray(envelope.curve.replicates)


def _select(curve: LearningCurve, fitted: Bool[np.ndarray, " s"]) -> LearningCurve:
    """Return the curve with nan, which counts as absent, at all sizes that are not fitted."""

    def mask(values: Array | None) -> Array | None:
        return None if values is None else np.where(fitted, np.asarray(values), np.nan)

    return dataclasses.replace(
        curve,
        error=np.where(fitted, np.asarray(curve.error), np.nan),
        standard_error=mask(curve.standard_error),
        replicates=mask(curve.replicates),
    )
