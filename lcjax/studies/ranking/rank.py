"""The hierarchy of tasks: learning curves of many tasks measured alike, and ranked by their exponents."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Key

from lcjax.curves.ranking import Ranking, rank_tasks
from lcjax.data.shards import Shards, nested_shards
from lcjax.files import write_json
from lcjax.provenance import environment
from lcjax.records import record, to_dict
from lcjax.studies.prediction.stages import Report
from lcjax.studies.ranking.task import Task
from lcjax.studies.ranking.task_curve import FEWEST, TaskCurve, TaskGrid, fit_task, measure_task
from lcjax.training.execution.execution import Execution
from lcjax.training.validation import check_shards

__all__ = ["Comparison", "Hierarchy", "compare_variants", "rank"]


@record
class Comparison:
    """Two variants of one domain: are their exponents, and their errors at the largest size both have, the same?

    Attributes:
        domain: of both.
        first: name of one variant.
        second: name of the other.
        difference: of their exponents, first less second.
        low: lower limit of the difference at 90 %.
        high: upper limit.
        error_ratio: of their fitted curves where the first one's sizes end, first to second.
        ratio_low: lower limit of the ratio at 90 %.
        ratio_high: upper limit.
    """

    domain: str = jax.tree.static()
    first: str = jax.tree.static()
    second: str = jax.tree.static()
    difference: float
    low: float
    high: float
    error_ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def stable(self) -> bool:
        """Whether the exponents cannot be told apart."""
        return bool(self.low <= 0 <= self.high)


@record
class Hierarchy:
    """Tasks, their curves, and their ranks.

    Attributes:
        grids: by task.
        curves: by task and metric.
        ranking: of the tasks whose ranked metric could be fitted, or `None` for none.
        comparisons: of variants within a domain.
        correlation: of the exponents of error and of model size over tasks, Pearson's; nan for fewer than three.
        rank_correlation: Spearman's.
    """

    grids: dict[str, TaskGrid]
    curves: dict[str, dict[str, TaskCurve]]
    ranking: Ranking | None
    comparisons: tuple[Comparison, ...]
    correlation: float
    rank_correlation: float


def rank(
    key: Key[jax.Array, ""],
    tasks: Sequence[Task],
    *,
    seeds: int = 3,
    shards: Shards = nested_shards,
    folder: str | Path | None = None,
    execution: Execution | None = None,
    on_progress: Report | None = None,
) -> Hierarchy:
    """Measure every task over shards, model sizes, learning rates and seeds, fit the lower envelopes, and rank them.

    Hestness et al. (2018), sections 3 and 4, and their Tables 2 and 3. The result is written after every task, so that
    pieces of a long ranking are there as they come; what was trained is kept and not trained again.

    Args:
        key: typed key of every random stream.
        tasks: what to rank, with different names.
        seeds: trainings of every member and size, each with its own initialization and shards.
        shards: `lcjax.data.nested_shards`, or `lcjax.data.independent_shards` for an independent order a size, as
            in the paper.
        folder: where finished trainings and hierarchy.json are kept.
        execution: execution of every sweep; chosen for each by default.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        The hierarchy.

    Raises:
        ValueError: no task, two of one name, no seed, or `shards` is no function of a key and a size.

    Examples:
        >>> import jax, optax, numpy as np, lcjax as lc
        >>> from lcjax.studies.ranking.task import Task
        >>> from lcjax.training import Budget, constant, with_replacement
        >>> def split(seed, n):
        ...     inputs = np.random.default_rng(seed).normal(size=(n, 6)).astype("float32")
        ...     return lc.Examples(inputs, (inputs.sum(axis=1) > 0).astype("int32"))
        >>> data = lc.Data(split(0, 256), split(1, 500), split(2, 500), classes=2)
        >>> program = lc.Program(
        ...     lc.models.MLP((), 2), lc.cross_entropy, optax.adam, constant, 16, Budget(steps=150), with_replacement
        ... )
        >>> task = Task("signs", "toy", data, (program,), (0.03,), (16, 32, 64, 128, 256))
        >>> hierarchy = rank(jax.random.key(0), [task], seeds=2)
        >>> bool(hierarchy.curves["signs"]["error"].exponent < -0.2)
        True
    """
    started = time.monotonic()
    names = [task.name for task in tasks]
    if not tasks or len(set(names)) < len(names):
        raise ValueError(f"A ranking needs tasks with different names, got {', '.join(names) or 'none'}.")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    check_shards(shards)
    where = None if folder is None else Path(folder)
    grids: dict[str, TaskGrid] = {}
    curves: dict[str, dict[str, TaskCurve]] = {}
    hierarchy: Hierarchy | None = None
    for number, task in enumerate(tasks):
        grids[task.name] = measure_task(
            key, task, seeds=seeds, shards=shards, folder=where, execution=execution, on_progress=on_progress
        )
        stream = jax.random.fold_in(key, number + 1)
        metrics = grids[task.name].validation
        curves[task.name] = {metric: fit_task(stream, grids[task.name], metric) for metric in metrics}
        hierarchy = _hierarchy(tasks[: number + 1], grids, curves)
        if where is not None:
            made = {
                "tasks": [_told(one) for one in tasks[: number + 1]],
                "seeds": seeds,
                "shards": shards,
                "key": np.asarray(jax.random.key_data(key)),
                "environment": environment(),
                "seconds": time.monotonic() - started,
                "laws": {name: _laws(by_metric) for name, by_metric in curves.items()},
            }
            write_json(where / "hierarchy.json", {**made, "hierarchy": hierarchy})
    assert hierarchy is not None
    return hierarchy


def compare_variants(tasks: Sequence[Task], curves: Mapping[str, Mapping[str, TaskCurve]]) -> tuple[Comparison, ...]:
    """Every pair of tasks of one domain and metric: do exponent and error depend on the variant?

    Hestness et al. (2018) find that architecture, depth, optimizer and dropout move the offset and leave the exponent.
    """
    found = []
    for i, one in enumerate(tasks):
        for other in tasks[i + 1 :]:
            if (one.domain, one.metric) != (other.domain, other.metric):
                continue
            a, b = curves[one.name][one.metric], curves[other.name][other.metric]
            if a.fit is None or b.fit is None:
                continue
            difference = np.asarray(a.fit.parameter_draws["exponent"]) - np.asarray(b.fit.parameter_draws["exponent"])
            at = jnp.asarray([float(np.asarray(a.curve.size)[-1])])
            ratios = np.asarray(a.fit.predict_draws(at) / b.fit.predict_draws(at))[:, 0]
            low, high = np.quantile(difference, [0.05, 0.95])
            ratio_low, ratio_high = np.quantile(ratios, [0.05, 0.95])
            ratio = float(a.fit.predict(at)[0] / b.fit.predict(at)[0])
            found.append(
                Comparison(
                    one.domain,
                    one.name,
                    other.name,
                    a.exponent - b.exponent,
                    float(low),
                    float(high),
                    ratio,
                    float(ratio_low),
                    float(ratio_high),
                )
            )
    return tuple(found)


def _hierarchy(tasks: Sequence[Task], grids: dict[str, TaskGrid], curves: dict[str, dict[str, TaskCurve]]) -> Hierarchy:
    ranked = {task.name: curves[task.name][task.metric] for task in tasks}
    fits = {name: curve.fit for name, curve in ranked.items() if curve.fit is not None}
    laws = [(c.exponent, float(c.model_size.exponent)) for c in ranked.values() if c.model_size is not None]
    pairs = np.array([pair for pair in laws if np.isfinite(pair).all()]).reshape(-1, 2)
    correlation = rank_correlation = float("nan")
    if len(pairs) >= FEWEST and np.ptp(pairs, axis=0).min() > 0:
        correlation = float(scipy.stats.pearsonr(*pairs.T).statistic)
        rank_correlation = float(scipy.stats.spearmanr(*pairs.T).statistic)
    return Hierarchy(
        dict(grids),
        {name: dict(by_metric) for name, by_metric in curves.items()},
        rank_tasks(fits) if fits else None,
        compare_variants(tasks, curves),
        correlation,
        rank_correlation,
    )


def _laws(by_metric: Mapping[str, TaskCurve]) -> dict[str, Any]:
    return {
        metric: {"envelope": curve.law(), "model_size": curve.model_size, "nets": curve.laws_of_nets()}
        for metric, curve in by_metric.items()
    }


def _told(task: Task) -> dict[str, Any]:
    fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task) if f.name != "data"}
    return {**to_dict(fields), "data": task.data.name, "fingerprint": task.data.fingerprint()}
