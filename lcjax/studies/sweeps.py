"""Sweeps as stages of a study: their folder, the label of their progress, and diverged runs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from lcjax.data.examples import Data
from lcjax.provenance import number_settings
from lcjax.records import canonical_hash
from lcjax.studies.dry_runs.plan import Plan, Planned, is_dry
from lcjax.studies.dry_runs.sweeps import SweepEstimate, estimate_sweep
from lcjax.training import Execution, Runs, SweepResult
from lcjax.training.sweep import compile_sweep, sweep
from lcjax.typing import KeyArray, OnProgress, PathLike, Progress, Variables

__all__ = ["compile_stage", "ignore_progress", "prefix_stage", "refuse_failures", "relabel", "run_stage", "runs_folder"]


def run_stage(
    key: KeyArray,
    data: Data,
    runs: Runs,
    *,
    name: str,
    label: str | None = None,
    folder: PathLike | None = None,
    keep: bool = False,
    initial: Sequence[Variables | None] | None = None,
    execution: Execution | None = None,
    on_progress: OnProgress | None = None,
) -> SweepResult:
    """Run a sweep as one stage of a study.

    Args:
        key: typed key of the sweep.
        data: the task.
        runs: the table of runs.
        name: prefix of the folder of finished runs.
        label: stage shown by the progress callback; `name` by default.
        folder: the study's folder; nothing is stored if `None`.
        keep: True to return the variables of every run.
        initial: variables that runs start from.
        execution: execution of the sweep; chosen by default.
        on_progress: progress callback of the study.

    Raises:
        Planned: inside `lcjax.studies.dry_runs.plan.plan_only`, in place of a training.
    """
    stored, kept = runs_folder(folder, name, key, runs, data), np.full(len(runs.program), keep)
    if is_dry():
        raise Planned(_plan(estimate_sweep(key, data, runs, initial=initial, keep=kept, folder=stored), name))
    return sweep(
        key,
        data,
        runs,
        initial=initial,
        keep=kept,
        folder=stored,
        execution=execution,
        on_progress=relabel(on_progress, label or name),
    )


def _plan(estimate: SweepEstimate, name: str) -> Plan:
    """Return the plan of a dry run."""
    basis = "the steps of each model timed on this machine, without compilation, scoring and early stopping"
    if estimate.seconds is None:
        basis = "steps are timed for data in memory, on one device, only"
    sizes = ", ".join(f"{count:,}" for count in dict.fromkeys(estimate.parameters))
    details = {"parameters of each model": sizes, "execution": ", ".join(map(str, dict.fromkeys(estimate.executions)))}
    return Plan(
        name, estimate.runs, estimate.finished, estimate.steps, estimate.seconds, basis, estimate.memory,
        estimate.disk, details, is_first=name != "measure",
    )  # fmt: skip


def compile_stage(
    key: KeyArray,
    data: Data,
    runs: Runs,
    *,
    name: str,
    folder: PathLike | None = None,
    initial: Variables | None = None,
) -> None:
    """Compile the programs of a stage that `run_stage` will train later, unless its folder has runs already.

    Arguments are those of `run_stage`; `initial` are the variables, or their shapes, from which every run starts.
    Nothing is compiled for a dry run.
    """
    if is_dry():
        return
    stored = runs_folder(folder, name, key, runs, data)
    if stored is None or not stored.exists():
        compile_sweep(key, data, runs, initial=initial)


def runs_folder(folder: PathLike | None, name: str, key: KeyArray, runs: Runs, data: Data) -> Path | None:
    """Return the folder of a sweep's runs, unique to its key, table, data and precision; None without a folder."""
    if folder is None:
        return None
    table = [runs.programs, dict(runs.columns), runs.shards]
    identity = canonical_hash([jax.random.key_data(key), *table, data.fingerprint(), number_settings()])
    return Path(folder) / "runs" / f"{name}-{identity[:12]}"


def ignore_progress(progress: Progress) -> None:
    """Ignore a progress report."""


def relabel(on_progress: OnProgress | None, label: str) -> OnProgress | None:
    """Return a callback that reports under the stage `label` with the number of restored runs; None stays None."""
    if on_progress is None:
        return None

    def report(progress: Progress) -> None:
        restored = f" ({progress.restored} of {progress.runs} restored)" if progress.restored else ""
        on_progress(dataclasses.replace(progress, stage=label + restored))

    return report


def prefix_stage(on_progress: OnProgress | None, prefix: str) -> OnProgress | None:
    """Return a callback that reports stages as "PREFIX: STAGE"; None stays None.

    Examples:
        >>> report = prefix_stage(lambda progress: print(progress.stage), "mlp")
        >>> report(Progress("train", 1, 10))
        mlp: train
    """
    if on_progress is None:
        return None
    return lambda progress: on_progress(dataclasses.replace(progress, stage=f"{prefix}: {progress.stage}"))


def refuse_failures(result: SweepResult) -> None:
    """Raise an error if a run diverged.

    Raises:
        ValueError: a run failed; the message names its seed, size and step.
    """
    failed = np.flatnonzero(result.status)
    if failed.size:
        columns, row = result.runs.columns, failed[0]
        raise ValueError(
            f"{failed.size} of {len(result.status)} trainings diverged, the first with seed {columns['seed'][row]} and "
            f"{columns['size'][row]} examples after {result.steps[row]} steps. Try a learning rate below "
            f"{columns['learning_rate'][row]:g}."
        )
