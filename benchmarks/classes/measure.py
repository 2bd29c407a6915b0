"""Mistakes on each class of the test set, of networks trained on growing nested shards."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

import lcjax as lc
from benchmarks.prediction_sets.sets import SETS, load_set
from lcjax.data.subsets import shard_sizes
from lcjax.studies import Recipe, lenet_recipe, mlp_recipe
from lcjax.training import Runs

__all__ = ["NETWORKS", "measure"]

FRACTIONS = tuple(2.0**-power for power in range(7, -1, -1))

NETWORKS = {
    "mnist-mlp": ("mnist-mlp", mlp_recipe, {"steps": 1500, "epochs": 5.0}),
    "mnist-lenet": ("mnist-lenet", lenet_recipe, {"steps": 600, "epochs": 5.0}),
    "cifar10-lenet": ("cifar10", lenet_recipe, {"steps": 600, "epochs": 5.0}),
    "cifar10-mlp": ("cifar10", mlp_recipe, {"steps": 1500, "epochs": 6.0}),
}
"""Data set, recipe and budget of each network; the budgets are smaller than the recipes' for lack of time."""

TITLES = {mlp_recipe: "MLP", lenet_recipe: "LeNet"}


def measure(data_folder: Path, name: str, runs: Path, *, seeds: int) -> dict[str, Any]:
    """Train a network on every shard and return its mistakes, `(seeds, sizes, classes)`.

    Args:
        data_folder: folder of the data sets.
        name: one of `NETWORKS`.
        runs: folder of finished runs.
        seeds: trainings per size.
    """
    source, make, budget = NETWORKS[name]
    data = load_set(data_folder, source)
    assert data.test is not None
    recipe: Recipe = make(data).with_budget(steps=int(budget["steps"]), epochs=budget["epochs"])
    size = shard_sizes(len(data.train.targets), FRACTIONS, classes=data.classes)
    table = Runs.grid(recipe.program, seed=range(seeds), size=size, learning_rate=recipe.learning_rate)
    told = -1

    def report(progress: lc.typing.Progress) -> None:
        nonlocal told
        if progress.ended > told:
            told = progress.ended
            print(f"{name}: {told} of {progress.runs} trainings", flush=True)

    result = lc.sweep(jax.random.key(0), data, table, folder=runs / name, on_progress=report)
    labels = np.asarray(data.test.targets)
    wrong = np.asarray(result.wrong)
    mistakes = np.stack([wrong[:, labels == label].sum(axis=1) for label in range(data.classes)], axis=1)
    return {
        "title": f"{SETS[source].title}, {TITLES[make]}",
        "data": SETS[source].data,
        "size": size,
        "classes": np.bincount(labels, minlength=data.classes),
        "mistakes": mistakes.reshape(seeds, len(size), data.classes),
        "budget": budget,
        "failed": int(np.sum(np.asarray(result.status) != 0)),
    }
