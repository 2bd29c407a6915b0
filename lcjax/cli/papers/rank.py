"""`lcjax rank`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcjax.cli import options
from lcjax.cli.command import Job, command

if TYPE_CHECKING:
    from lcjax.studies.ranking.task import RankedTask

__all__ = ["rank"]

TASK = "NAME or NAME=PATH, for instance words=ptb or images=digits; repeatable. docs/rank.md lists the names."
ScaleName = StrEnum("ScaleName", ["smoke", "reported"])


@command("Papers", "hierarchy.json", resumable=True)
def rank(
    job: Job,
    folder: Annotated[
        Path | None, options.data("Folder that holds mnist, tinyshakespeare, ptb, multi30k and fsdd.")
    ] = None,
    task: Annotated[list[str] | None, options.data(TASK, show_default="the six main tasks of the folder")] = None,
    variants: Annotated[bool, options.data("Also rank the variants of each model.", "--variants")] = False,
    shards: options.ShardsOption = options.ShardsName.nested,
    scale: Annotated[
        ScaleName, options.training("Size of the study: shards, models, vocabularies and budgets.")
    ] = ScaleName.smoke,
    seeds: options.SeedsOption = 3,
) -> None:
    """Rank tasks by the exponents of their learning curves (Hestness et al., 2019).

    Trains models of several sizes on shards of images, characters, words, translation and speech, takes the lower
    envelope over models and learning rates, fits power laws, and reports which exponents differ significantly. Writes
    hierarchy.json after every task, and the figures.
    """
    from lcjax.cli.papers.rank_report import draw_hierarchy, print_hierarchy
    from lcjax.studies.ranking import rank as study
    from lcjax.studies.ranking.tasks import MAIN, TASKS

    tasks = _load_tasks(task or (list(TASKS) if variants else list(MAIN)), folder, scale, job.seed)
    results = job.open_folder(f"rank-{scale.value}")
    with job.show_progress() as report:
        hierarchy = study.rank(
            job.key, tasks, seeds=seeds, shards=options.shards_function(shards), folder=results, on_progress=report
        )
    files = draw_hierarchy(hierarchy, tasks, results)
    job.finish(
        results / "hierarchy.json", files, lambda console: print_hierarchy(console, hierarchy, tasks, scale.value)
    )


def _load_tasks(names: Sequence[str], folder: Path | None, scale: ScaleName, seed: int) -> "list[RankedTask]":
    from lcjax.studies.ranking import tasks as study
    from lcjax.studies.ranking.scales import REPORTED, SMOKE

    extent = {ScaleName.smoke: SMOKE, ScaleName.reported: REPORTED}[scale]
    if folder is None and any("=" not in name for name in names):
        raise ValueError("Give --folder with the data of all tasks, or --task NAME=PATH for some.")
    tasks = []
    for text in names:
        name, _, path = text.partition("=")
        if name not in study.TASKS:
            raise ValueError(f"There is no task {name!r}; the tasks are {', '.join(study.TASKS)}.")
        tasks.append(study.hestness_task(name, path or study.find_data(folder or "", name), extent, seed=seed))
    return tasks
