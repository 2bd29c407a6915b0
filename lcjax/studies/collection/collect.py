"""Collection: repeated trainings on subsets of increasing size, and the table of the metrics that they report."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num, Shaped

from lcjax.curves.metrics import Metric
from lcjax.curves.targets import Target, parse_target
from lcjax.data.examples import Data
from lcjax.data.shards import Shards, nested_shards
from lcjax.data.sources import load_data
from lcjax.studies.collection.costs import parse_limit
from lcjax.studies.collection.measurements import Measurements
from lcjax.studies.collection.sequential import Goal, collect_until, start_sizes
from lcjax.studies.collection.session import Session, report_count
from lcjax.studies.collection.store import Store
from lcjax.studies.collection.subsets import Subsets, Task
from lcjax.studies.collection.trainers.command import Command
from lcjax.studies.collection.trainers.estimator import Estimator
from lcjax.studies.collection.trainers.jax_trainer import JaxTrainer
from lcjax.studies.collection.trainers.trainer import Trainer, identify
from lcjax.studies.dry_runs.plan import Planned, is_dry
from lcjax.studies.dry_runs.trainings import plan_trainings
from lcjax.studies.recipes import Recipe
from lcjax.typing import Array, OnProgress, PathLike

__all__ = ["collect"]


def collect(
    trainer: Trainer | object,
    sizes: Sequence[float | int] | Num[Array, " s"] | None = None,
    *,
    repeats: int = 3,
    examples: int | None = None,
    labels: Shaped[Array, " n"] | None = None,
    groups: Shaped[Array, " n"] | None = None,
    order: str = "random",
    data: Data | Any = None,
    scoring: str | Sequence[str] = (),
    seed: int = 0,
    shards: Shards = nested_shards,
    target: Target | str | float | None = None,
    metric: Metric | str | None = None,
    budget: str | float | None = None,
    precision: float = 2.0,
    max_size: int | None = None,
    cost_per_example: float | None = None,
    folder: PathLike | None = None,
    executor: Executor | None = None,
    retries: int = 0,
    task: int | None = None,
    check: Callable[[Measurements], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Measurements:
    """Train repeatedly on subsets of increasing size, and return the metrics that the trainer reports.

    Repeat r has its own random order of the training examples, and its subsets are prefixes of it: they are nested, and
    with labels every subset has the classes at their shares. The trainer gets the seed `seed + r`.

    With a budget, or a target and no sizes, the sizes are chosen one after the other, where a training tells most about
    the size that reaches the target (`lcjax.studies.collection.sequential`).

    Args:
        trainer: function of a seed and the numbers of the training examples to use, `(n,)`, that returns the value of
            each metric by name; a `lcjax.studies.Command`; with `data`, an estimator of scikit-learn or a
            `lcjax.studies.Recipe`; or a `lcjax.studies.JaxTrainer`, whose trainings are one vectorized sweep.
        sizes: numbers of training examples; with a budget, the first ones, by default four small ones.
        repeats: number of repeats at each size; with a budget, at each of the first sizes.
        examples: number of training examples at hand, by default that of `labels`, `groups` or `data`; only a command
            without `{indices}` can do without all of them.
        labels: class, group or another label of each training example, `(n,)`, to stratify the subsets.
        groups: group of each training example, such as a patient, `(n,)`. A size then counts groups, because they are
            what is collected, and all examples of a group enter together.
        order: "random"; or, for examples numbered in the order of time, "recent" for the last n, with which every size
            is tested at the same distance from the training data, or "first" for the first n. In an order of time all
            repeats train on the same examples, and differ by their seeds.
        data: data set whose training split an estimator is fitted to, and on whose test split it is scored. A pair of
            inputs and targets, a data frame or another object that `lcjax.load_data` takes is split by it.
        scoring: names of scikit-learn's scorers for an estimator; see `lcjax.studies.Estimator`.
        seed: seed of the orders and of the trainers.
        shards: `nested_shards`, or `lcjax.data.independent_shards` for an order of its own at each size.
        target: target for which the number of examples is wanted, such as "auc>=0.9", or a value of the metric.
        metric: the metric, by default that of the target, or the main one that the trainings report.
        budget: largest cost of all trainings: a time (seconds, or "2h", "30m"), "40 trainings", "5000 examples", or a
            cost as a text without unit. A training is not started if it is predicted to exceed it.
        precision: ratio of the ends of the 90 % interval of the number of examples at which to stop.
        max_size: largest size of a training with a budget; all examples by default.
        cost_per_example: cost of a training per example, for the table and a budget without unit; by default what the
            trainings report as the metric "cost".
        folder: folder for finished trainings; an interrupted collection resumes from there, and a finished one grows
            with more sizes or repeats.
        executor: executor of `concurrent.futures`, or one of Dask, Ray or MPI with its interface, that runs trainings
            concurrently; by default they run one after the other.
        retries: number of times that a training that fails is repeated.
        task: number of the only training to run, of all sizes and repeats, for a task of an array job that shares the
            folder with the others.
        check: function that is called with the measurements of the first training, so that it can raise an error before
            others are run; by default, a training that does not report `metric` is refused.
        on_progress: called after each training, with stage "collect".

    Returns:
        `Measurements` with one row for each training that did not fail; `curves()` gives a learning curve, for
        `lcjax.studies.fit_learning_curves`. Trainings that failed are named in `failures`; the next call repeats them.

    Raises:
        ValueError: there is no size, the number of examples is not known, a size is not a whole number from 1 to that
            number, another argument is out of range, an estimator has no data, the folder holds another collection, or
            every training failed.

    Examples:
        >>> def train(seed, indices):
        ...     return {"error": 0.5 * len(indices) ** -0.3 + 0.001 * seed}
        >>> table = collect(train, [100, 200, 400], repeats=2, examples=5000)
        >>> table.size.tolist(), table.curves().curve.error.round(4).tolist()
        ([100, 100, 200, 200, 400, 400], [[0.1261, 0.1025, 0.0834]])
        >>> chosen = collect(train, examples=5000, target="error<=0.03", budget="40000 examples")
        >>> bool(chosen.size.max() <= 5000), bool(chosen.size.sum() <= 40000)
        (True, True)
    """
    data = data if data is None or isinstance(data, Data) else load_data(data)
    run = _as_trainer(trainer, data, (scoring,) if isinstance(scoring, str) else tuple(scoring))
    data = run.data if isinstance(run, JaxTrainer) else data
    subsets = _subsets(run, data, examples, labels, groups, Subsets(seed, None, None, None, order, shards))
    largest = subsets.largest if max_size is None else min(max_size, subsets.largest or max_size)
    goal = None
    if budget is not None or (sizes is None and target is not None):
        if target is None:
            raise ValueError("A budget chooses sizes that are informative about a target: give the target, or sizes.")
        if largest is None:
            raise ValueError("The largest size is not known: pass examples= or max_size= (--examples, --max-size).")
        limit = None if budget is None else parse_limit(budget, cost_per_example)
        text = f"{target:.17g}" if isinstance(target, float | int) else target
        goal = Goal(parse_target(text) if isinstance(text, str) else text, metric, largest, limit, precision)
        sizes = start_sizes(largest, subsets.classes) if sizes is None else sizes
    numbers = [] if sizes is None else np.asarray(sizes, float).ravel().tolist()
    _check(numbers, repeats, subsets, largest, retries)
    tasks = [(int(size), repeat) for size in sorted(set(numbers)) for repeat in range(repeats)]
    if task is not None:
        tasks = [_select(tasks, task, goal, folder)]
    if isinstance(run, JaxTrainer):
        if executor is not None or task is not None:
            raise ValueError("A JaxTrainer trains everything in one sweep, without an executor or tasks.")
        run.check(subsets, sorted({size for size, _ in tasks}))
    with contextlib.ExitStack() as stack:
        store = None
        if folder is not None and not (is_dry() and not Path(folder).is_dir()):  # a dry run creates no folder
            identity = {"trainer": identify(run), **subsets.identity()}
            store = stack.enter_context(contextlib.closing(Store(folder, identity, task)))
        session = Session(run, subsets, store, executor, retries, cost_per_example, check or _metric_check(metric))
        if is_dry():
            done = {one: session.trainings[one] for one in tasks if one in session.trainings}
            ended = [(one.size, one.seconds) for one in done.values()]
            left = [float(one[0]) for one in tasks if one not in done]
            concurrent = getattr(executor, "_max_workers", 1)
            raise Planned(plan_trainings(left, ended, concurrent, is_first=goal is not None))
        if goal is not None:
            ending = collect_until(session, goal, tasks, on_progress)
            return dataclasses.replace(session.measurements(), ending=ending)
        session.train(tasks, report_count(session, tasks, on_progress), on_progress)
        return session.measurements(tasks)


def _metric_check(metric: Metric | str | None) -> Callable[[Measurements], None] | None:
    """Return a check that the metric is reported, and not better than possible."""
    if metric is None:
        return None

    def check(first: Measurements) -> None:
        first.curves(metric)

    return check


def _as_trainer(trainer: object, data: Data | None, scoring: tuple[str, ...]) -> Trainer | JaxTrainer:
    if isinstance(trainer, JaxTrainer):
        return trainer
    if isinstance(trainer, Recipe):
        if data is None:
            raise ValueError("A recipe needs data=, such as data=(inputs, targets), or lcjax.load_data.")
        return JaxTrainer.for_recipe(trainer, data)
    if hasattr(trainer, "fit") and not isinstance(trainer, type):
        if data is None:
            raise ValueError("An estimator needs data=, such as data=(inputs, targets), or lcjax.load_data.")
        return Estimator(trainer, data, scoring)
    if not callable(trainer):
        raise ValueError(
            f"trainer must be a function of a seed and indices, a Command or an estimator, got {trainer!r}."
        )
    return trainer


def _subsets(
    run: Trainer | JaxTrainer,
    data: Data | None,
    examples: int | None,
    labels: Shaped[Array, " n"] | None,
    groups: Shaped[Array, " n"] | None,
    settings: Subsets,
) -> Subsets:
    """Return the subsets of the examples at hand: their number, labels and groups, as far as they are given."""
    classes = None if labels is None else np.asarray(labels)
    members = None if groups is None else np.asarray(groups)
    if data is not None and data.classes and labels is None and settings.order == "random":
        classes = np.asarray(data.train.targets)
    if members is not None and data is not None and data.test is not None and data.test.groups is not None:
        common = np.intersect1d(members, np.asarray(data.test.groups))
        if common.size:
            raise ValueError(f"The group {common[0]!r} is among the training and the test examples: split by group.")
    lengths = [len(value) for value in (classes, members) if value is not None]
    known = len(data.train.targets) if data is not None else lengths[0] if lengths else None
    count = known if examples is None else examples
    if count is None and not (isinstance(run, Command) and not run.takes_indices):
        raise ValueError(
            "The number of training examples is not known: pass examples=, labels= or data= (--examples, --labels)."
        )
    if isinstance(run, Command) and not run.takes_indices and (groups is not None or settings.order != "random"):
        raise ValueError(
            "The command chooses its examples by itself: only one with {indices} can have groups or order."
        )
    return dataclasses.replace(settings, count=count, labels=classes, groups=members)


def _select(tasks: Sequence[Task], number: int, goal: Goal | None, folder: PathLike | None) -> Task:
    """Return one of the trainings, for a task of an array job."""
    if goal is not None or folder is None:
        raise ValueError("Tasks of an array job need sizes that are known in advance: give sizes, without a budget.")
    if not 0 <= number < len(tasks):
        raise ValueError(f"task must be a number from 0 to {len(tasks) - 1}, got {number}.")
    return tasks[number]


def _check(sizes: Sequence[float], repeats: int, subsets: Subsets, largest: int | None, retries: int) -> None:
    if not len(sizes):
        raise ValueError("At least one size is needed, got none.")
    for size in sizes:
        if size % 1 or size < 1 or (largest is not None and size > largest):
            most = "" if largest is None else f" to the {largest} {subsets.unit}"
            raise ValueError(f"A size must be a whole number from 1{most}, got {size:g}.")
    for name, value, least in (("repeats", repeats, 1), ("seed", subsets.seed, 0), ("retries", retries, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
