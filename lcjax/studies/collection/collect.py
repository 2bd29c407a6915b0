"""Train anything on growing subsets, repeatedly, and tabulate what it reports."""

import contextlib
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from pathlib import Path
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Int, Num, Shaped

from lcjax.data.examples import Data, fingerprint
from lcjax.data.shards import Shards, nested_shards
from lcjax.data.subsets import random_order, stratified_order
from lcjax.studies.collection.command import Command, end_commands
from lcjax.studies.collection.estimate import plan_trainings
from lcjax.studies.collection.estimator import Estimator
from lcjax.studies.collection.measurements import Measurements, Training, gather
from lcjax.studies.collection.store import Store
from lcjax.studies.collection.trainers import Trainer, check_values, identify
from lcjax.studies.dry_run import Planned, is_dry
from lcjax.typing import Array, OnProgress, PathLike, Progress

__all__ = ["collect"]

Task: TypeAlias = tuple[int, int]  # size and repeat


def collect(
    trainer: Trainer | object,
    sizes: Sequence[float | int] | Num[Array, " s"],
    *,
    repeats: int = 3,
    examples: int | None = None,
    labels: Shaped[Array, " n"] | None = None,
    data: Data | None = None,
    scoring: str | Sequence[str] = (),
    seed: int = 0,
    shards: Shards = nested_shards,
    folder: PathLike | None = None,
    executor: Executor | None = None,
    retries: int = 0,
    on_progress: OnProgress | None = None,
) -> Measurements:
    """Train on subsets of growing size, repeatedly, and return what the trainer reports after each training.

    Repeat r has its own random order of the training examples, and its subsets are prefixes of it: they are nested, and
    with labels every subset has the classes at their shares. The trainer gets the seed `seed + r`.

    Args:
        trainer: function of a seed and the numbers of the training examples to use, `(n,)`, that returns the value of
            each metric by name; a `lcjax.studies.Command`; or, with `data`, an estimator of scikit-learn.
        sizes: numbers of training examples.
        repeats: number of repeats at each size.
        examples: number of training examples at hand, by default that of `labels` or `data`; only a command without
            `{indices}` can do without all three.
        labels: class, group or another label of each training example, `(n,)`, to stratify the subsets.
        data: data set whose training split an estimator is fitted to, and on whose test split it is scored.
        scoring: names of scikit-learn's scorers for an estimator; see `lcjax.studies.Estimator`.
        seed: seed of the orders and of the trainers.
        shards: `nested_shards`, or `lcjax.data.independent_shards` for an order of its own at each size.
        folder: folder for finished trainings; an interrupted collection resumes from there, and a finished one grows
            with more sizes or repeats.
        executor: executor of `concurrent.futures`, or one of Dask, Ray or MPI with its interface, that runs trainings
            concurrently; by default they run one after the other.
        retries: number of times that a training that fails is repeated.
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
    """
    sizes = np.asarray(sizes, float).ravel().tolist()
    labels = None if labels is None else np.asarray(labels)
    if data is not None and data.classes and labels is None:
        labels = np.asarray(data.train.targets)
    known = len(data.train.targets) if data is not None else None if labels is None else len(labels)
    count = known if examples is None else examples
    run = _as_trainer(trainer, data, (scoring,) if isinstance(scoring, str) else tuple(scoring))
    if count is None and not (isinstance(run, Command) and not run.takes_indices):
        raise ValueError(
            "How many training examples are there? Pass examples=, labels= or data= (--examples, --labels)."
        )
    _check(sizes, repeats, count, labels, seed, retries)
    tasks = [(int(size), repeat) for size in sorted(set(sizes)) for repeat in range(repeats)]
    numbers = None if labels is None else np.unique(labels, return_inverse=True)[1]
    order = {"examples": count, "labels": None if numbers is None else fingerprint(numbers), "shards": shards.__name__}
    identity = {"trainer": identify(run), "seed": seed, **order}
    with contextlib.ExitStack() as stack:
        new = folder is None or (is_dry() and not Path(folder).is_dir())  # a dry run creates no folder
        store = None if folder is None or new else stack.enter_context(contextlib.closing(Store(folder, identity)))
        stored = {} if store is None else store.read()
        done = {task: stored[task] for task in tasks if task in stored}
        restored, failures = len(done), []
        subsets = _Subsets(seed, count, numbers, shards)
        left = [task for task in tasks if task not in done]
        if is_dry():
            raise Planned(plan_trainings(tasks, done, getattr(executor, "_max_workers", 1)))
        if store is not None:
            store.require_writable(len(left))
        outcomes = stack.enter_context(contextlib.closing(_run_all(run, left, subsets, seed, executor, retries)))
        for task, outcome in outcomes:
            if isinstance(outcome, Training):
                done[task] = outcome
                if store is not None:
                    store.add(outcome)
            else:
                failures.append(f"size {task[0]}, repeat {task[1]}: {outcome}")
            if on_progress is not None:
                ended = len(done) + len(failures)
                on_progress(Progress("collect", ended, len(tasks), restored, len(tasks), ended, (), restored))
    if not done:
        raise ValueError(f"Every training failed; the first: {failures[0]}")
    return gather(done.values(), failures)


def _as_trainer(trainer: object, data: Data | None, scoring: tuple[str, ...]) -> Trainer:
    if hasattr(trainer, "fit") and not isinstance(trainer, type):
        if data is None:
            raise ValueError("An estimator needs data=, such as lcjax.data_from_arrays(inputs, targets).")
        return Estimator(trainer, data, scoring)
    if not callable(trainer):
        raise ValueError(
            f"trainer must be a function of a seed and indices, a Command or an estimator, got {trainer!r}."
        )
    return trainer


def _check(
    sizes: Sequence[float | int], repeats: int, count: int | None, labels: np.ndarray | None, seed: int, retries: int
) -> None:
    if not len(sizes):
        raise ValueError("At least one size is needed, got none.")
    for size in sizes:
        if size % 1 or size < 1 or (count is not None and size > count):
            most = "" if count is None else f" to the {count} training examples"
            raise ValueError(f"A size must be a whole number from 1{most}, got {size:g}.")
    if labels is not None and labels.shape != (count,):
        raise ValueError(f"labels must have shape ({count},), one for each training example, got {labels.shape}.")
    for name, value, least in (("repeats", repeats, 1), ("seed", seed, 0), ("retries", retries, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")


class _Subsets:
    """Subsets of the training examples, by size and repeat."""

    def __init__(self, seed: int, count: int | None, labels: np.ndarray | None, shards: Shards) -> None:
        self._key, self._count, self._shards = jax.random.key(seed), count, shards
        self._labels = labels
        self._last: tuple[object, np.ndarray] | None = None

    def indices(self, task: Task) -> Int[np.ndarray, " n"]:
        size, repeat = task
        if self._count is None:  # for a command that chooses by itself
            return np.arange(size)
        key = self._shards(jax.random.fold_in(self._key, repeat), size)
        name = np.asarray(jax.random.key_data(key)).tobytes()
        if self._last is None or self._last[0] != name:
            order = random_order(key, self._count) if self._labels is None else stratified_order(key, self._labels)
            self._last = name, order
        return self._last[1][:size]


def _run_all(
    run: Trainer, tasks: Sequence[Task], subsets: _Subsets, seed: int, executor: Executor | None, retries: int
) -> Generator[tuple[Task, Training | str]]:
    """Run tasks, repeat by repeat, and yield each with its training, or the reason why it failed."""
    tasks = sorted(tasks, key=lambda task: task[::-1])
    if executor is None:
        for task in tasks:
            yield task, train_once(run, task, seed, subsets.indices(task), retries)
        return
    futures: Mapping[Future[Training | str], Task] = {
        executor.submit(train_once, run, task, seed, subsets.indices(task), retries): task for task in tasks
    }
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except Exception as error:  # of the executor, such as a worker that was killed
                outcome = _reason(error)
            yield futures[future], outcome
    except BaseException:  # such as an interruption, which must not wait for what is running
        for future in futures:
            future.cancel()
        end_commands()
        raise


def train_once(run: Trainer, task: Task, seed: int, indices: Int[np.ndarray, " n"], retries: int) -> Training | str:
    """Train on one subset, repeatedly if it fails; return the training, or the reason of the last failure.

    Args:
        run: the trainer.
        task: size and repeat.
        seed: seed of the collection.
        indices: numbers of the training examples.
        retries: number of further attempts.
    """
    reason = ""
    for _ in range(1 + retries):
        started = time.monotonic()
        try:
            values = check_values(run(seed + task[1], indices))
        except Exception as error:
            reason = _reason(error)
            continue
        return Training(*task, values, time.monotonic() - started)
    return reason


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"
