"""Ranking of tasks by the exponents of their learning curves, and comparison of variants of one task."""

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from lcjax.curves.ranking import Ranking, rank_by_exponent
from lcjax.data.shards import Shards, nested_shards
from lcjax.records import record
from lcjax.studies.ranking.task import RankedTask
from lcjax.studies.ranking.task_curve import FEWEST, TaskCurve, TaskScores, fit_task, measure_task
from lcjax.studies.report import identify_data, write_report
from lcjax.training import Execution
from lcjax.training.validation import check_shards
from lcjax.typing import KeyArray, OnProgress, PathLike, check_key

__all__ = ["Comparison", "Hierarchy", "compare_variants", "rank"]


@record
class Comparison:
    """Two variants of one domain, compared by their exponents and by their errors at one size.

    Attributes:
        domain: domain of both.
        first: name of one variant.
        second: name of the other.
        difference: difference of their exponents, first minus second.
        low: lower limit of the difference at 90 %.
        high: upper limit.
        error_ratio: ratio of their fitted errors at the first variant's largest size, first to second.
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
        """True if the exponents are indistinguishable."""
        return bool(self.low <= 0 <= self.high)


@record
class Hierarchy:
    """Tasks, their learning curves and their ranks.

    Attributes:
        scores: scores of all runs, by task.
        curves: learning curves, by task and metric.
        ranking: ranking of the tasks whose metric could be fitted, or `None` if there is none.
        comparisons: comparisons of variants within a domain.
        correlation: Pearson's over tasks, of the exponents of error and of model size; nan for fewer than three tasks.
        rank_correlation: Spearman's.
    """

    scores: dict[str, TaskScores]
    curves: dict[str, dict[str, TaskCurve]]
    ranking: Ranking | None
    comparisons: tuple[Comparison, ...]
    correlation: float
    rank_correlation: float


def rank(
    key: KeyArray,
    tasks: Sequence[RankedTask],
    *,
    seeds: int = 3,
    shards: Shards = nested_shards,
    folder: PathLike | None = None,
    execution: Execution | None = None,
    on_progress: OnProgress | None = None,
) -> Hierarchy:
    """Rank tasks by the exponents of power laws fitted to their lower envelopes.

    Hestness et al. (2019), sections 3 and 4, Tables 2 and 3. Every task is trained over shards, model sizes, learning
    rates and seeds. The result is written after every task, and an interrupted ranking resumes from its finished runs.

    Args:
        key: typed key of every random stream.
        tasks: tasks with different names.
        seeds: runs per member and size, each with its own initialization and shards.
        shards: `lcjax.data.nested_shards`, or `independent_shards` for an independent order per size, as in the paper.
        folder: folder of finished runs and of `hierarchy.json`; nothing is written if `None`.
        execution: execution of every sweep; chosen for each by default.
        on_progress: progress callback.

    Returns:
        `Hierarchy`: scores and curves of each task by its name, the ranking, and comparisons within each domain.

    Raises:
        ValueError: there is no task or no seed, two tasks have one name, or `shards` is not a function of a key and a
            size.

    Examples:
        >>> import jax, optax, numpy as np, lcjax as lc
        >>> from lcjax.studies.ranking.task import RankedTask
        >>> from lcjax.training import Budget, constant, with_replacement
        >>> def split(seed, n):
        ...     inputs = np.random.default_rng(seed).normal(size=(n, 6)).astype("float32")
        ...     return lc.Examples(inputs, (inputs.sum(axis=1) > 0).astype("int32"))
        >>> data = lc.Data(split(0, 256), split(1, 500), split(2, 500), classes=2)
        >>> program = lc.Program(
        ...     lc.models.MLP((), 2), lc.cross_entropy, optax.adam, constant, 16, Budget(steps=150), with_replacement
        ... )
        >>> task = RankedTask("signs", "toy", data, (program,), (0.03,), (16, 32, 64, 128, 256))
        >>> hierarchy = rank(jax.random.key(0), [task], seeds=2)
        >>> bool(hierarchy.curves["signs"]["error"].exponent < -0.2)
        True
    """
    check_key(key)
    started = time.monotonic()
    names = [task.name for task in tasks]
    if not tasks or len(set(names)) < len(names):
        raise ValueError(f"A ranking needs tasks with different names, got {', '.join(names) or 'none'}.")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    check_shards(shards)
    scores: dict[str, TaskScores] = {}
    curves: dict[str, dict[str, TaskCurve]] = {}
    for i, task in enumerate(tasks):
        one = measure_task(
            key, task, seeds=seeds, shards=shards, folder=folder, execution=execution, on_progress=on_progress
        )
        stream = jax.random.fold_in(key, i + 1)
        scores[task.name] = one
        curves[task.name] = {metric: fit_task(stream, one, metric) for metric in one.validation}
        hierarchy = _hierarchy(tasks[: i + 1], scores, curves)
        if folder is not None:
            ranked, key_data = [_settings(one) for one in tasks[: i + 1]], np.asarray(jax.random.key_data(key))
            settings = {"tasks": ranked, "seeds": seeds, "shards": shards, "key": key_data}
            laws = {name: _laws(by_metric) for name, by_metric in curves.items()}
            results = {"seconds": time.monotonic() - started, "laws": laws, "hierarchy": hierarchy}
            write_report(Path(folder, "hierarchy.json"), settings, results)
    return hierarchy


def compare_variants(
    tasks: Sequence[RankedTask], curves: Mapping[str, Mapping[str, TaskCurve]]
) -> tuple[Comparison, ...]:
    """Compare exponents and errors of every pair of tasks with one domain and metric.

    Hestness et al. (2019) find that architecture, depth, optimizer and dropout change the error but not the exponent.
    """
    comparisons = []
    for first, second in itertools.combinations(tasks, 2):
        a, b = (curves[task.name][task.metric] for task in (first, second))
        if (first.domain, first.metric) != (second.domain, second.metric) or a.fit is None or b.fit is None:
            continue
        draws_a, draws_b = (np.asarray(fit.parameter_draws["exponent"]) for fit in (a.fit, b.fit))
        at = jnp.asarray([float(np.asarray(a.curve.size)[-1])])
        ratios = np.asarray(a.fit.predict_draws(at) / b.fit.predict_draws(at))[:, 0]
        difference = a.exponent - b.exponent, *np.quantile(draws_a - draws_b, [0.05, 0.95]).tolist()
        ratio = float(a.fit.predict(at)[0] / b.fit.predict(at)[0]), *np.quantile(ratios, [0.05, 0.95]).tolist()
        comparisons.append(Comparison(first.domain, first.name, second.name, *difference, *ratio))
    return tuple(comparisons)


def _hierarchy(
    tasks: Sequence[RankedTask], scores: dict[str, TaskScores], curves: dict[str, dict[str, TaskCurve]]
) -> Hierarchy:
    by_task = {task.name: curves[task.name][task.metric] for task in tasks}
    fits = {name: curve.fit for name, curve in by_task.items() if curve.fit is not None}
    laws = [(c.exponent, float(c.model_size.exponent)) for c in by_task.values() if c.model_size is not None]
    pairs = np.array([pair for pair in laws if np.isfinite(pair).all()]).reshape(-1, 2)
    correlation = rank_correlation = float("nan")
    if len(pairs) >= FEWEST and np.ptp(pairs, axis=0).min() > 0:
        correlation = float(scipy.stats.pearsonr(*pairs.T).statistic)
        rank_correlation = float(scipy.stats.spearmanr(*pairs.T).statistic)
    ranking, comparisons = rank_by_exponent(fits) if fits else None, compare_variants(tasks, curves)
    by_metric = {name: dict(one) for name, one in curves.items()}
    return Hierarchy(dict(scores), by_metric, ranking, comparisons, correlation, rank_correlation)


def _laws(by_metric: Mapping[str, TaskCurve]) -> dict[str, object]:
    return {
        metric: {"envelope": curve.law(), "model_size": curve.model_size, "nets": curve.fixed_laws()}
        for metric, curve in by_metric.items()
    }


def _settings(task: RankedTask) -> dict[str, object]:
    fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task) if f.name != "data"}
    return {**fields, **identify_data(task.data)}
