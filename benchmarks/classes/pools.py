"""Mistakes on each class of the development tasks, of learners trained on growing nested shards."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.classes.tasks import TASKS
from lcjax.data.subsets import stratified_order

__all__ = ["LEARNERS", "measure_pools"]

SHARDS, SEEDS = 8, 3
_BATCH, _EPOCHS, _STEPS = 64, 10, 600  # of the perceptron: at least 10 epochs and 600 steps


def _softmax(size: int, seed: int) -> ClassifierMixin:
    return LogisticRegression(C=1.0, max_iter=100)


def _perceptron(size: int, seed: int) -> ClassifierMixin:
    batch = min(_BATCH, size)
    epochs = max(_EPOCHS, -(-_STEPS * batch // size))
    return MLPClassifier((64,), batch_size=batch, max_iter=epochs, n_iter_no_change=epochs, random_state=seed)


def _forest(size: int, seed: int) -> ClassifierMixin:
    return RandomForestClassifier(50, random_state=seed)


def _neighbors(size: int, seed: int) -> ClassifierMixin:
    return KNeighborsClassifier(min(5, size))


LEARNERS: dict[str, Callable[[int, int], ClassifierMixin]] = {
    "softmax": _softmax,
    "perceptron": _perceptron,
    "forest": _forest,
    "neighbors": _neighbors,
}
"""Learners of a size and a seed."""

ABSENT = {("neighbors", name) for name in ("Shakespeare", "German", "words")} | {("forest", "words")}
"""Pairs that are left out for lack of time."""


def measure_pools(data_folder: Path) -> list[dict[str, Any]]:
    """Train every learner on eight nested shards of every task, and count the mistakes on each class.

    Args:
        data_folder: folder of the data sets.

    Returns:
        Pools with `task`, `learner`, `data` (the data set), `size`, `classes` (numbers of test examples) and
        `mistakes`, `(seeds, sizes, classes)`.
    """
    pools: list[dict[str, Any]] = []
    for task, (data, load) in TASKS.items():
        inputs, labels, test_inputs, test_labels = load(data_folder)
        count = int(labels.max()) + 1
        size = [len(labels) >> power for power in range(SHARDS - 1, -1, -1)]
        orders = [stratified_order(jax.random.key(seed), labels) for seed in range(SEEDS)]
        for learner, make in LEARNERS.items():
            if (learner, task) in ABSENT:
                continue
            mistakes = np.zeros((SEEDS, SHARDS, count), int)
            for seed, order in enumerate(orders):
                for i, n in enumerate(size):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", ConvergenceWarning)
                        model = make(n, seed).fit(inputs[order[:n]], labels[order[:n]])
                    wrong = model.predict(test_inputs) != test_labels
                    mistakes[seed, i] = np.bincount(test_labels, weights=wrong, minlength=count)
            print(f"{task}, {learner}: {mistakes[:, -1].sum() / SEEDS / len(test_labels):.4f}", flush=True)
            each = np.bincount(test_labels, minlength=count)
            pools.append({"task": task, "learner": learner, "data": data, "size": size, "classes": each.tolist(),
                          "mistakes": mistakes.tolist()})  # fmt: skip
    return pools
