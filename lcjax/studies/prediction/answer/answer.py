"""The answer of a prediction: one curve and one size for the target, averaged over methods."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
import scipy.special
from jaxtyping import Float

from lcjax.curves.answer.crossing import first_crossing
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.answer.target import TargetAnswer, answer_target
from lcjax.curves.floors.error_floor import ErrorFloor
from lcjax.curves.forecast.diagnosis import MULTIPLES, Diagnosis, diagnose_draws
from lcjax.curves.learning_curve import LearningCurve
from lcjax.formats import format_percent
from lcjax.records import record
from lcjax.studies.prediction.answer.draws import AveragedDraws
from lcjax.studies.prediction.answer.shift import Shift
from lcjax.studies.prediction.methods.points import Points
from lcjax.studies.prediction.scoring.held_out import LEVEL
from lcjax.typing import Array

__all__ = ["Answer", "size_from_draws", "to_answer"]


@record
class Answer:
    """The predicted learning curve and size for the target, averaged over methods.

    The curve is the mean error of the recipe's networks on data like `split`. Its draws are a mixture of the methods'
    draws, all fitted to every measured size; see `lcjax.studies.prediction.scoring.weights`. They include the sampling
    of seeds and examples and the discrepancy of each method.

    Attributes:
        curve: median error at sizes from the smallest shard to the largest predicted size, `(t,)`.
        interval: 90 % interval of the mean error, `(2, t)`.
        predictive: 90 % interval of a measured error, for the numbers of examples and seeds of this study, `(2, t)`.
        target: size that reaches the target error, on average and for one training with probability 80 %, the number
            of test examples that demonstrate it, and the measurement to make next; `None` without a target.
        diagnosis: probabilities that data, the model or label noise limits the error at the largest size.
        weights: weight of each method, `()`.
        shift: shift from validation to test errors, applied to the draws unless both splits are random parts of one
            set; `None` before the test labels are read, and under the paper's protocol.
        split: "validation" or "test": the split whose distribution the answer refers to.
        reason: evidence in one line.
        error_limit: upper limit of the error with a confidence of 95 %, if no network makes a mistake at any size; else
            `None`. Methods and their scores have no meaning then.
        log_draws: joint draws of the log error at the sizes of `curve`, `(k, t)`; not written to JSON.
    """

    curve: LearningCurve
    interval: Float[Array, "2 t"]
    predictive: Float[Array, "2 t"]
    target: TargetAnswer | None
    diagnosis: Diagnosis
    weights: dict[str, Float[Array, ""]]
    shift: Shift | None
    split: str = jax.tree.static()
    reason: str = jax.tree.static()
    error_limit: float | None = jax.tree.static(default=None)
    log_draws: Float[Array, "k t"] | None = None

    @property
    def size_for_error(self) -> SizeForError | None:
        """Size that reaches the target error, with its central 90 % interval, or `None` without a target."""
        return None if self.target is None else self.target.size_for_error

    def json_fields(self) -> dict[str, object]:
        """Return the entries for `to_dict`: all fields but the draws."""
        return {name: value for name, value in vars(self).items() if name != "log_draws"}

    def without_mistakes(self, examples: int) -> "Answer":
        """Return the answer if no network makes a mistake on some examples at any size.

        The error is at most `1 - 0.05^(1 / examples)`, about `3 / examples`, with a confidence of 95 % (rule of three;
        Hanley and Lippman-Hand, 1983). No mistake counts as half of one in the curve.
        """
        limit = 1 - ((1 - LEVEL) / 2) ** (1 / examples)
        value = np.full_like(np.asarray(self.curve.error), 0.5 / examples)
        interval = np.stack([0 * value, 0 * value + limit])
        reason = (
            f"No network makes a mistake on {examples:,} examples at any size, so that no method can be fitted. With a "
            f"confidence of 95 % the error is at most {format_percent(limit)} % (rule of three). Only more, or harder, "
            "examples to test on tell more."
        )
        curve = dataclasses.replace(self.curve, error=value, standard_error=0 * value + limit / 3)
        return dataclasses.replace(
            self, curve=curve, interval=interval, predictive=interval, reason=reason, error_limit=float(limit)
        )


def size_from_draws(
    value: Float[np.ndarray, " t"] | None,
    log_draws: Float[np.ndarray, "k t"],
    grid: Float[np.ndarray, " t"],
    target_error: float,
    measured: Float[np.ndarray, " s"],
) -> SizeForError:
    """Return the size at which a curve first falls to the target, with the central 90 % interval.

    Args:
        value: log errors of the best estimate; if None, the best estimate is the median crossing of the draws.
        log_draws: draws of log errors.
        grid: sizes of the draws; a curve that does not reach the target on the grid counts as "never".
        target_error: error to reach.
        measured: measured sizes.
    """
    target = np.asarray(target_error)
    crossing = np.asarray(first_crossing(grid, np.exp(log_draws), target))
    if value is None:
        best = np.asarray(np.quantile(crossing, 0.5, method="lower"))
    else:
        best = np.asarray(first_crossing(grid, np.exp(value)[None], target)[0])
    ends = {"smallest": np.asarray(measured.min()), "largest": np.asarray(measured.max())}
    return SizeForError.from_draws(best, crossing, LEVEL, **ends)


def to_answer(
    draws: AveragedDraws,
    shown: int,
    weights: Mapping[str, float],
    points: Points,
    *,
    target_error: float | None,
    noise_floor: ErrorFloor | None,
    split: str,
    reason: str,
    shift: Shift | None = None,
) -> Answer:
    """Summarize the draws of the mixture.

    Args:
        draws: draws of the mixture.
        shown: number of sizes to keep in the curve; the larger ones only serve to find the size for the target.
        weights: weights of the methods.
        points: measured errors.
        target_error: error to reach, or None.
        noise_floor: error floor due to label noise, or None.
        split: "validation" or "test".
        reason: evidence in one line.
        shift: the measured shift between the splits, or None.
    """
    logs = draws.log_error[:, :shown]
    tails = [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]
    error = np.exp(logs)
    # The variance of a measured error relative to that of independent mistakes is estimated from the data.
    measured = np.exp(points.log_error)
    factor = np.mean(points.relative**2 * measured / np.maximum(1 - measured, 1e-3))
    level = (np.arange(len(logs)) * 0.7548776662 + 0.5) % 1.0
    relative = factor * np.maximum(1 - error, 0) / np.maximum(error, np.finfo(error.dtype).tiny)
    noise = np.sqrt(relative) * scipy.special.ndtri(level)[:, None]
    return Answer(
        curve=LearningCurve(draws.grid[:shown], np.median(error, axis=0), error.std(axis=0)),
        interval=np.quantile(error, tails, axis=0),
        predictive=np.quantile(np.exp(np.minimum(logs + noise, 0.0)), tails, axis=0),
        target=None if target_error is None else answer_target(draws, target_error),
        diagnosis=diagnose_draws(
            points.size.max(), np.exp(draws.at(points.size.max() * np.array(MULTIPLES))), noise_floor=noise_floor
        ),
        weights={name: np.asarray(weight) for name, weight in weights.items()},
        shift=shift,
        split=split,
        reason=reason,
        log_draws=logs,
    )
