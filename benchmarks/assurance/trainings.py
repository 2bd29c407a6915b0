"""Trainings of `benchmarks.assurance`: plans, repeats on shared pools, and fresh trainings as the truth.

Each data set is divided at random into an evaluation set and a reservoir, from which every training set is drawn
(stratified by class, as in `lcjax.sweep`). Each training has its own seed, so training sets, initial weights and
minibatches are independent given the reservoir. Plans and truth refer to the reservoir as the population, so its finite
size causes no bias, although two training sets of n of its N examples share n^2 / N examples on average.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

import lcjax as lc
from lcjax.data.arrays import limit_training
from lcjax.data.readers.idx import read_idx_folder
from lcjax.data.readers.libsvm import read_libsvm
from lcjax.files import atomic_path
from lcjax.studies.sweeps import refuse_failures, run_stage, runs_folder
from lcjax.training import Execution, Runs
from lcjax.typing import Progress

__all__ = ["SETS", "Design", "Trainings", "load", "train"]

KEY = jax.random.key(0)
_VALIDATION = 500  # examples that a sweep requires, but that are not used
_WIDEST = 512  # concurrent runs on an accelerator, where a step of a small network is limited by latency
_POOLS = 1_000_000  # first seed of the trainings on pools


@dataclasses.dataclass(frozen=True)
class Design:
    """The trainings on one data set.

    Attributes:
        path: the data below the data folder.
        evaluation: number of examples whose error stands for the expected error.
        first: smallest measured size.
        reach: largest size of the fresh trainings, as a multiple of the largest measured size.
        steps: smallest number of optimizer steps of a training.
        epochs: smallest number of epochs, so that large training sets are fitted as well as small ones.
        plans: number of independent measured curves.
        pools: number of curves measured on nested shards of one pool.
        repeats: trainings at each measured size of a curve.
        fresh: fresh trainings at each size of the truth.
    """

    path: str
    evaluation: int
    first: int
    reach: float
    steps: int = 3000
    epochs: int = 10
    plans: int = 10
    pools: int = 6
    repeats: int = 8
    fresh: int = 64

    @property
    def sizes(self) -> tuple[int, ...]:
        """Measured sizes: six that double."""
        return tuple(self.first * 2**i for i in range(6))

    @property
    def truth(self) -> tuple[int, ...]:
        """Sizes of the fresh trainings: ten, geometric, from the third measured size to `reach` times the last."""
        return tuple(np.rint(np.geomspace(self.sizes[2], self.reach * self.sizes[-1], 10)).astype(int).tolist())

    def reduce(self, steps: int) -> "Design":
        """Return a tiny design for tests of the script."""
        return dataclasses.replace(self, steps=steps, epochs=0, plans=3, pools=2, repeats=3, fresh=4)


SETS = {
    "mnist": Design("mnist", 10_000, 60, 3.0, steps=1500, epochs=15),
    "connect-4": Design("connect4/connect-4.2class.gz", 15_000, 60, 5.0, epochs=50),
    "w8a": Design("w8a/w8a.gz", 12_000, 120, 4.0),
    "a9a": Design("a9a/a9a.gz", 10_000, 60, 5.0, epochs=50),
}
"""Designs by data set. On MNIST the errors after 1,500 steps agree within 2 % with those after the recipe's 3,000."""


@dataclasses.dataclass(frozen=True)
class Trainings:
    """Errors of all trainings on the evaluation set.

    Attributes:
        plans: errors of independent trainings at the measured sizes, `(p, r, s)`.
        pools: errors of trainings on nested shards of a pool of the largest measured size, `(q, r, s)`.
        fresh: errors of fresh trainings at the sizes of the truth, `(f, g)`.
        train_error: mean training error of the fresh trainings, `(g,)`.
        reservoir: number of examples from which training sets are drawn.
    """

    plans: Float[np.ndarray, "p r s"]
    pools: Float[np.ndarray, "q r s"]
    fresh: Float[np.ndarray, "f g"]
    train_error: Float[np.ndarray, " g"]
    reservoir: int


def load(name: str, design: Design, folder: Path) -> lc.Data:
    """Read a data set and divide it at random: the test split is the evaluation set, the training set the reservoir."""
    path = folder / design.path
    if path.is_dir():
        parts = read_idx_folder(path).values()
        inputs, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    else:
        inputs, targets = read_libsvm(path)
    order = np.random.default_rng(0).permutation(len(targets))
    test, validation, train = np.split(order, [design.evaluation, design.evaluation + _VALIDATION])
    return lc.data_from_arrays(
        inputs[train],
        targets[train],
        validation=(inputs[validation], targets[validation]),
        test=(inputs[test], targets[test]),
        normalize=path.is_dir(),  # files of LIBSVM are distributed scaled
        name=name,
    )


def train(name: str, design: Design, folder: Path, runs: Path | None) -> Trainings:
    """Run all trainings on one data set, or restore them from `runs`."""
    data = load(name, design, folder)
    measured, truth = np.array(design.sizes), np.array(design.truth)
    reservoir = len(data.train.targets)
    if truth[-1] > reservoir:
        raise ValueError(f"{name}: {truth[-1]} examples are needed, but the reservoir has {reservoir}.")
    shape = design.plans, design.repeats, len(measured)
    size = np.concatenate([np.broadcast_to(measured, shape).ravel(), np.tile(truth, design.fresh)])
    error, train_error = _sweep(name, data, design, size, np.arange(len(size)), runs)
    count = int(np.prod(shape))
    pools = []
    for place in range(design.pools):
        pool = limit_training(data, int(measured[-1]), seed=1 + place)
        seed = _POOLS + place * design.repeats + np.repeat(np.arange(design.repeats), len(measured))
        part, _ = _sweep(f"{name}-pool", pool, design, np.tile(measured, design.repeats), seed, runs)
        pools.append(part.reshape(shape[1:]))
    fresh = error[count:].reshape(design.fresh, -1)
    at_end = train_error[count:].reshape(fresh.shape).mean(axis=0)
    return Trainings(error[:count].reshape(shape), np.stack(pools), fresh, at_end, reservoir)


def _sweep(
    name: str, data: lc.Data, design: Design, size: np.ndarray, seed: np.ndarray, folder: Path | None
) -> tuple[Float[np.ndarray, " w"], Float[np.ndarray, " w"]]:
    """Return the evaluation and training errors of every run, read from the archive if the sweep has finished."""
    recipe = lc.studies.mlp_recipe(data).with_budget(steps=design.steps, epochs=design.epochs)
    columns = {"size": size, "seed": seed, "learning_rate": np.full(len(size), recipe.learning_rate)}
    runs = Runs((recipe.program,), np.zeros(len(size), int), columns)
    stored = runs_folder(folder, name, KEY, runs, data)
    archive = None if stored is None else stored.with_name(stored.name + ".npz")
    if archive is not None and archive.exists():  # sorting the orders of all seeds again would take a minute
        with np.load(archive) as saved:
            return saved["error"], saved["train_error"]
    wide = Execution("vmap", min(len(size), _WIDEST)) if jax.default_backend() != "cpu" else None

    def report(progress: Progress) -> None:
        print(f"{progress.stage}: {progress.ended} of {progress.runs} runs", flush=True)

    result = run_stage(KEY, data, runs, name=name, folder=folder, execution=wide, on_progress=report)
    refuse_failures(result)
    error, train_error = np.asarray(result.wrong).mean(axis=1), np.asarray(result.train_error, float)[:, -1]
    if archive is not None:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(archive) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, error=error, train_error=train_error)
    return error, train_error
