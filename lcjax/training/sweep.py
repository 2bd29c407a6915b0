"""The training loop: all runs of a table, trained concurrently and scored."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Int

from lcjax.data.examples import Data
from lcjax.jobs.peers import process_count, process_index
from lcjax.threads import refuse_forked_process
from lcjax.training.concurrency import Execution
from lcjax.training.execution.autotune import Sample, fastest_execution, is_worth_measuring
from lcjax.training.execution.executor import Executor, open_executor
from lcjax.training.execution.heuristics import choose_execution
from lcjax.training.execution.multihost import check_agreement, deal, exchange_states, gather_outcomes, open_store
from lcjax.training.execution.permutations import order_keys, orders_of
from lcjax.training.execution.programs import compile_programs
from lcjax.training.execution.scheduler import train
from lcjax.training.execution.sharded import devices_of_job, local_devices
from lcjax.training.execution.streamed import is_streamed, streamed_execution
from lcjax.training.program import steps_of
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs, columns_of
from lcjax.training.storage.identity import identity
from lcjax.training.storage.run_state import Job, assemble_result
from lcjax.training.storage.store import Store
from lcjax.training.validation import check_keep, check_sweep
from lcjax.typing import ArrayTree, KeyArray, OnProgress, PathLike, Progress, Variables, check_key

__all__ = ["compile_sweep", "sweep"]


@jax.transfer_guard("allow")  # tables and scores are on the host, data and steps on the device
def sweep(
    key: KeyArray,
    data: Data,
    runs: Runs,
    *,
    initial: ArrayTree | Sequence[Variables | None] | None = None,
    mask: ArrayTree | Sequence[Variables | None] | None = None,
    keep: Bool[np.ndarray, " w"] | None = None,
    folder: PathLike | None = None,
    execution: Execution | None = None,
    on_progress: OnProgress | None = None,
) -> SweepResult:
    """Train every run of a table and score it; return one row per run, in the table's order.

    A run with seed s and size N trains on the first N examples of the seed's own order: balanced (`stratified_order`)
    for classes, uniform for regression and sequences, and consecutive windows for models that carry a state. Order,
    initialization and minibatches come from `fold_in(fold_in(key, s), STREAM)`: runs that differ only in other columns
    share them, and the shards of one seed nest, unless each size has its own order (`runs.shards`). A run's numbers do
    not depend on the rest of the table: bit for bit for the same execution and width, and to rounding otherwise.

    Args:
        key: typed key of the whole sweep.
        data: training, validation and (or `None`) test split.
        runs: the table.
        initial: variables to start from, one pytree (or `None`) per run, or one pytree with a leading axis of runs;
            variables of the model that are absent from it are initialized on the shard.
        mask: multiplies the parameters before the first step and after each, given like `initial`; pruning masks.
        keep: runs whose variables are returned, `(w,)`; none by default.
        folder: folder for finished runs; an interrupted sweep resumes from there.
        execution: concurrent execution of the runs, the same for all programs; `Execution("vmap", 8)` trains eight runs
            in one vectorized step. By default that of the folder, or one chosen by the model, for programs that take
            minutes by a short measurement (`lcjax.training.execution.autotune`).
        on_progress: called between chunks, with stage "train" and optimizer steps as the unit.

    Returns:
        `SweepResult` of w rows, the same on every process. A run whose loss is not finite raises no error; its `status`
        is 1, and its variables are not kept.

    Raises:
        ValueError: a column is missing, has the wrong length or holds a value out of range, such as a size outside
            [1, n] or a learning rate of 0; a split has no examples; a budget has no steps; a batch is larger than a
            shard where only epochs count; a model, objective, optimizer or another function of a program does not
            return what it must; warm-start variables do not fit the model; `runs.shards` does not return a key; or the
            folder holds another sweep, runs of other versions of JAX, a damaged manifest or symbolic links, or belongs
            to another process.
        OSError: the folder is not writable, and runs are left to train.
        PeerError: another process of the job has failed or ended, or does not know the job's secret.
        RuntimeError: this process was forked from one that had computed with JAX.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import momentum, cosine, with_replacement, Budget
        >>> inputs = np.random.default_rng(0).normal(size=(300, 2)).astype("float32")
        >>> examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype("int32"))
        >>> data = lc.Data(examples, examples, None, classes=2)
        >>> model, budget = lc.models.MLP((8,), 2), Budget(steps=100)
        >>> program = lc.Program(model, lc.cross_entropy, momentum, cosine, 32, budget, with_replacement)
        >>> runs = lc.Runs.grid(program, size=[30, 300], seed=0, learning_rate=0.1)
        >>> result = sweep(jax.random.key(0), data, runs)
        >>> bool(result.validation_error[1, -1] < 0.05)
        True
    """
    check_key(key)
    refuse_forked_process()
    if not isinstance(execution, Execution | None):
        raise ValueError(f"execution must be an Execution, such as Execution.parse({str(execution)!r}).")
    shapes, starts, masks = check_sweep(runs, data, initial, mask)
    budget = [steps_of(runs.programs[p], int(n)) for p, n in zip(runs.program, runs.columns["size"], strict=True)]
    selected = check_keep(keep, len(budget))
    table = _Table(runs, starts, masks, selected, np.array(budget))
    started = folder is not None and Path(folder, "manifest.json").exists()  # its executions apply
    executions = tuple(
        _choose_execution(key, data, table, i, shapes[i], execution, measure=not started)
        for i in range(len(runs.programs))
    )
    with contextlib.ExitStack() as stack:
        store = None
        if folder is not None or process_count() > 1:
            parts = identity(key, data, runs, starts, masks, selected, shapes)
            if folder is not None:
                store = stack.enter_context(contextlib.closing(open_store(folder, parts, executions)))
                if execution is not None and store.executions != executions:
                    stored, given = (", ".join(map(str, some)) for some in (store.executions, executions))
                    raise ValueError(f"{folder} was started with execution {stored}; got {given}.")
                executions = store.executions
            check_agreement(parts, executions)
        return _train_table(key, data, table, executions, store, on_progress)


@jax.transfer_guard("allow")
def compile_sweep(key: KeyArray, data: Data, runs: Runs, *, initial: Variables | None = None) -> None:
    """Compile the programs that `sweep` with these arguments will need, without computing anything.

    This is meant for a thread while another sweep trains. Programs of several devices, of streamed data, and those
    whose execution is measured are left to `sweep`.

    Args:
        key: typed key of the sweep.
        data: its data, training, validation and (or `None`) test split.
        runs: the table.
        initial: variables from which each run starts, or their shapes.

    Raises:
        ValueError: as by `sweep`.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import Budget, constant, momentum, with_replacement
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> model, budget = lc.models.MLP((3,), 4), Budget(steps=1)
        >>> program = lc.Program(model, lc.cross_entropy, momentum, constant, 4, budget, with_replacement)
        >>> compile_sweep(jax.random.key(0), data, lc.Runs.grid(program, size=[2], seed=0, learning_rate=0.01))
    """
    check_key(key)
    if is_streamed(data) or devices_of_job() > 1:
        return
    shapes, starts, masks = check_sweep(runs, data, [initial] * len(runs.program), None)
    budget = [steps_of(runs.programs[p], int(n)) for p, n in zip(runs.program, runs.columns["size"], strict=True)]
    table = _Table(runs, starts, masks, np.zeros(len(budget), bool), np.array(budget))
    orders = jax.ShapeDtypeStruct((len(order_keys(key, runs)[0]), len(data.train.targets)), np.int32)
    placed = jax.eval_shape(lambda data: data, data)
    for i, program in enumerate(runs.programs):
        rows = np.flatnonzero(runs.program == i).tolist()
        budgets = table.budget[rows].tolist()
        if rows and not is_worth_measuring(shapes[i]["params"], budgets, program.batch):
            execution = choose_execution(shapes[i]["params"], budgets)
            compile_programs(key, placed, orders, program, execution, table.job(rows[0], 0), threads=1)


@dataclasses.dataclass(frozen=True)
class _Table:
    """The table and all else that a run needs, one entry per run."""

    runs: Runs
    starts: Sequence[Variables | None]
    masks: Sequence[Variables | None]
    keep: Bool[np.ndarray, " w"]
    budget: Int[np.ndarray, " w"]

    def job(self, row: int, order: int) -> Job:
        """Return one run, on the order with this number."""
        budget, keep, initial = int(self.budget[row]), bool(self.keep[row]), self.starts[row]
        columns = columns_of(self.runs, row)
        return Job(row, budget, columns, order, {} if initial is None else initial, self.masks[row], keep)


def _choose_execution(
    key: KeyArray,
    data: Data,
    table: _Table,
    program: int,
    shapes: Variables,
    execution: Execution | None,
    *,
    measure: bool,
) -> Execution | None:
    """Choose the execution of one program, by measurement if wanted; None for a program without runs."""
    rows = np.flatnonzero(table.runs.program == program).tolist()
    if not rows:
        return None
    if is_streamed(data):
        return streamed_execution(table.runs.programs[program], execution)
    if execution is not None:
        return execution
    params, budgets = shapes["params"], table.budget[rows].tolist()
    if not measure:
        return choose_execution(params, budgets, devices_of_job())
    orders = len(order_keys(key, table.runs)[0])
    sample = Sample(table.runs.programs[program], key, data, orders, table.job(rows[0], 0))
    return fastest_execution(params, budgets, sample)


def _train_table(
    key: KeyArray,
    data: Data,
    table: _Table,
    executions: tuple[Execution | None, ...],
    store: Store | None,
    on_progress: OnProgress | None,
) -> SweepResult:
    """Train this process's share of the rows that no folder holds, and assemble the rows of all processes."""
    runs, budget = table.runs, table.budget
    outcomes = {} if store is None else store.read(data, runs, budget, table.keep)
    orders, order = orders_of(key, data, runs)
    attempt, restored = exchange_states(0 if store is None else store.attempts, sorted(outcomes))
    stored = {row for rows in restored for row in rows}
    left = [np.setdiff1d(np.flatnonzero(runs.program == i), list(stored)).tolist() for i in range(len(executions))]
    mine = {row for row, process in deal(left, budget, process_count()).items() if process == process_index()}
    resumed = int(sum(budget[row] for row in stored))
    total, done, ended = resumed + int(sum(budget[row] for row in mine)), resumed, len(stored)
    executor: Executor | None = None
    failure = None
    try:
        for i, (program, execution) in enumerate(zip(runs.programs, executions, strict=True)):
            jobs = [table.job(row, int(order[row])) for row in left[i] if row in mine]
            if not jobs or execution is None:
                continue
            past = [] if process_count() > 1 else [(r, o) for r, o in outcomes.items() if runs.program[r] == i]
            finished = [(table.job(row, int(order[row])), outcome) for row, outcome in past]
            devices = min(len(jobs), len(local_devices()))
            reuse = executor is not None and executor.devices == devices
            source, placed = (executor.data, executor.orders) if executor is not None and reuse else (data, orders)
            executor = open_executor(key, source, placed, program, execution, devices)
            checkpoints = None if store is None else store.checkpoints(i, attempt)
            for running, new in train(executor, jobs, checkpoints, finished):
                outcomes |= new
                done, ended = done + sum(int(budget[row]) for row in new), ended + len(new)
                if store is not None:
                    for row, outcome in new.items():
                        store.add(row, outcome)
                if on_progress is not None:
                    w, restored_count = len(stored | mine), len(stored)
                    on_progress(Progress("train", done + running, total, resumed, w, ended, tuple(new), restored_count))
    except Exception as error:
        if process_count() == 1:
            raise
        failure = error
    rows = gather_outcomes(outcomes, restored, failure, len(runs.program))
    if store is not None:
        store.clear()
    return assemble_result(runs, rows, orders, order, executions)
