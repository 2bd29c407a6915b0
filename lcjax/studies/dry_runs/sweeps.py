"""Estimates of the cost of a sweep before it is trained: steps, time, memory and disk space."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from lcjax.data.examples import Data
from lcjax.sealed_lines import unseal_line
from lcjax.threads import cores
from lcjax.training.concurrency import Execution
from lcjax.training.execution.autotune import Sample, seconds_of_a_step
from lcjax.training.execution.heuristics import choose_execution, rounds_of
from lcjax.training.execution.permutations import order_keys
from lcjax.training.execution.sharded import devices_of_job
from lcjax.training.execution.streamed import is_streamed
from lcjax.training.program import Program, steps_of
from lcjax.training.runs import Runs, columns_of
from lcjax.training.storage.run_state import Job
from lcjax.training.validation import check_sweep
from lcjax.typing import ArrayTree, KeyArray, PathLike, Variables, check_key

__all__ = ["SweepEstimate", "estimate_sweep"]

LINE = 1500  # bytes of a stored run without its variables, about


class SweepEstimate(NamedTuple):
    """Work of a sweep that is left.

    Attributes:
        runs: number of runs.
        finished: number of those that its folder holds.
        steps: optimizer steps of the others.
        seconds: wall-clock time of their steps; None for data that are streamed, and for several devices.
        memory: bytes of the data and of parameters, gradients and optimizer states of concurrent runs.
        disk: bytes of results and variables to be kept.
        parameters: number of parameters of each program.
        executions: execution of each program.
    """

    runs: int
    finished: int
    steps: int
    seconds: float | None
    memory: int
    disk: int
    parameters: tuple[int, ...]
    executions: tuple[Execution | None, ...]


def estimate_sweep(
    key: KeyArray,
    data: Data,
    runs: Runs,
    *,
    initial: Sequence[Variables | None] | None = None,
    keep: Bool[np.ndarray, " w"] | None = None,
    folder: PathLike | None = None,
) -> SweepEstimate:
    """Estimate the work of a sweep: its arguments are those of `lcjax.sweep`.

    The time is that of the steps, measured on this machine for about a second for each program; compilation and
    scoring are not included. Early stopping may end runs before.

    Args:
        key: typed key of the sweep.
        data: its data.
        runs: the table.
        initial: variables to start from, one pytree (or `None`) per run.
        keep: runs whose variables are stored.
        folder: folder with finished runs, which need not exist.

    Raises:
        ValueError: as by `lcjax.sweep`.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import Budget, constant, momentum, with_replacement
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> model, budget = lc.models.MLP((3,), 4), Budget(steps=10)
        >>> program = lc.Program(model, lc.cross_entropy, momentum, constant, 4, budget, with_replacement)
        >>> runs = lc.Runs.grid(program, size=[2, 4], seed=0, learning_rate=0.1)
        >>> found = estimate_sweep(jax.random.key(0), data, runs)
        >>> found.runs, found.steps, found.parameters, found.seconds > 0
        (2, 20, (31,), True)
    """
    check_key(key)
    shapes, starts, masks = check_sweep(runs, data, initial, None)
    steps = np.array(
        [steps_of(runs.programs[p], int(n)) for p, n in zip(runs.program, runs.columns["size"], strict=True)]
    )
    finished = _stored_rows(folder, len(steps))
    left = np.setdiff1d(np.arange(len(steps)), list(finished))
    seconds: float | None = 0.0
    states, executions, parameters = [0], list[Execution | None](), []
    for i, program in enumerate(runs.programs):
        params = shapes[i]["params"]
        parameters.append(sum(leaf.size for leaf in jax.tree.leaves(params)))
        rows = left[runs.program[left] == i]
        if not rows.size:
            executions.append(None)
            continue
        budgets = steps[rows].tolist()
        execution = choose_execution(params, budgets, devices_of_job())
        executions.append(execution)
        states.append(min(execution.width, len(budgets)) * _state_bytes(program, params))
        if is_streamed(data) or devices_of_job() > 1:
            seconds = None
        if seconds is not None:
            start = starts[rows[0]]
            job = Job(int(rows[0]), budgets[0], columns_of(runs, int(rows[0])), 0, start or {}, masks[rows[0]], False)
            sample = Sample(program, key, data, len(order_keys(key, runs)[0]), job)
            slots = {"vmap": execution.width, "map": execution.threads, "step": min(execution.width, cores())}
            count = slots[execution.mode]
            seconds += seconds_of_a_step(sample, [execution])[execution] * count * rounds_of(budgets, count)
    resident = 0 if is_streamed(data) else _bytes((data.train, data.validation, data.test))
    kept = 0
    if keep is not None:
        kept = sum(_bytes(shapes[int(runs.program[row])]) for row in left if keep[row])
    return SweepEstimate(
        len(steps), len(finished), int(steps[left].sum()), seconds, resident + max(states), kept + LINE * len(left),
        tuple(parameters), tuple(executions),
    )  # fmt: skip


def _state_bytes(program: Program, params: ArrayTree) -> int:
    """Return the bytes of the parameters, gradients and optimizer state of a run."""
    state = jax.eval_shape(lambda tree: program.optimizer(jnp.asarray(0.1)).init(tree), params)
    return 2 * _bytes(params) + _bytes(state)


def _bytes(tree: object) -> int:
    leaves = (leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype"))
    return sum(int(np.prod(leaf.shape, dtype=np.int64)) * leaf.dtype.itemsize for leaf in leaves)


def _stored_rows(folder: PathLike | None, count: int) -> set[int]:
    """Return the runs that a folder holds, whatever is damaged."""
    rows: set[int] = set()
    for path in () if folder is None else Path(folder).glob("runs*.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            try:
                row = unseal_line(line)["run"] if line else -1
            except (ValueError, KeyError):
                continue
            if 0 <= row < count:
                rows.add(row)
    return rows
