"""Recorded sweeps, replayed in the order of their runs, for the comparison `benchmarks.runs_in_flight`."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["CURVES", "CUTS", "Replay", "Rule", "read_replays", "replay_rule"]

CURVES, CUTS = ("error", "loss"), (8, 4, 2)
Rule = Callable[[int, int, Bool[np.ndarray, " r"]], bool]


@dataclasses.dataclass(frozen=True)
class Replay:
    """Curves of one kind, all cut at the same share of their steps, in the order of their sweeps.

    Attributes:
        kind: "error" or "loss".
        divisor: the cut is after the number of records divided by this.
        value: complete curves, `(r, s)`.
        steps: steps of each run, `(r,)`.
        run: name of the run, the unit of the bootstrap, `(r,)`.
        earlier: `earlier[i, j]` is True if run j is an earlier run of the sweep of run i, `(r, r)`.
    """

    kind: str
    divisor: int
    value: Float[np.ndarray, "r s"]
    steps: Float[np.ndarray, " r"]
    run: np.ndarray
    earlier: Bool[np.ndarray, "r r"]

    @property
    def count(self) -> int:
        """Return the number of records up to the cut."""
        return self.value.shape[1] // self.divisor

    @property
    def step(self) -> Float[np.ndarray, "r s"]:
        """Return the steps of all records."""
        records = self.value.shape[1]
        return self.steps[:, None] * np.arange(1, records + 1) / records

    @property
    def cut_value(self) -> Float[np.ndarray, "r s"]:
        """Return the curves with nan after the cut."""
        return np.where(np.arange(self.value.shape[1]) < self.count, self.value, np.nan)

    @property
    def cut_last(self) -> Float[np.ndarray, " r"]:
        """Return the last records before the cut."""
        return self.value[:, self.count - 1]

    def reorder(self, position: Int[np.ndarray, " r"]) -> "Replay":
        """Return the same runs, with each sweep replayed in ascending order of `position`."""
        sweep = self.earlier | self.earlier.T
        return dataclasses.replace(self, earlier=sweep & (position[:, None] > position))

    @property
    def final(self) -> Float[np.ndarray, " r"]:
        """Return the last records."""
        return self.value[:, -1]

    @property
    def best(self) -> Float[np.ndarray, " r"]:
        """Return the lowest last record of the earlier runs; nan for the first run of a sweep."""
        least = np.min(np.where(self.earlier, self.final, np.inf), axis=1)
        return np.where(np.isfinite(least), least, np.nan)

    def finished(self, rows: Bool[np.ndarray, " r"]) -> Float[np.ndarray, "n s"]:
        """Return the complete curves of some runs of a sweep, padded with rows of nan to the size of the largest.

        Runs of one sweep have the same steps.
        """
        curves = np.full((int(self.earlier.sum(axis=1).max()) + 1, self.value.shape[1]), np.nan)
        curves[: rows.sum()] = self.value[rows]
        return curves


def read_replays(path: Path, half: str) -> list[Replay]:
    """Read the runs of one half, and return a replay for each kind of curve and each cut.

    Raises:
        ValueError: there is no run of that half.
    """
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["half"] == half]
    if not rows:
        raise ValueError(f"{path} has no run of the half {half!r}.")
    sweep = np.array([f"{row['task']} {row['size']}" for row in rows])
    run = np.array([f"{name} {row['seed']}" for name, row in zip(sweep, rows, strict=True)])
    earlier = (sweep[:, None] == sweep) & np.tri(len(rows), k=-1, dtype=bool)
    steps = np.array([float(row["steps"]) for row in rows])
    replays = []
    for kind in CURVES:
        names = sorted(name for name in rows[0] if name.startswith(f"{kind}_"))
        value = np.array([[float(row[name]) for name in names] for row in rows])
        replays += [Replay(kind, divisor, value, steps, run, earlier) for divisor in CUTS]
    return replays


def replay_rule(replays: Sequence[Replay], stop: Rule) -> dict[str, float]:
    """Replay all sweeps with a stopping rule, evaluated at each cut; the first run of a sweep always finishes.

    Args:
        replays: one replay for each cut of one kind of curve.
        stop: function of the index of the cut, the index of a run, and a mask of the finished runs of its sweep; it
            returns True to stop the run.

    Returns:
        "saved", the share of the steps that is saved; "regret", the mean over sweeps of
        `log(best / best without stopping)`; "missed", the share of the sweeps whose best run was stopped.
    """
    first, runs = replays[0], len(replays[0].final)
    used, done = np.ones(runs), np.zeros(runs, bool)
    for run in np.argsort(first.earlier.sum(axis=1), kind="stable"):
        finished = done & first.earlier[run]
        stops = (replay.divisor for cut, replay in enumerate(replays) if finished.any() and stop(cut, run, finished))
        divisor = next(stops, 1)
        used[run], done[run] = 1 / divisor, divisor == 1
    regrets = []
    for leader in np.flatnonzero(~first.earlier.any(axis=1)):
        sweep = first.earlier[:, leader] | (np.arange(runs) == leader)
        regrets.append(float(np.log(first.final[sweep & done].min() / first.final[sweep].min())))
    saved = 1 - float(np.sum(used * first.steps) / np.sum(first.steps))
    return {"saved": saved, "regret": float(np.mean(regrets)), "missed": float(np.mean(np.array(regrets) > 0))}
