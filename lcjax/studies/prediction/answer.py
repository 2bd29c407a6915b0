"""The answer of a prediction: one curve and one size for the target, averaged over methods."""

from collections.abc import Mapping

import jax
import numpy as np
import scipy.special
from jaxtyping import Float

from lcjax.curves.answer.crossing import first_crossing
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record
from lcjax.studies.prediction.methods.points import Fit, Points
from lcjax.studies.prediction.scoring.discrepancy import Discrepancy
from lcjax.studies.prediction.scoring.held_out import LEVEL
from lcjax.studies.prediction.shift import Shift
from lcjax.typing import Array

__all__ = ["Answer", "mix", "size_from_draws", "to_answer", "widen"]

DRAWS = 1000  # of the mixture


@record
class Answer:
    """The learning curve and the size for the target that the prediction stands for.

    The curve is the mean error of the recipe's networks on data like `split`. Its draws are a mixture of those of the
    methods, all fitted to every measured size; see `lcjax.studies.prediction.scoring.weights`. They contain the
    sampling of seeds and examples and what the methods may get wrong.

    Attributes:
        curve: median error at sizes from the smallest shard to the largest predicted size, `(t,)`.
        interval: 90 % interval of the mean error, `(2, t)`.
        predictive: 90 % interval of a measured error, on as many examples and seeds as here, `(2, t)`.
        size_for_error: size that reaches the target error, with its central 90 % interval, or `None`
            without a target.
        weights: weight of each method, `()`.
        shift: shift from validation to test errors, contained in the draws, or `None` before the test labels are read.
        split: "validation" or "test", whose distribution the answer holds for.
        reason: evidence in one line.
        log_draws: joint draws of the log error at the sizes of `curve`, `(k, t)`; not written to JSON.
    """

    curve: LearningCurve
    interval: Float[Array, "2 t"]
    predictive: Float[Array, "2 t"]
    size_for_error: SizeForError | None
    weights: dict[str, Float[Array, ""]]
    shift: Shift | None
    split: str = jax.tree.static()
    reason: str = jax.tree.static()
    log_draws: Float[Array, "k t"] | None = None

    def json_fields(self) -> dict[str, object]:
        """Return the entries for `to_dict`: all but the draws."""
        names = ("curve", "interval", "predictive", "size_for_error", "weights", "shift", "split", "reason")
        return {name: getattr(self, name) for name in names}


def widen(
    draws: Float[np.ndarray, "k t"], log_ratio: Float[np.ndarray, " t"], discrepancy: Discrepancy
) -> Float[np.ndarray, "k t"]:
    """Add a discrepancy to draws, one deviate for each draw and all sizes."""
    level = (np.arange(len(draws)) * 0.6180339887 + 0.5) % 1.0
    deviate = scipy.special.stdtrit(discrepancy.degrees, np.clip(level, 1e-3, 1 - 1e-3))
    return np.asarray(draws + discrepancy.at(log_ratio) * deviate[:, None])


def mix(
    fits: Mapping[str, Fit],
    weights: Mapping[str, float],
    discrepancies: Mapping[str, Discrepancy],
    points: Points,
    grid: Float[np.ndarray, " t"],
    *,
    count: int = DRAWS,
) -> Float[np.ndarray, "{count} t"]:
    """Draw log error curves from the mixture of methods, in proportion to their weights.

    The posterior draws of the forecast do not contain the sampling of the examples. They are multiplied by its common
    factor, `Points.level`.

    Args:
        fits: methods fitted to all sizes.
        weights: weights that sum to 1.
        discrepancies: discrepancy of each method.
        points: measured errors with their bootstrap draws.
        grid: sizes of the fits.
        count: number of draws.
    """
    log_ratio = np.log(grid / points.size.max())
    names = list(fits)
    share = np.array([weights[name] for name in names]) * count
    numbers = share.astype(int)
    numbers[np.argsort(numbers - share, kind="stable")[: count - numbers.sum()]] += 1
    level = points.level
    parts = []
    for name, number in zip(names, numbers, strict=True):
        draws, place = fits[name].draws, np.arange(number)
        if name == "forecast":
            # In the order of their errors, so that any number of them represents the posterior.
            order = np.argsort(draws[:, log_ratio > 0].mean(axis=1), kind="stable")
            chosen = order[((place + 0.5) / max(number, 1) * len(order)).astype(int)]
            parts.append(draws[chosen] + level[(place * 89) % len(level), None])
        else:
            parts.append(widen(draws[(place * 89) % len(draws)], log_ratio, discrepancies[name]))
    return np.concatenate(parts)


def size_from_draws(
    value: Float[np.ndarray, " t"] | None,
    log_draws: Float[np.ndarray, "k t"],
    grid: Float[np.ndarray, " t"],
    target_error: float,
    measured: Float[np.ndarray, " s"],
) -> SizeForError:
    """Return the size at which curves first fall to the target, with the central 90 % interval.

    Args:
        value: log errors of the best estimate; the median of the draws' sizes if None.
        log_draws: draws of log errors.
        grid: their sizes; a curve that does not reach the target there counts as "never".
        target_error: error to reach.
        measured: sizes measured.
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
    joint: Float[np.ndarray, "k t"],
    grid: Float[np.ndarray, " t"],
    shown: int,
    weights: Mapping[str, float],
    points: Points,
    *,
    target_error: float | None,
    chance_error: float,
    split: str,
    reason: str,
    shift: Shift | None = None,
) -> Answer:
    """Summarize the draws of the mixture.

    Args:
        joint: draws of the mixture.
        grid: their sizes.
        shown: number of sizes to keep in the curve; the others serve to find the size for the target.
        weights: weights of the methods.
        points: measured errors.
        target_error: error to reach, or None.
        chance_error: upper limit of errors.
        split: "validation" or "test".
        reason: evidence in one line.
        shift: the shift contained in `points`, or None.
    """
    logs = np.minimum(joint, np.log(chance_error))
    size = None if target_error is None else size_from_draws(None, logs, grid, target_error, points.size)
    logs = logs[:, :shown]
    tails = [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]
    error = np.exp(logs)
    # The variance of a measured error, relative to that of independent mistakes, is that of the data.
    measured = np.exp(points.log_error)
    factor = np.mean(points.relative**2 * measured / np.maximum(1 - measured, 1e-3))
    level = (np.arange(len(logs)) * 0.7548776662 + 0.5) % 1.0
    noise = np.sqrt(factor * np.maximum(1 - error, 0) / error) * scipy.special.ndtri(level)[:, None]
    return Answer(
        curve=LearningCurve(grid[:shown], np.median(error, axis=0), error.std(axis=0)),
        interval=np.quantile(error, tails, axis=0),
        predictive=np.minimum(np.quantile(np.exp(logs + noise), tails, axis=0), 1.0),
        size_for_error=size,
        weights={name: np.asarray(weight) for name, weight in weights.items()},
        shift=shift,
        split=split,
        reason=reason,
        log_draws=logs,
    )
