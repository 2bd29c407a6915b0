"""Runs of one program trained side by side: slots, advanced in chunks of steps and refilled in between."""

import dataclasses
import heapq
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.data.examples import Data, Examples
from lcjax.training import steps
from lcjax.training.outcomes import Outcome
from lcjax.training.runs import Program

__all__ = ["Job", "choose_form", "train"]

RECORDED = (0.25, 0.5, 0.75, 1.0)  # shares of a run's steps
RECORDED_EXAMPLES = 2048  # of the shard, before the end
CHUNK_SECONDS = 0.5  # between two looks at the keyboard and the progress bar
WIDEST = 64
CACHE_BYTES = 2**23  # parameters of a vectorized step should stay in a processor's cache


@dataclasses.dataclass(frozen=True)
class Job:
    """One run to train."""

    row: int
    budget: int
    columns: dict[str, jax.Array]
    order: int
    initial: Any
    mask: Any
    keep: bool


@dataclasses.dataclass
class _Lane:
    """The run in one slot: steps made, steps to be recorded, and the scores there."""

    job: Job
    events: list[int]
    step: int = 0
    scores: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)

    @property
    def next_event(self) -> int:
        return self.events[len(self.scores)]


def choose_form(params: Any, budgets: Sequence[int]) -> str:
    """The execution form for runs of these budgets, and its width.

    On CPU one step of a convolutional net fills the cores, and nets train in turn; other nets are vectorized, as many
    as the cache holds and in the width that leaves the fewest slots idle. Accelerators always vectorize.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
    """
    widest = min(len(budgets), WIDEST)
    if jax.default_backend() == "cpu":
        leaves = jax.tree.leaves(params)
        if any(leaf.ndim > 2 for leaf in leaves):
            return "map:1"
        widest = min(widest, max(4, CACHE_BYTES // sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)))

    def work(width: int) -> int:
        ends = [0] * width
        for budget in sorted(budgets, reverse=True):
            heapq.heapreplace(ends, ends[0] + budget)
        return max(ends) * (width + 4)  # a step costs something whatever the width

    return f"vmap:{min(range(1, widest + 1), key=work)}"


def train(
    key: jax.Array, data: Data, orders: jax.Array, jobs: Sequence[Job], program: Program, form: str
) -> Iterator[tuple[int, dict[int, Outcome]]]:
    """Train jobs, the longest first; after each chunk give the steps of the unfinished ones and those that ended.

    A chunk ends where the first of its runs is to be recorded (every run of a mapped chunk at its own place), so no
    slot makes a step too many; the number of steps is traced, so nothing is compiled again.
    """
    kind, width_text = form.split(":")
    mapped, width = kind == "map", int(width_text)
    queue = sorted(jobs, key=lambda job: (job.budget, -job.row))
    lanes: dict[int, _Lane] = {}
    slots: Any = None
    longest, timed = 16, False
    while queue or lanes:
        for place in range(width):
            if place not in lanes and queue:
                job = queue.pop()
                lanes[place] = _Lane(job, [math.ceil(job.budget * share) for share in RECORDED])
                slot = _started(key, data, orders, job, program)
                slots = (
                    steps.broadcast(slot, width=width) if slots is None else steps.put(slots, slot, jnp.int32(place))
                )
        todo = np.zeros(width, np.int32)
        for place, lane in lanes.items():
            todo[place] = min(lane.next_event - lane.step, longest)
        if not mapped:
            common = min(todo[place] for place in lanes)
            todo[:] = common
        before = time.monotonic()
        slots = steps.advance(
            slots, data, orders, jnp.asarray(todo if mapped else todo[:1]), program=program, mapped=mapped
        )
        failed = np.asarray(slots.failed)
        if timed:  # the first chunk includes compilation
            rate = todo.sum() / max(time.monotonic() - before, 1e-3) / (len(lanes) if mapped else width)
            longest = int(np.clip(rate * CHUNK_SECONDS, 1, 4 * longest))
        timed = True
        ended: dict[int, Outcome] = {}
        outcome: Outcome | None
        for place, lane in list(lanes.items()):
            lane.step += int(todo[place])
            if failed[place] >= 0:
                outcome = _failure(lane, int(failed[place]), data)
            elif lane.step == lane.next_event:
                outcome = _recorded(lane, steps.pick(slots, jnp.int32(place)), data, orders, program)
            else:
                continue
            if outcome is not None:
                ended[lane.job.row] = outcome
                del lanes[place]
        yield sum(lane.step for lane in lanes.values()), ended


def _started(key: jax.Array, data: Data, orders: jax.Array, job: Job, program: Program) -> steps.Slot:
    return steps.start(
        key,
        data,
        orders,
        {} if job.initial is None else job.initial,
        job.mask,
        job.columns,
        jnp.int32(job.order),
        jnp.int32(job.budget),
        program=program,
    )


def _recorded(lane: _Lane, slot: steps.Slot, data: Data, orders: jax.Array, program: Program) -> Outcome | None:
    """Score a run that has come to a step to be recorded; if it is the last, say what became of the run."""
    job = lane.job

    def scored(examples: Examples, index: jax.Array, count: Any) -> steps.Score:
        return steps.score(slot.variables, job.columns, data, examples, index, jnp.int32(count), program=program)

    last = lane.step == job.budget
    size = job.columns["size"]
    train = scored(data.train, orders[job.order], size if last else jnp.minimum(size, RECORDED_EXAMPLES))
    v = len(data.validation.targets)
    validation = scored(data.validation, jnp.arange(v), v)
    if not np.isfinite(float(train.loss)):
        return _failure(lane, lane.step, data)
    while len(lane.scores) < len(RECORDED) and lane.next_event == lane.step:
        lane.scores.append((float(train.loss), float(train.error), float(validation.error)))
    if not last:
        return None
    wrong = np.zeros(0, bool)
    if data.test is not None:
        m = len(data.test.targets)
        wrong = np.asarray(scored(data.test, jnp.arange(m), m).wrong)
    variables = jax.device_get(slot.variables) if job.keep else None
    return _outcome(lane, 0, lane.step, np.asarray(validation.wrong), wrong, variables)


def _failure(lane: _Lane, step: int, data: Data) -> Outcome:
    lane.scores += [(np.nan, np.nan, np.nan)] * (len(RECORDED) - len(lane.scores))
    m = 0 if data.test is None else len(data.test.targets)
    return _outcome(lane, 1, step, np.ones(len(data.validation.targets), bool), np.ones(m, bool), None)


def _outcome(
    lane: _Lane, status: int, step: int, validation_wrong: np.ndarray, wrong: np.ndarray, variables: Any
) -> Outcome:
    loss, error, validation_error = (list(curve) for curve in zip(*lane.scores, strict=True))
    return Outcome(
        status, step, lane.events, loss, error, validation_error, validation_wrong, wrong, variables
    )  # fmt: skip
