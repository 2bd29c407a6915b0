"""Execution of a long program chosen by a short measurement on this device, stored for later processes.

Programs are measured where that pays, on one device of one process; elsewhere the rule of `choose_execution` holds.
"""

import contextlib
import dataclasses
import math
import platform
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import numpy as np

from lcjax.data.examples import Data
from lcjax.files import cache_folder, read_checked, reading, write_checked
from lcjax.records import canonical_hash
from lcjax.threads import cores
from lcjax.training.concurrency import Execution
from lcjax.training.execution.executor import Executor, open_executor
from lcjax.training.execution.heuristics import choose_execution, plausible_executions, rounds_of
from lcjax.training.execution.sharded import devices_of_job, local_devices
from lcjax.training.program import Program
from lcjax.training.storage.run_state import Job
from lcjax.typing import ArrayTree, KeyArray

__all__ = ["Sample", "fastest_execution", "is_worth_measuring", "seconds_of_a_step"]

WORTH_MEASURING = {"cpu": 2e12}  # weights used in all steps: minutes on two processors, 5e9 to 3e10 of them a second
WORTH_MEASURING_ELSEWHERE = 1e14  # an estimate
PLACES = 64  # at which a weight of a convolution is used in one image, about: LeNet, quick net, ResNet-18
TURNS, TURN_SECONDS, MOST_STEPS = 5, 0.1, 4**7
LONGEST = 30.0  # seconds after which no further execution is compiled
MARGIN = 0.95  # of the rule's time that another execution must beat: timings vary
FILE = "executions.json"

Seconds: TypeAlias = dict[Execution, float]

_measured: dict[str, Seconds] = {}  # read or measured by this process


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run of a program, timed in place of all of them."""

    program: Program
    key: KeyArray  # of the sweep
    data: Data  # of the sweep, resident
    orders: int  # number of distinct orders of the table's shards
    job: Job


def fastest_execution(
    params: ArrayTree,
    budgets: Sequence[int],
    sample: Sample,
    seconds: Callable[[Sample, Sequence[Execution]], Seconds] | None = None,
) -> Execution:
    """Return the execution that trains a table of runs in the least time, by measurement where that pays.

    The time of an execution is its seconds per model-step times the steps of its slots, idle ones included. The rule's
    choice stays unless another one is 5 % faster. Measurements are stored in the process and in `executions.json` of
    the cache folder (`lcjax.files.cache_folder`) under the compiled program, JAX's version, device and processors. The
    rule decides alone where all steps together use fewer than 2e12 weights (1e14 on accelerators: steps x batch x
    parameters, those of convolutions 64 times), where measuring takes more than a tenth of the steps, with several
    devices or processes, and for programs of functions without a lasting name.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
        sample: a run to measure.
        seconds: seconds per model-step of executions; `seconds_of_a_step` by default.
    """
    rule = choose_execution(params, budgets, devices_of_job())
    if devices_of_job() > 1 or not is_worth_measuring(params, budgets, sample.program.batch):
        return rule
    executions = plausible_executions(params, budgets)
    least = 3 * sum(execution.width for execution in executions)  # steps, to compile, to count and in one turn
    name = _identity(sample) if len(executions) > 1 and sum(budgets) >= 10 * least else None
    if name is None:
        return rule
    known = _measured.setdefault(name, {})
    known.update({execution: value for execution, value in _read().get(name, {}).items() if execution not in known})
    if any(execution not in known for execution in executions):  # all again: only timings taken in turns compare
        known.update(dict.fromkeys(executions, math.inf) | (seconds or seconds_of_a_step)(sample, executions))
        _write(name, known)

    def total(execution: Execution) -> float:
        concurrent = {"vmap": execution.width, "map": execution.threads, "step": min(execution.width, cores())}
        slots = concurrent[execution.mode]
        return known[execution] * slots * rounds_of(budgets, slots)

    best = min(executions, key=total)
    return best if total(best) < MARGIN * total(rule) else rule


def is_worth_measuring(params: ArrayTree, budgets: Sequence[int], batch: int) -> bool:
    """Return True for runs that train for so long that executions may be measured."""
    worth = WORTH_MEASURING.get(jax.default_backend(), WORTH_MEASURING_ELSEWHERE)
    return _work(params, budgets, batch) >= worth


def seconds_of_a_step(sample: Sample, executions: Sequence[Execution]) -> Seconds:
    """Return the seconds per model-step of executions, compiled and called as in training; inf if out of memory.

    First each execution is compiled; then they take five turns of about a tenth of a second, of which the best counts,
    so that other load on the machine hits all of them. After half a minute no further execution is compiled, and one
    turn is enough.
    """
    begin = time.perf_counter()
    orders = np.tile(np.arange(len(sample.data.train.targets), dtype=np.int32), (sample.orders, 1))
    data, placed = jax.device_put((sample.data, orders))
    job = dataclasses.replace(sample.job, order=0, budget=1_000_000)
    counts: dict[Execution, int] = {}
    best: Seconds = {}
    for turn in range(1 + TURNS):
        for execution in executions if turn == 0 else tuple(counts):
            late = time.perf_counter() - begin > LONGEST
            if late and (counts if turn == 0 else turn > 1):
                break
            executor = open_executor(sample.key, data, placed, sample.program, execution, 1)
            try:
                if turn == 0:
                    counts[execution] = _count(executor, job)
                else:
                    seconds = _seconds(executor, job, counts[execution]) / (counts[execution] * execution.width)
                    best[execution] = min(seconds, best.get(execution, math.inf))
            except jax.errors.JaxRuntimeError as reason:
                if "RESOURCE_EXHAUSTED" not in str(reason):
                    raise
                best[execution] = math.inf
                counts.pop(execution, None)
    return best


def _count(executor: Executor, job: Job) -> int:
    """Compile the steps of an execution, and return the number of them that fills a turn."""
    _seconds(executor, job, 1)
    count = 1
    while count < MOST_STEPS and _seconds(executor, job, count) < TURN_SECONDS / 2:
        count *= 4
    return count


def _seconds(executor: Executor, job: Job, count: int) -> float:
    """Time `count` steps in all slots."""
    width = executor.execution.width
    slots = jax.block_until_ready(executor.insert(None, executor.start(job), 0, width))
    before = time.perf_counter()
    jax.block_until_ready(executor.advance(slots, np.full(width, count, np.int32)))
    return time.perf_counter() - before


def _work(params: ArrayTree, budgets: Sequence[int], batch: int) -> float:
    """Estimate the weights used in all steps of all runs: not a timing, and equal on all machines."""
    weights = int(sum(leaf.size * (PLACES if leaf.ndim > 2 else 1) for leaf in jax.tree.leaves(params)))
    return float(sum(budgets)) * batch * weights


def _identity(sample: Sample) -> str | None:
    """Identify a measurement: everything that is compiled except the length of the table, and the device."""
    device, train = local_devices()[0], sample.data.train
    try:
        names = [field.name for field in dataclasses.fields(sample.program) if field.name != "budget"]
        return canonical_hash(
            {
                "program": {name: getattr(sample.program, name) for name in names},
                "inputs": [[*leaf.shape[1:], str(leaf.dtype)] for leaf in jax.tree.leaves(train.inputs)],
                "targets": [*np.shape(train.targets)[1:], str(train.targets.dtype)],
                "columns": sorted(sample.job.columns),
                "mask": sample.job.mask is not None,
                "jax": jax.__version__,
                "device": [device.platform, device.device_kind, _processor(), cores()],
                "settings": [jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision],  # type: ignore[attr-defined]
            }
        )
    except (ValueError, TypeError):
        return None


def _processor() -> str:
    """Name the host's processor: machines may share a cache folder."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()


def _read() -> dict[str, Seconds]:
    """Read the measurements of other processes; a damaged file counts as empty."""
    folder = cache_folder()
    if folder is None:
        return {}
    try:
        with reading(folder / FILE):
            measured = {
                name: {Execution.parse(text): float(value) for text, value in values.items()}
                for name, values in read_checked(folder / FILE).items()
            }
    except (OSError, ValueError):
        return {}
    return measured if all(value > 0 for values in measured.values() for value in values.values()) else {}


def _write(name: str, known: Seconds) -> None:
    """Store measurements, keeping those that other processes stored meanwhile; skip a folder that is not writable."""
    folder = cache_folder()
    if folder is None:
        return
    measured = {**_read(), name: known}
    try:
        spelled = {name: {str(execution): value for execution, value in measured[name].items()} for name in measured}
        write_checked(folder / FILE, spelled)
    except OSError:
        return
