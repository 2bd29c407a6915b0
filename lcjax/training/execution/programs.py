"""Compilation of everything that the runs of a program need, concurrently and before they start."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.kernels.compilation import compile_ahead
from lcjax.threads import in_threads
from lcjax.training.concurrency import Execution
from lcjax.training.execution import slots as chunks
from lcjax.training.execution import step as steps
from lcjax.training.program import Program
from lcjax.training.storage.run_state import Job
from lcjax.typing import KeyArray

__all__ = ["compile_programs"]


def compile_programs(
    key: KeyArray, data: Any, orders: Any, program: Program, execution: Execution, job: Job, *, threads: int
) -> None:
    """Compile the programs that runs like `job` need on one device, `threads` of them at once.

    Nothing is computed, so that other computations may run meanwhile; later calls reuse the programs.

    Args:
        key: key of the sweep.
        data: its `Data`, or their shapes.
        orders: orders of the training set, `(seeds, n)`, or their shape.
        program: program of the runs.
        execution: their execution.
        job: one of the runs; its initial variables and mask may be shapes.
        threads: number of threads.
    """
    number = jax.ShapeDtypeStruct((), np.int32)
    begin = (key, data, orders, job.initial, job.mask, job.columns, number, number)
    slot = _shapes(steps.start, *begin, program=program)
    width, parts, plain = execution.width, execution.threads, execution.plain
    chunk = _shapes(chunks.broadcast_program, slot, width=width)
    copied = chunks.is_copied_on_host(chunk)
    tasks: list[Callable[[], None]] = [_task(steps.start, *begin, program=program)]
    if execution.mode == "step":
        tasks.append(_task(steps.advance_once, slot, data, orders, program=program, plain=plain))
    else:
        size, mapped = width // parts, execution.mode == "map"
        places, counts = (jax.ShapeDtypeStruct((n,), np.int32) for n in (size, size if mapped else 1))
        part = chunk if parts == 1 else _shapes(chunks.take_program, chunk, places)
        options = {"program": program, "mapped": mapped, "plain": plain}
        tasks.append(_task(steps.advance, part, data, orders, counts, **options))
        if parts > 1 and not copied:
            tasks += [_task(chunks.take_program, chunk, places), _task(chunks.join_program, [part] * parts)]
    splits = [(data.validation, False), (data.test, False), (data.train, True)]
    for examples, train in splits:
        if examples is not None:
            n = examples.targets.shape[0]
            index, one = np.zeros(n, np.int32 if train else jnp.result_type(int)), np.zeros((), np.int32)
            scored = steps.Part(examples, index, one, one, train=train)
            arguments = slot.variables, job.columns, data, scored, slot.corruption
            tasks.append(_task(steps.score, *arguments, program=program, top=1, plain=plain))
    if not copied:
        tasks += [
            _task(chunks.put_program, chunk, slot, number),
            _task(chunks.broadcast_program, slot, width=width),
            _task(chunks.pick_program, chunk, number),
        ]
    in_threads(lambda task: task(), tasks, threads)


def _task(function: Callable[..., Any], *arguments: Any, **static: Any) -> Callable[[], None]:
    def task() -> None:
        if hasattr(function, "lower"):  # else it is not compiled
            compile_ahead(function, *arguments, **static)

    return task


def _shapes(function: Callable[..., Any], *arguments: Any, **static: Any) -> Any:
    return jax.eval_shape(lambda *arguments: function(*arguments, **static), *arguments)
