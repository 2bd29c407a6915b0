"""Trainings of a collection, one after the other or concurrently by an executor."""

import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed

import numpy as np
from jaxtyping import Int

from lcjax.studies.collection.measurements import Training
from lcjax.studies.collection.subsets import Subsets, Task
from lcjax.studies.collection.trainers.command import Command, end_commands
from lcjax.studies.collection.trainers.trainer import Trainer, check_values

__all__ = ["train_all", "train_once"]


def train_all(
    run: Trainer, tasks: Sequence[Task], subsets: Subsets, executor: Executor | None, retries: int
) -> Generator[tuple[Task, Training | str]]:
    """Run trainings, repeat by repeat, and yield the task of each with its training, or the reason why it failed.

    Args:
        run: the trainer.
        tasks: sizes and repeats.
        subsets: training examples of each.
        executor: runs them concurrently, or None.
        retries: number of times that a training that fails is repeated.
    """
    tasks = sorted(tasks, key=lambda task: task[::-1])
    seed = subsets.seed
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
            returned = run(seed + task[1], indices)
        except Exception as error:
            reason = str(error) if isinstance(run, Command) and isinstance(error, ValueError) else _reason(error)
            continue
        seconds = time.monotonic() - started
        try:
            return Training(*task, check_values(returned), seconds)
        except ValueError as error:
            reason = str(error)
    return reason


def _reason(error: Exception) -> str:
    """Return the type and the text of an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
