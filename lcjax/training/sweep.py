"""The one training loop: a table of runs, trained side by side."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Key

from lcjax.data.examples import Data
from lcjax.records import canonical_hash
from lcjax.training.evaluation import evaluate, features
from lcjax.training.execution import streamed as streaming
from lcjax.training.execution.autotune import Sample, fastest_execution
from lcjax.training.execution.execution import Execution
from lcjax.training.execution.heuristics import choose_execution
from lcjax.training.execution.multihost import exchange, open_store
from lcjax.training.execution.scheduler import Job, train
from lcjax.training.execution.sharded import Placement, deal, devices_of_job, local_devices
from lcjax.training.permutations import order_keys, orders_of
from lcjax.training.program import steps_of
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs, columns_of
from lcjax.training.storage.run_state import Outcome, result_of
from lcjax.training.storage.store import Store, identity
from lcjax.training.validation import check_table, check_variables, shapes_of
from lcjax.typing import OnProgress, PathLike, Progress

__all__ = ["evaluate", "features", "sweep"]


def sweep(
    key: Key[jax.Array, ""],
    data: Data,
    runs: Runs,
    *,
    initial: Any = None,
    mask: Any = None,
    keep: Bool[np.ndarray, " w"] | None = None,
    folder: PathLike | None = None,
    execution: Execution | None = None,
    on_progress: OnProgress | None = None,
) -> SweepResult:
    """Train every run of a table and score it.

    A run with seed s and size N trains on the first N examples of the seed's own order: balanced (`stratified_order`)
    for classes, uniform for regression and sequences, and consecutive windows from a place of the seed's own on. Order,
    initialization and minibatches come from `fold_in(fold_in(key, s), STREAM)`: runs that differ in other columns only
    share them, and shards of one seed nest, or each size has an order of its own (`runs.shards`). A run's numbers do
    not depend on the rest of the table: bit for bit where execution form and chunk width are the same, and to rounding
    where not.

    Args:
        key: typed key of the whole sweep.
        data: training, validation and (or `None`) test split.
        runs: what to train.
        initial: variables to start from, one pytree (or `None`) a run, or one pytree with a leading axis of runs; what
            the model has and these lack is initialized, on the shard.
        mask: multiplies the parameters before the first step and after each, given like `initial`; pruning masks.
        keep: whose variables are returned, `(w,)`; none by default.
        folder: where finished runs are stored; a sweep that was interrupted goes on from there.
        execution: how runs are executed concurrently, `Execution("vmap", 8)` for instance trains eight runs in one
            vectorized step. By default that of the folder, or a choice by the model, for programs of minutes and more
            by a short measurement (`lcjax.training.execution.autotune`).
        on_progress: called between chunks, with stage "train" and optimizer steps as the unit.

    Returns:
        One row a run, in the table's order.

    Raises:
        ValueError: a column is missing or has the wrong length, a size is not in [1, n], a budget has no steps or no
            end, a batch is larger than a shard where only epochs count, a form is unknown, warm-start variables do not
            fit the model, `runs.shards` gives no key, or the folder holds another sweep or is another process's.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import momentum, cosine, with_replacement, Budget
        >>> inputs = np.random.default_rng(0).normal(size=(300, 2)).astype("float32")
        >>> examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype("int32"))
        >>> data = lc.Data(examples, examples, None, classes=2)
        >>> program = lc.Program(
        ...     lc.models.MLP((8,), 2), lc.cross_entropy, momentum, cosine, 32, Budget(steps=100), with_replacement
        ... )
        >>> runs = lc.Runs.grid(program, size=[30, 300], seed=0, learning_rate=0.1)
        >>> result = sweep(jax.random.key(0), data, runs)
        >>> bool(result.validation_error[1, -1] < 0.05)
        True
    """
    check_table(runs, data)
    w = len(runs.program)
    keep = np.zeros(w, bool) if keep is None else np.asarray(keep)
    starts, masks = _each(initial, w, "initial"), _each(mask, w, "mask")
    budget = np.array(
        [steps_of(runs.programs[p], int(n)) for p, n in zip(runs.program, runs.columns["size"], strict=True)]
    )
    table = _Table(runs, starts, masks, keep, budget)
    begun = folder is not None and Path(folder, "manifest.json").exists()  # its forms win
    first = [np.flatnonzero(runs.program == i)[:1].tolist() for i in range(len(runs.programs))]
    shapes = [shapes_of(runs, i, data, rows[0]) if rows else {} for i, rows in enumerate(first)]
    executions = tuple(_execution(key, data, table, i, shapes[i], execution, begun) for i in range(len(runs.programs)))
    if folder is None and jax.process_count() == 1:
        return _trained(key, data, table, executions, None, on_progress)
    parts = identity(key, data, runs, starts, masks, keep, shapes)
    if folder is None:
        _agreed(parts, executions)
        return _trained(key, data, table, executions, None, on_progress)
    with contextlib.closing(open_store(folder, parts, executions)) as store:
        if execution is not None and store.executions != executions:
            stored, given = (", ".join(map(str, some)) for some in (store.executions, executions))
            raise ValueError(f"{folder} was started with execution {stored}; got {given}.")
        _agreed(parts, store.executions)
        return _trained(key, data, table, store.executions, store, on_progress)


@dataclasses.dataclass(frozen=True)
class _Table:
    """What is to be trained, one entry a run."""

    runs: Runs
    starts: list[Any]
    masks: list[Any]
    keep: np.ndarray
    budget: np.ndarray

    def job(self, row: int, order: int) -> Job:
        budget, keep = int(self.budget[row]), bool(self.keep[row])
        return Job(row, budget, columns_of(self.runs, row), order, self.starts[row], self.masks[row], keep)


def _trained(
    key: jax.Array,
    data: Data,
    table: _Table,
    executions: tuple[Execution | None, ...],
    store: Store | None,
    on_progress: OnProgress | None,
) -> SweepResult:
    """Train this process's share of what the folder does not hold, and put all rows of all processes together."""
    runs, budget = table.runs, table.budget
    outcomes = {} if store is None else store.read(data)
    orders, order = orders_of(key, data, runs)
    told = exchange((0 if store is None else store.attempts, sorted(outcomes)))
    attempt, found = max(attempts for attempts, _ in told), [rows for _, rows in told]
    held = {row for rows in found for row in rows}
    left = [
        [row for row in np.flatnonzero(runs.program == i).tolist() if row not in held] for i in range(len(executions))
    ]
    process = deal(left, budget, jax.process_count())
    mine = {row for row in process if process[row] == jax.process_index()}
    ended = resumed = int(sum(budget[row] for row in held))
    total, count = resumed + int(sum(budget[row] for row in mine)), len(held)
    placements: dict[int, Placement] = {}
    failure = None
    try:
        for i, program in enumerate(runs.programs):
            jobs = [table.job(row, int(order[row])) for row in left[i] if row in mine]
            if not jobs:
                continue
            streamed = streaming.is_streamed(data)
            devices = 1 if streamed else min(len(jobs), len(local_devices()))
            if devices not in placements:
                placed = Placement(data, jax.device_put(orders), None) if streamed else None
                placements = {devices: placed or Placement.of(data, orders, devices)}
            checkpoints = None if store is None else store.checkpoints(i, attempt)
            execution = executions[i]
            assert execution is not None
            for running, just_ended in train(key, placements[devices], jobs, program, execution, checkpoints):
                for row, outcome in just_ended.items():
                    outcomes[row] = outcome
                    ended += int(budget[row])
                    count += 1
                    if store is not None:
                        store.add(row, outcome)
                if on_progress is not None:
                    done, w = ended + running, len(held | mine)
                    on_progress(Progress("train", done, total, resumed, w, count, tuple(just_ended), len(held)))
    except Exception as error:
        if jax.process_count() == 1:
            raise
        failure = error
    rows = _gathered(outcomes, found, failure, len(runs.program))
    if store is not None:
        store.clear()
    return result_of(runs, rows, orders, order, executions)


def _agreed(parts: dict[str, Any], executions: tuple[Execution | None, ...]) -> None:
    """Refuse processes of one job that were given different sweeps."""
    told = exchange(({name: canonical_hash(part) for name, part in parts.items()}, executions))
    for process, (hashes, others) in enumerate(told):
        different = [name for name in parts if hashes[name] != told[0][0][name]]
        different += ["execution"] if others != told[0][1] else []
        if different:
            raise ValueError(
                f"The processes of one job train one table together, and process {process} has another than process 0: "
                f"it differs in {', '.join(different)}."
            )


def _gathered(
    outcomes: dict[int, Outcome], found: Sequence[Sequence[int]], failure: Exception | None, w: int
) -> list[Outcome]:
    """All rows, from all processes, in the table's order; each tells what not everybody read from a folder."""
    known = set(found[0]).intersection(*found)
    own = {row: outcome for row, outcome in outcomes.items() if row not in known}
    told = exchange((own, None if failure is None else f"{type(failure).__name__}: {failure}"))
    if failure is not None:
        raise failure
    for process, (others, reason) in enumerate(told):
        if reason is not None:
            raise RuntimeError(f"Process {process} failed, the others have trained their share. {reason}")
        outcomes = {**others, **outcomes}
    return [outcomes[row] for row in range(w)]


def _execution(
    key: jax.Array, data: Data, table: _Table, i: int, shapes: Any, execution: Execution | None, begun: bool
) -> Execution | None:
    """Check one program against the data and its runs' warm starts, and say how it is executed."""
    runs, starts, masks = table.runs, table.starts, table.masks
    rows = np.flatnonzero(runs.program == i)
    if not rows.size:
        return None
    for row in rows:
        check_variables(starts[row], shapes, f"initial[{row}]")
        if masks[row] is not None:
            check_variables({"params": masks[row]}, shapes, f"mask[{row}]")
            if len(jax.tree.leaves(masks[row])) != len(jax.tree.leaves(shapes["params"])):
                raise ValueError(f"mask[{row}] does not cover all parameters of the model.")
    if streaming.is_streamed(data):
        execution = streaming.EXECUTION if execution is None else execution
        streaming.check_streamed(runs.programs[i], execution)
    if execution is None:
        params, budgets, first = shapes["params"], table.budget[rows].tolist(), int(rows[0])
        if begun:
            return choose_execution(params, budgets, devices_of_job())
        orders = len(order_keys(key, runs)[0])
        sample = Sample(runs.programs[i], key, data, orders, columns_of(runs, first), starts[first], masks[first])
        return fastest_execution(params, budgets, sample)
    return execution


def _each(trees: Any, w: int, name: str) -> list[Any]:
    """One pytree (or `None`) a run."""
    if trees is None:
        return [None] * w
    if isinstance(trees, list | tuple):
        if len(trees) != w:
            raise ValueError(f"{name} has {len(trees)} entries for {w} runs.")
        return list(trees)
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(trees)}
    if lengths != {w}:
        raise ValueError(f"{name} has leading axes {sorted(lengths)} for {w} runs.")
    return [jax.tree.map(lambda leaf, row=row: leaf[row], trees) for row in range(w)]
