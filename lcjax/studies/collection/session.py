"""Trainings of one collection: those that its folder holds, and those that are run now."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor

from lcjax.studies.collection.measurements import Measurements, Training, gather
from lcjax.studies.collection.store import Store
from lcjax.studies.collection.subsets import Subsets, Task
from lcjax.studies.collection.trainers.jax_trainer import JaxTrainer
from lcjax.studies.collection.trainers.trainer import Trainer
from lcjax.studies.collection.trainings import train_all
from lcjax.typing import OnProgress, Progress

__all__ = ["Session"]


class Session:
    """The trainings of one collection.

    Args:
        run: the trainer.
        subsets: training examples of each training.
        store: its folder, or None.
        executor: runs trainings concurrently, or None.
        retries: number of times that a training that fails is repeated.
        cost_per_example: cost of a training that reports none, per example, or None.
        check: called with the first training, to refuse what the others would report as well, or None.
    """

    def __init__(
        self,
        run: Trainer | JaxTrainer,
        subsets: Subsets,
        store: Store | None,
        executor: Executor | None = None,
        retries: int = 0,
        cost_per_example: float | None = None,
        check: Callable[[Measurements], None] | None = None,
    ) -> None:
        self.subsets = subsets
        self.trainings: dict[Task, Training] = {} if store is None else store.read()
        self.failures: dict[Task, str] = {}
        self.restored = len(self.trainings)
        self._run, self._store = run, store
        self._executor, self._retries, self._price = executor, retries, cost_per_example
        self._check = check
        for training in self.trainings.values():
            self._check_once(training)

    def train(
        self, tasks: Iterable[Task], after_each: Callable[[], None] | None = None, on_progress: OnProgress | None = None
    ) -> None:
        """Run the trainings that are missing.

        Args:
            tasks: sizes and repeats.
            after_each: called after each training.
            on_progress: progress of a sweep, in optimizer steps; other trainers do not call it.
        """
        left = [task for task in tasks if task not in self.trainings]
        if self._store is not None:
            self._store.require_writable(len(left))
        if isinstance(self._run, JaxTrainer):
            if left:
                self._sweep(self._run, left, on_progress)
            return
        outcomes = train_all(self._run, left, self.subsets, self._executor, self._retries)
        try:
            for task, outcome in outcomes:
                self._add(task, outcome)
                if after_each is not None:
                    after_each()
        finally:
            outcomes.close()

    def measurements(self, tasks: Iterable[Task] | None = None) -> Measurements:
        """Return the table of all trainings, or of some tasks.

        Raises:
            ValueError: every training failed.
        """
        chosen = self.trainings if tasks is None else [task for task in tasks if task in self.trainings]
        failures = [f"size {size}, repeat {repeat}: {why}" for (size, repeat), why in self.failures.items()]
        if not chosen and failures:
            raise ValueError(f"Every training failed; the first: {failures[0]}")
        table = gather([self._with_cost(self.trainings[task]) for task in chosen], failures)
        pool = self.subsets.largest if self.subsets.order == "random" else None
        return dataclasses.replace(table, shared=isinstance(self._run, JaxTrainer), pool=pool)

    def _check_once(self, training: Training) -> None:
        if self._check is not None:
            check, self._check = self._check, None
            check(gather([training]))

    def _with_cost(self, training: Training) -> Training:
        if self._price is None or "cost" in training.values:
            return training
        return dataclasses.replace(training, values={**training.values, "cost": self._price * training.size})

    def _sweep(self, run: JaxTrainer, tasks: Sequence[Task], on_progress: OnProgress | None) -> None:
        folder = None if self._store is None else self._store.folder
        for task, outcome in run.train(tasks, self.subsets, folder, on_progress):
            self._add(task, outcome)
        if folder is not None:
            run.clear(folder)

    def _add(self, task: Task, outcome: Training | str) -> None:
        if isinstance(outcome, str):
            self.failures[task] = outcome
            return
        self.trainings[task] = outcome
        if self._store is not None:
            self._store.add(outcome)
        self._check_once(outcome)


def report_count(session: Session, tasks: Sequence[Task], on_progress: OnProgress | None) -> Callable[[], None]:
    """Return a function that reports how many of some tasks have ended."""
    restored = sum(task in session.trainings for task in tasks)

    def report() -> None:
        if on_progress is not None:
            ended = sum(task in session.trainings or task in session.failures for task in tasks)
            on_progress(Progress("collect", ended, len(tasks), restored, len(tasks), ended, (), restored))

    return report
