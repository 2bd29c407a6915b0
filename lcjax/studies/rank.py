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
from jaxtyping import Bool, Float, Int, Key

from lcjax.curves.curve_fit import CurveFit
from lcjax.curves.fitting import fit_curve
from lcjax.curves.forms import power_law, power_law_offset
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates, lower_envelope
from lcjax.curves.ranking import ModelSizeLaw, Ranking, fit_model_size, rank_tasks
from lcjax.data.examples import Examples
from lcjax.data.shards import Shards, nested_shards
from lcjax.files import write_json
from lcjax.provenance import environment
from lcjax.records import record, to_dict
from lcjax.studies.stages import Report, runs_folder, stage_progress
from lcjax.studies.task import Task, best_guess, parameters_of
from lcjax.training.checks import check_shards
from lcjax.training.engine import sweep
from lcjax.training.evaluation import evaluate
from lcjax.training.runs import Runs, SweepResult

__all__ = ["Comparison", "Hierarchy", "TaskCurve", "TaskGrid", "compare_variants", "fit_task", "measure_task", "rank"]

BETTER_THAN_GUESSING = 0.95  # of the best guess: what a point that is fitted may be at most
DRAWS = 200
FEWEST = 3  # sizes in a fit


@record
class TaskGrid:
    """Everything that was trained for one task.

    Attributes:
        size: training examples, `(s,)`.
        units: the same in the task's unit, `(s,)`.
        parameters: of each member's net, `(h,)`.
        learning_rate: of each member, `(h,)`.
        validation: metric -> scores `(h, r, s)`; nan where a training failed.
        test: alike.
        guess: metric -> score of the best guess on the validation set.
        test_count: units of the test set.
    """

    size: Int[np.ndarray, " s"]
    units: Float[np.ndarray, " s"]
    parameters: Int[np.ndarray, " h"]
    learning_rate: Float[np.ndarray, " h"]
    validation: dict[str, Float[np.ndarray, "h r s"]]
    test: dict[str, Float[np.ndarray, "h r s"]]
    guess: dict[str, float]
    test_count: int


@record
class TaskCurve:
    """The learning curve of one task in one metric.

    Attributes:
        curve: test scores of the member chosen at each size by its validation score, in the task's unit, `(s,)`.
        fitted: which sizes are fitted: at least 5 % better than the best guess, and none of the plateau before, `(s,)`.
        guess: score of the best guess.
        fit: of `scale * size ** exponent` to the envelope, with bootstrap draws, or `None` with fewer than three sizes.
        best_parameters: parameters of the net chosen at each size, `(s,)`.
        model_size: the law of the best net's size over the fitted sizes, or `None`.
        fixed: for each net, `scale * size ** exponent + offset` fitted to its own curve, best rate at each size, a
            batch `(g,)`; `None` with fewer than four fitted sizes.
        fixed_parameters: parameters of those nets, `(g,)`.
        fixed_curve: their test scores, `(g, s)`.
        fixed_relative_error: root mean square of their fits' relative errors, `(g,)`.
    """

    curve: LearningCurve
    fitted: Bool[np.ndarray, " s"]
    guess: float
    fit: CurveFit | None
    best_parameters: Float[np.ndarray, " s"]
    model_size: ModelSizeLaw | None
    fixed: CurveFit | None
    fixed_parameters: Int[np.ndarray, " g"]
    fixed_curve: LearningCurve
    fixed_relative_error: Float[np.ndarray, " g"]

    @property
    def exponent(self) -> float:
        """Of the envelope; nan where nothing was fitted."""
        return float("nan") if self.fit is None else float(self.fit.parameters["exponent"])

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Of the exponent, from the bootstrap draws."""
        if self.fit is None:
            return float("nan"), float("nan")
        low, high = np.quantile(np.asarray(self.fit.parameter_draws["exponent"]), [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)


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
    form: str | None = None,
    on_progress: Report | None = None,
) -> Hierarchy:
    """Measure every task over shards, model sizes, learning rates and seeds, fit the lower envelopes, and rank them.

    Hestness et al. (2018), sections 3 and 4, and their Tables 2 and 3. The result is written after every task, so that
    pieces of a long ranking are there as they come; what was trained is kept and not trained again.

    Args:
        key: typed key of every random stream.
        tasks: what to rank, with different names.
        seeds: trainings of every member and size, each with its own initialization and shards.
        shards: `lcjax.nested_shards`, or `lcjax.independent_shards` for an order of each size's own, as in the paper.
        folder: where finished trainings and hierarchy.json are kept.
        form: execution form of every sweep.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        The hierarchy.

    Raises:
        ValueError: no task, two of one name, no seed, or `shards` is no function of a key and a size.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.studies.task import Task
        >>> from lcjax.training import Budget, adam, constant, with_replacement
        >>> def split(seed, n):
        ...     inputs = np.random.default_rng(seed).normal(size=(n, 6)).astype("float32")
        ...     return lc.Examples(inputs, (inputs.sum(axis=1) > 0).astype("int32"))
        >>> data = lc.Data(split(0, 256), split(1, 500), split(2, 500), classes=2)
        >>> program = lc.Program(
        ...     lc.MLP((), 2), lc.cross_entropy, adam, constant, 16, Budget(steps=150), with_replacement
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
            key, task, seeds=seeds, shards=shards, folder=where, form=form, on_progress=on_progress
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
            }
            write_json(where / "hierarchy.json", {**made, "hierarchy": hierarchy})
    assert hierarchy is not None
    return hierarchy


def measure_task(
    key: Key[jax.Array, ""],
    task: Task,
    *,
    seeds: int,
    shards: Shards = nested_shards,
    folder: Path | None = None,
    form: str | None = None,
    on_progress: Report | None = None,
) -> TaskGrid:
    """Train every net of a task with every rate and seed at every size."""
    h, s = len(task.programs) * len(task.rates), len(task.sizes)
    member, seed, place = (a.ravel() for a in np.meshgrid(range(h), range(seeds), range(s), indexing="ij"))
    program, rate = member // len(task.rates), np.asarray(task.rates)[member % len(task.rates)]
    table = {"size": np.asarray(task.sizes)[place], "seed": seed, "learning_rate": rate}
    runs = Runs(task.programs, program, table, shards)
    top5 = task.programs[0].scoring is None and task.data.classes > 5
    result = sweep(
        key,
        task.data,
        runs,
        keep=np.full(len(member), top5),
        folder=runs_folder(folder, task.name.replace(" ", "-"), key, runs, task.data),
        form=form,
        on_progress=None if on_progress is None else stage_progress(on_progress, task.name),
    )
    lost = np.asarray(result.status) != 0
    parameters = np.array([parameters_of(one, task.data) for one in task.programs])

    def grid(score: Any) -> np.ndarray:
        return np.where(lost, np.nan, np.asarray(score, float)).reshape(h, seeds, s)

    validation = {"loss": grid(result.validation_loss[:, -1]), "error": grid(result.validation_error[:, -1])}
    test = {"loss": grid(result.test_loss), "error": grid(result.test_error)}
    if top5:
        validation["top5"], test["top5"] = (grid(score) for score in _top5(result, task))
    return TaskGrid(
        size=np.asarray(task.sizes),
        units=task.units(result),
        parameters=np.repeat(parameters, len(task.rates)),
        learning_rate=np.tile(np.asarray(task.rates, float), len(task.programs)),
        validation=validation,
        test=test,
        guess={metric: best_guess(task.data, metric) for metric in validation},
        test_count=_units(task.data.test),
    )


def fit_task(key: Key[jax.Array, ""], grid: TaskGrid, metric: str, *, draws: int = DRAWS) -> TaskCurve:
    """The lower envelope of a task's grid in one metric, its power law, and those of its nets one by one.

    The member with the lowest mean validation score is chosen at each size, and its test score reported. The sizes
    that are fitted begin behind the last one whose score is within 5 % of the best guess.

    Args:
        key: of the bootstrap.
        grid: what was trained.
        metric: one of the grid's.
        draws: of the bootstrap.
    """
    validation, test, guess = grid.validation[metric], grid.test[metric], grid.guess[metric]
    envelope = lower_envelope(grid.units, validation, test)
    count = np.asarray(grid.test_count)
    curve, choice = dataclasses.replace(envelope.curve, test_count=count), np.asarray(envelope.choice)
    error = np.asarray(curve.error)
    plateau = np.flatnonzero(~(error <= BETTER_THAN_GUESSING * guess))
    fitted = np.arange(len(error)) > (plateau[-1] if plateau.size else -1)
    best = np.where(choice >= 0, grid.parameters[np.maximum(choice, 0)], np.nan).astype(float)
    fit, law = None, None
    if fitted.sum() >= FEWEST:
        fit = fit_curve(_only(curve, fitted), power_law, key=key, draws=draws)
        if len(set(grid.parameters.tolist())) > 1:
            law = fit_model_size(jnp.asarray(np.where(fitted, grid.units, np.nan)), jnp.asarray(best))
    nets = np.unique(grid.parameters)
    of_nets = [_best_rate(grid, metric, net) for net in nets.tolist()]
    fixed_curve = curve_from_replicates(
        np.broadcast_to(grid.units, (len(nets), len(error))),
        np.stack(of_nets),
        test_count=np.broadcast_to(count, len(nets)),
    )
    fixed, off = None, np.full(len(nets), np.nan)
    if fitted.sum() > FEWEST:
        fixed = fit_curve(_only(fixed_curve, fitted), power_law_offset)
        predicted = np.asarray(fixed.predict(jnp.asarray(grid.units)))
        measured = np.asarray(fixed_curve.error)
        counts = fitted & (measured > 0)
        relative = np.where(counts, predicted / np.where(counts, measured, 1) - 1, 0)
        off = np.sqrt(np.sum(relative**2, axis=1) / np.maximum(counts.sum(axis=1), 1))
    return TaskCurve(curve, fitted, guess, fit, best, law, fixed, nets, fixed_curve, off)


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


def _units(examples: Examples | None) -> int:
    targets = np.asarray(examples.targets) if examples is not None else np.zeros(0)
    return len(targets) if targets.ndim == 1 else int(np.sum(targets >= 0))


def _top5(result: SweepResult, task: Task) -> tuple[np.ndarray, np.ndarray]:
    assert task.data.test is not None
    validation = evaluate(result, task.data, task.data.validation, top=5).mean(axis=1)
    return validation, evaluate(result, task.data, task.data.test, top=5).mean(axis=1)


def _best_rate(grid: TaskGrid, metric: str, net: int) -> np.ndarray:
    """Test scores of one net, at each size with the rate that validates best, `(r, s)`."""
    rows = np.flatnonzero(grid.parameters == net)
    envelope = lower_envelope(grid.units, grid.validation[metric][rows], grid.test[metric][rows])
    assert envelope.curve.replicates is not None
    return np.asarray(envelope.curve.replicates)


def _only(curve: LearningCurve, fitted: np.ndarray) -> LearningCurve:
    """The curve with the sizes that are not fitted absent."""
    replicates = None if curve.replicates is None else np.where(fitted, np.asarray(curve.replicates), np.nan)
    error = None if curve.standard_error is None else np.where(fitted, np.asarray(curve.standard_error), np.nan)
    return dataclasses.replace(
        curve, error=np.where(fitted, np.asarray(curve.error), np.nan), standard_error=error, replicates=replicates
    )


def _told(task: Task) -> dict[str, Any]:
    fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task) if f.name != "data"}
    return {**to_dict(fields), "data": task.data.name, "fingerprint": task.data.fingerprint()}
