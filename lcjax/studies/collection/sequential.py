"""Sequential choice of the trainings that are most informative about the number of examples for a target."""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import numpy as np

from lcjax.curves.answer.next_size import REPEATS
from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.metrics import Metric, find_metric
from lcjax.curves.targets import Target
from lcjax.formats import format_probability
from lcjax.studies.collection.costs import CostLimit, Price, predict_cost
from lcjax.studies.collection.measurements import Measurements
from lcjax.studies.collection.session import Session
from lcjax.studies.collection.subsets import Task
from lcjax.studies.fitting.fitted_curves import fit_learning_curves
from lcjax.typing import Array, OnProgress, Progress

__all__ = ["Goal", "collect_until", "start_sizes"]

_STARTS, _LEAST, _SHARE = 4, 10, 64  # number of first sizes; smallest one; its share of the largest size allowed
# Candidates beyond the data: number per octave, and largest factor where costs are known or predicted.
_OCTAVE, _KNOWN, _PREDICTED = 4, 16, 4
_LEVEL = 0.9  # of the interval, as by `fit_learning_curves`
_INFORMATIVE = 0.005  # nats of information below which a measurement is not worth its cost
_SHARE_OF_BEST = 0.3  # of the information of the best candidate, below which others are within its simulation error
_CERTAIN = 0.9  # probability of "never" from which a target is out of reach


@dataclasses.dataclass(frozen=True)
class Goal:
    """The question of a sequential collection.

    Attributes:
        target: the target.
        metric: the metric, or its name; None for that of the target, or the main one of the trainings.
        largest: largest size of a training.
        limit: largest cost, or None.
        precision: ratio of the ends of the answer's 90 % interval at which to stop, above 1.
    """

    target: Target
    metric: Metric | str | None
    largest: int
    limit: CostLimit | None = None
    precision: float = 2.0

    def __post_init__(self) -> None:
        if not self.precision > 1:
            raise ValueError(f"precision is a ratio of sizes above 1, got {self.precision}.")

    def resolve(self, table: Measurements) -> tuple[Metric, float]:
        """Return the metric and the target as an error.

        Raises:
            ValueError: the metric is not known or not reported, or the target is not one of it.
        """
        name = self.metric or self.target.metric or table.main_metric()
        metric = name if isinstance(name, Metric) else find_metric(name)
        return metric, self.target.to_error(metric)


def start_sizes(largest: int, classes: int = 0) -> list[int]:
    """Return the first sizes of a sequential collection: four small ones, each twice the one before.

    Args:
        largest: largest size of a training.
        classes: number of classes, of which the first size has two examples each if it can.

    Examples:
        >>> start_sizes(64_000), start_sizes(40), start_sizes(2000, classes=100)
        ([1000, 2000, 4000, 8000], [5, 10, 20, 40], [200, 400, 800, 1600])
    """
    least = min(max(_LEAST, 2 * classes), largest // 2 ** (_STARTS - 1))
    first = max(largest // _SHARE, least, 1)
    return [size for size in (first * 2**i for i in range(_STARTS)) if size <= largest]


def collect_until(session: Session, goal: Goal, first: Iterable[Task], on_progress: OnProgress | None) -> str:
    """Run the most informative trainings about a target, step by step, and return the reason for the end in words.

    After the first trainings, every step forecasts the curve from all trainings so far, and selects the size and the
    number of trainings with the largest expected information about the size for the target per predicted cost
    (`lcjax.curves.answer.next_size`). It ends when the 90 % interval of that size is as narrow as asked, when the
    target is out of reach with probability 0.9, when no training fits into what is left of the limit, or when no
    further training up to the largest size tells anything.

    Args:
        session: the collection.
        goal: the question.
        first: sizes and repeats of the first trainings.
        on_progress: progress callback, in the unit of the limit.
    """
    limit = goal.limit or CostLimit(np.inf)

    def report() -> None:
        if on_progress is not None:
            count, spent = len(session.trainings), limit.spent(session.trainings.values())
            done, total = (min(spent, limit.amount), limit.amount) if goal.limit else (count, count + 1)
            on_progress(Progress("collect", done, total, 0, count, count, (), session.restored))

    _train_first(session, limit, first, report, on_progress)
    while True:
        table = session.measurements()
        metric, error = goal.resolve(table)
        ahead = _forecast(session.subsets.seed, table, metric)
        if ahead is None:
            return _describe_spent(limit, session)
        answer = jax.tree.map(lambda leaf: np.asarray(leaf)[0], ahead.size_for_error(error, _LEVEL))
        ended = _describe_answer(answer, goal)
        if ended:
            return ended
        price = predict_cost(limit, session.trainings.values())
        assert price is not None
        rest = limit.amount - limit.spent(session.trainings.values())
        reach = min(goal.largest, int(table.size.max()) * (_KNOWN if limit.is_exact else _PREDICTED))
        choice = choose(ahead, error, table, price, rest, reach)
        if choice is None:
            return _describe_spent(limit, session)
        size, repeats, information = choice
        if information < _INFORMATIVE:
            if reach == goal.largest:
                most = f"{goal.largest:,} {session.subsets.unit}"
                return f"No further training with up to {most} is expected to be informative."
            if price(np.array(reach)) > rest:
                return _describe_spent(limit, session)
            size, repeats = reach, 1  # from where larger ones can be judged
        taken = [repeat for n, repeat in (*session.trainings, *session.failures) if n == size]
        start = max(taken, default=-1) + 1
        before = len(session.trainings)
        session.train([(size, start + i) for i in range(repeats)], report, on_progress)
        if len(session.trainings) == before:
            return f"The trainings with {size:,} {session.subsets.unit} failed: {list(session.failures.values())[-1]}"


def _train_first(
    session: Session,
    limit: CostLimit,
    first: Iterable[Task],
    report: Callable[[], None],
    on_progress: OnProgress | None,
) -> None:
    """Run the first trainings as far as they fit into the limit, size by size, and the very first one alone.

    Raises:
        ValueError: not one fits, or all fail.
    """
    left = sorted(task for task in first if task not in session.trainings)
    while left:
        price = predict_cost(limit, session.trainings.values())
        rest = limit.amount - limit.spent(session.trainings.values())
        each = 0.0 if price is None else float(price(np.array(left[0][0])))
        if each > rest:
            break
        same = [task for task in left if task[0] == left[0][0]]
        most = 1 if price is None else int(min(rest / each, len(same))) if each else len(same)
        session.train(same[:most], report, on_progress)
        left = [task for task in left if task not in same[:most]]
    if not (session.trainings or session.failures):
        raise ValueError(f"The budget of {limit} is too small for one training with {left[0][0]} examples.")
    session.measurements()  # refuses a collection of failures only


def choose(
    ahead: Forecast, error: float, table: Measurements, price: Price, rest: float, largest: int
) -> tuple[int, int, float] | None:
    """Return the size, the number of trainings and the information of the best measurement; None if none fits.

    Args:
        ahead: forecast of the measured curve, a batch of one.
        error: the target.
        table: the trainings so far.
        price: cost of a training by size.
        rest: largest cost.
        largest: largest size.
    """
    sizes = _candidates(table.size, largest)

    def cost(size: Array, repeats: Array, _: Array) -> Array:
        total = price(np.asarray(size)) * np.asarray(repeats)
        return np.where(total <= rest, np.maximum(total, 1e-12), np.inf)

    plan = ahead.next_size(error, candidates=sizes[None].astype(float), repeats=REPEATS, cost=cost)
    size, repeats, nats, total = (
        np.asarray(part, float)[0] for part in (plan.candidates, plan.candidate_repeats, plan.information, plan.cost)
    )
    fits = np.isfinite(total)
    if not fits.any():
        return None
    best = float(np.max(nats[fits]))
    rate = np.where(fits & (nats >= _SHARE_OF_BEST * best), nats / np.where(fits, total, 1.0), -np.inf)
    i = int(np.argmax(rate))
    return round(size[i]), round(repeats[i]), float(nats[i])


def _candidates(measured: np.ndarray, largest: int) -> np.ndarray:
    """Return the measured sizes, and a geometric grid beyond them up to the largest size, which is included."""
    beyond = measured.max() * 2.0 ** (np.arange(1, _OCTAVE * int(np.log2(_KNOWN)) + 1) / _OCTAVE)
    digits = 10 ** np.maximum(np.floor(np.log10(beyond)) - 2, 0)
    grid = np.round(beyond / digits) * digits
    sizes = np.unique(np.concatenate([measured, np.minimum(grid, largest)]).astype(np.int64))
    return np.asarray(sizes[sizes <= largest])


def _forecast(seed: int, table: Measurements, metric: Metric) -> Forecast | None:
    """Return the forecast that ends the collection; None for fewer than two sizes."""
    curves = table.curves(metric)
    if np.sum(~np.isnan(np.asarray(curves.curve.error))) < 2:
        return None
    ahead = fit_learning_curves(jax.random.key(seed), curves, allow_rising=True).forecast
    assert isinstance(ahead, Forecast)
    return ahead


def _describe_answer(answer: SizeForError, goal: Goal) -> str:
    """Return the reason why the answer ends the collection, in words; an empty text if it does not."""
    if float(answer.never) >= _CERTAIN:
        return f"The target is out of reach at any size, with a probability of {format_probability(answer.never)}."
    ratio = float(answer.high) / float(answer.low)
    if ratio <= goal.precision:
        return f"The interval is narrow enough: the ratio of its limits is {ratio:.2f}."
    return ""


def _describe_spent(limit: CostLimit, session: Session) -> str:
    spent = limit.spent(session.trainings.values())
    return f"The budget of {limit} is spent: {spent:.4g}, and no further informative training fits."
