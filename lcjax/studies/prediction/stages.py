"""What the stages of every study share: where a sweep is stored, how it reports, what it may not leave behind."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Key

from lcjax.data.examples import Data
from lcjax.records import canonical_hash
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs
from lcjax.typing import OnProgress, Progress

__all__ = ["Report", "refuse_failures", "runs_folder", "stage_progress"]

Report = Callable[[str, int | float, int | float], None]  # a stage's name, what is done and what there is in all


def runs_folder(folder: Path | None, stage: str, key: Key[jax.Array, ""], runs: Runs, data: Data) -> Path | None:
    """Folder of a sweep's finished runs, named by key, configuration and data, so that no other one is met there."""
    if folder is None:
        return None
    identity = canonical_hash(
        [jax.random.key_data(key), runs.programs, dict(runs.columns), runs.shards, data.fingerprint()]
    )
    return folder / "runs" / f"{stage}-{identity[:12]}"


def stage_progress(report: Report, stage: str) -> OnProgress:
    """A sweep's progress as that of one stage of a study; the stage's name says what was found in the folder."""

    def told(progress: Progress) -> None:
        found = f" ({progress.restored} of {progress.runs} found)" if progress.restored else ""
        report(stage + found, progress.done, progress.total)

    return told


def refuse_failures(result: SweepResult) -> None:
    """Stop where a training diverged.

    Raises:
        ValueError: a run failed; the message names its seed, size and step.
    """
    failed = np.flatnonzero(result.status)
    if failed.size:
        columns, row = result.runs.columns, failed[0]
        raise ValueError(
            f"{failed.size} of {len(result.status)} trainings diverged, the first with seed {columns['seed'][row]} and "
            f"{columns['size'][row]} examples after {result.steps[row]} steps. A smaller learning rate than "
            f"{columns['learning_rate'][row]:g} may help."
        )
