"""Runs of one program trained side by side: slots, advanced in chunks of steps and refilled in between."""

import dataclasses
import functools
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.data.examples import Data, Examples
from lcjax.threads import cores, in_threads
from lcjax.training.execution import step as steps
from lcjax.training.execution import streamed as streaming
from lcjax.training.execution.execution import Execution
from lcjax.training.execution.sharded import Placement
from lcjax.training.program import Program
from lcjax.training.storage.checkpoints import Checkpoints, on_host, with_keys
from lcjax.training.storage.run_state import Outcome

__all__ = ["Job", "advanced", "train"]

RECORDED_EXAMPLES = 2048  # of the shard, before the end
CHUNK_SECONDS = 0.5  # between two looks at the keyboard and the progress bar
REPACKED_STEPS = 500  # left to the longest run, for fewer slots to be worth a compilation


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
    """The run in one slot: steps made, steps to be recorded, the scores there, and the best net so far."""

    job: Job
    events: list[int]
    step: int = 0
    scores: list[tuple[float, ...]] = dataclasses.field(default_factory=list)  # as `_curves` gives them
    best: "_Best | None" = None
    stale: int = 0  # records since the best

    @property
    def next_event(self) -> int:
        return self.events[len(self.scores)]


@dataclasses.dataclass(frozen=True)
class _Best:
    """The net with the lowest validation error."""

    step: int
    validation: tuple[float, float]
    variables: Any


def train(
    key: jax.Array,
    placement: Placement,
    jobs: Sequence[Job],
    program: Program,
    how: Execution,
    checkpoints: Checkpoints | None = None,
) -> Iterator[tuple[int, dict[int, Outcome]]]:
    """Train jobs, the longest first; after each chunk give the steps of the unfinished ones and those that ended.

    A chunk ends where the first of its runs is to be recorded (every run of a mapped chunk at its own place), so no
    slot makes a step too many; the number of steps is traced, so nothing is compiled again. Where runs may stop early,
    the last ones of a vectorized chunk move to half as many slots as soon as they fit. Where the device has not enough
    memory for all slots, their runs begin anew in half as many, with a warning. With checkpoints the runs in the making
    go on from the last one, bit for bit; the first thing given are then the steps that they had made. With several
    devices each has as many slots as the form says, and all this happens on each.
    """
    with streaming.feeding(placement.data, placement.orders, program) as feed:
        yield from _train(key, placement, jobs, program, how, checkpoints, feed)


def _train(
    key: jax.Array,
    placement: Placement,
    jobs: Sequence[Job],
    program: Program,
    how: Execution,
    checkpoints: Checkpoints | None,
    feed: streaming.Feed | None,
) -> Iterator[tuple[int, dict[int, Outcome]]]:
    width, data = how.width, placement.data  # slots of each device
    queue = sorted(jobs, key=_length)
    key = placement.replicated(key)
    lanes: dict[int, _Lane] = {}
    waiting: list[tuple[_Lane, Any]] = []  # runs from a checkpoint, for the first slots that are free
    slots: Any = None
    if checkpoints is not None:
        width, waiting = _restored(checkpoints, key, placement, queue, program, width)
        resumed = {lane.job.row for lane, _ in waiting}
        queue = [job for job in queue if job.row not in resumed]
        if waiting:
            yield sum(lane.step for lane, _ in waiting), {}
    longest, timed = 16, False
    while queue or lanes or waiting:
        if checkpoints is not None and lanes and checkpoints.due:
            _save(checkpoints, width, lanes, slots, waiting)
        try:
            for place in placement.places(width):
                if place not in lanes and (waiting or queue):
                    if waiting:
                        lanes[place], slot = waiting.pop(0)
                    else:
                        job = queue.pop()
                        lanes[place] = _Lane(job, _events(job.budget, program.budget.records))
                        slot = _started(key, placement, job, program)
                    slots = placement.chunk(slot, width) if slots is None else placement.put(slots, slot, place)
            shrinks = program.budget.may_stop and how.mode == "vmap"
            while shrinks and _fullest(lanes, width) <= width // 2 and _left(lanes) >= REPACKED_STEPS:
                places = [_of_device(lanes, width, device) for device in range(placement.count)]
                width //= 2
                kept = [[*own, *[0] * (width - len(own))] for own in places]
                slots = placement.take(slots, [place for own in kept for place in own])
                lanes = {d * width + i: lanes[place] for d, own in enumerate(places) for i, place in enumerate(own)}
            todo = np.zeros(width * placement.count, np.int32)
            for place, lane in lanes.items():
                todo[place] = min(lane.next_event - lane.step, longest)
            if how.mode == "vmap":
                for device in range(placement.count):
                    own = _of_device(lanes, width, device)
                    todo[device * width : (device + 1) * width] = min((todo[place] for place in own), default=0)
            before = time.monotonic()
            if placement.mesh is None:
                slots = advanced(slots, data, placement.orders, todo, program, how, feed)
            else:
                slots = placement.advance(slots, todo, program, how)
            failed = np.asarray(slots.failed)
        except jax.errors.JaxRuntimeError as reason:
            if "RESOURCE_EXHAUSTED" not in str(reason) or width == 1:
                raise
            warnings.warn(f"No memory for {width} runs at once: {width // 2} from here on.", stacklevel=3)
            width //= 2
            queue = sorted([*queue, *(lane.job for lane in lanes.values())], key=_length)
            lanes, slots = {}, None  # where there were slots, they were given to the step that failed
            continue
        if timed:  # the first chunk includes compilation
            made = todo.max() if how.mode == "vmap" else todo.sum() / len(lanes)
            rate = made / max(time.monotonic() - before, 1e-3)
            longest = int(np.clip(rate * CHUNK_SECONDS, 1, 4 * longest))
        timed = True
        for place, lane in lanes.items():
            lane.step += int(todo[place])

        due = [place for place, lane in lanes.items() if failed[place] >= 0 or lane.step == lane.next_event]
        ended: dict[int, Outcome] = {}
        look = functools.partial(_looked_at, lanes, failed, slots, placement, program, how.plain)
        for place, outcome in zip(due, placement.each(look, due, width), strict=True):
            if outcome is not None:
                ended[lanes.pop(place).job.row] = outcome
        yield sum(lane.step for lane in lanes.values()) + sum(lane.step for lane, _ in waiting), ended
    if checkpoints is not None:
        checkpoints.clear()


def advanced(
    slots: steps.Slot,
    data: Data,
    orders: jax.Array,
    todo: np.ndarray,
    program: Program,
    how: Execution,
    feed: streaming.Feed | None = None,
) -> steps.Slot:
    """The slots after so many steps each; with a feed, on the batches that it reads."""
    if how.mode != "step":
        mapped = how.mode == "map"

        def part(first: int) -> steps.Slot:
            share = slots if size == len(todo) else steps.take(slots, jnp.arange(first, first + size))
            counts = jnp.asarray(todo[first : first + (size if mapped else 1)])
            return steps.advance(share, data, orders, counts, program=program, mapped=mapped, plain=how.plain)

        size = len(todo) if len(todo) % how.threads else len(todo) // how.threads
        if size == len(todo):
            return part(0)
        begun = part(0)  # compiled here, once; it runs while the others begin
        return steps.join([begun, *in_threads(part, range(size, len(todo), size), how.threads - 1)])
    places = np.flatnonzero(todo).tolist()

    def one(place: int, slot: steps.Slot, count: int) -> steps.Slot:
        if feed is not None:
            return feed.advance(place, slot, count, plain=how.plain)
        for _ in range(count):
            slot = steps.advance_once(slot, data, orders, program=program, plain=how.plain)
        return jax.block_until_ready(slot) if len(places) > 1 else slot  # else steps of several threads may queue up

    left = [(place, steps.pick(slots, jnp.int32(place)), int(todo[place])) for place in places]
    if feed is not None or len(places) < 2:
        made = [one(*job) for job in left]
    else:
        place, slot, count = left[0]
        slot = steps.advance_once(slot, data, orders, program=program, plain=how.plain)  # compiled here, once
        left[0] = place, slot, count - 1
        made = in_threads(lambda job: one(*job), left, min(len(left), cores()))
    for place, slot in zip(places, made, strict=True):
        slots = steps.put(slots, slot, jnp.int32(place))
    return slots


def _of_device(lanes: dict[int, _Lane], width: int, device: int) -> list[int]:
    """The slots of one device that have a run."""
    return sorted(place for place in lanes if place // width == device)


def _fullest(lanes: dict[int, _Lane], width: int) -> int:
    """How many runs the device with the most of them has."""
    return max(Counter(place // width for place in lanes).values())


def _save(
    checkpoints: Checkpoints, width: int, lanes: dict[int, _Lane], slots: steps.Slot, waiting: list[tuple[_Lane, Any]]
) -> None:
    """Keep the runs in the slots as they are between two chunks, and those that still wait for one."""
    held, places = on_host(slots), sorted(lanes)
    kept = [lanes[place] for place in places] + [lane for lane, _ in waiting]
    stacked = jax.tree.map(
        lambda leaf, *others: np.stack([*leaf[places], *others]), held, *[on_host(slot) for _, slot in waiting]
    )
    told = [
        {
            "row": lane.job.row,
            "events": lane.events,
            "step": lane.step,
            "scores": lane.scores,
            "stale": lane.stale,
            "best": None if lane.best is None else [lane.best.step, *lane.best.validation],
        }
        for lane in kept
    ]
    best = {str(i): on_host(lane.best.variables) for i, lane in enumerate(kept) if lane.best is not None}
    checkpoints.save({"width": width, "lanes": told}, {"slots": stacked, "best": best})


def _restored(
    checkpoints: Checkpoints,
    key: jax.Array,
    placement: Placement,
    jobs: Sequence[Job],
    program: Program,
    width: int,
) -> tuple[int, list[tuple[_Lane, Any]]]:
    """The runs in the making as they were last kept, less those that have ended since or are another process's.

    They may have been kept by any number of processes on any number of devices; where two have the same run, it goes on
    from its later step. Their slots are on the host.
    """
    by_row = {job.row: job for job in jobs}
    found: dict[int, tuple[_Lane, Any]] = {}
    for folder, told in checkpoints.lanes():
        wanted = [i for i, lane in enumerate(told["lanes"]) if lane["row"] in by_row]
        if not wanted:
            continue
        shape = jax.eval_shape(lambda: _started(key, placement, jobs[-1], program))
        many = len(told["lanes"])
        like = {
            "slots": jax.tree.map(lambda leaf, many=many: jax.ShapeDtypeStruct((many, *leaf.shape), leaf.dtype), shape),
            "best": {str(i): shape.variables for i, lane in enumerate(told["lanes"]) if lane["best"] is not None},
        }
        arrays = checkpoints.arrays(folder, like)
        if arrays is None:
            continue
        width = min(width, told["width"])
        for i in wanted:
            lane, best = told["lanes"][i], None
            if lane["best"] is not None:
                step, *validation = lane["best"]
                best = _Best(step, tuple(validation), arrays["best"][str(i)])
            job, scores = by_row[lane["row"]], [tuple(score) for score in lane["scores"]]
            kept = _Lane(job, lane["events"], lane["step"], scores, best, lane["stale"])
            if job.row not in found or found[job.row][0].step < kept.step:
                slot = jax.tree.map(lambda leaf, i=i: leaf[i], arrays["slots"])
                found[job.row] = kept, with_keys(slot, shape, key)
    return width, list(found.values())


def _length(job: Job) -> tuple[int, int]:
    return job.budget, -job.row


def _started(key: jax.Array, placement: Placement, job: Job, program: Program) -> steps.Slot:
    rest: dict[str, Any] = {
        "initial": placement.replicated({} if job.initial is None else job.initial),
        "mask": placement.replicated(job.mask),
        "columns": job.columns,
        "budget": jnp.int32(job.budget),
        "program": program,
    }
    if streaming.is_streamed(placement.data):
        return streaming.start(key, placement.data, placement.orders, job.order, **rest)
    return steps.start(key, placement.data, placement.orders, order=jnp.int32(job.order), **rest)


def _events(budget: int, records: int) -> list[int]:
    """Steps at which a run is recorded: evenly spaced, the last one its last step."""
    return [-(-budget * i // records) for i in range(1, records + 1)]


def _left(lanes: dict[int, _Lane]) -> int:
    return max(lane.job.budget - lane.step for lane in lanes.values())


def _looked_at(
    lanes: dict[int, _Lane],
    failed: np.ndarray,
    slots: steps.Slot,
    placement: Placement,
    program: Program,
    plain: bool,
    place: int,
    data: Data,
    orders: jax.Array,
) -> Outcome | None:
    """What became of the run in a slot, if it has ended; `data` and `orders` are on the slot's device."""
    if failed[place] >= 0:
        return _failure(lanes[place], int(failed[place]), data)
    return _recorded(lanes[place], placement.slot(slots, place), data, orders, program, plain)


def _recorded(
    lane: _Lane, slot: steps.Slot, data: Data, orders: jax.Array, program: Program, plain: bool
) -> Outcome | None:
    """Score a run that has come to a step to be recorded; if it ends here, say what became of it."""
    job, budget, n = lane.job, program.budget, len(data.train.targets)
    size, order = job.columns["size"], orders[job.order]
    few = jnp.minimum(size, RECORDED_EXAMPLES)

    def scored(variables: Any, examples: Examples, index: jax.Array, count: Any, first: int = 0) -> steps.Score:
        if streaming.is_streamed(data):
            how: dict[str, Any] = {"program": program, "train": examples is data.train, "plain": plain}
            return streaming.score(variables, job.columns, data, examples, index, int(count), **how)
        return steps.score(
            variables,
            job.columns,
            data,
            examples,
            index,
            jnp.int32(count),
            slot.corruption,
            jnp.int32(first),
            program=program,
            train=examples is data.train,
            plain=plain,
        )

    def validated(variables: Any) -> steps.Score:
        v = len(data.validation.targets)
        return scored(variables, data.validation, jnp.arange(v), v, n)

    variables, step, last = slot.variables, lane.step, lane.step == job.budget
    train = scored(variables, data.train, order, size if last else few)
    validation = validated(variables)
    if not np.isfinite(float(train.loss)):
        return _failure(lane, lane.step, data)
    if budget.stop_when_fit and not last and train.error == 0:
        train = scored(variables, data.train, order, size)
        last = bool(train.error == 0)
    if budget.patience:
        loss, error = float(validation.loss), float(validation.error)
        found = (error, loss) if program.scoring is None else program.scoring.order(loss, error)
        if lane.best is None or found < lane.best.validation:
            lane.best, lane.stale = _Best(lane.step, found, variables), 0
        else:
            lane.stale += 1
        last = last or lane.stale >= budget.patience
    while len(lane.scores) < len(lane.events) and lane.next_event == lane.step:
        lane.scores.append(_curves(train, validation))
    if not last:
        return None
    if lane.best is not None and lane.best.step < lane.step:
        variables, step = lane.best.variables, lane.best.step
        validation = validated(variables)
    if step < lane.step or budget.patience:
        train = scored(variables, data.train, order, size)
    _close(lane, step, _curves(train, validation))
    wrong, test_loss, test_error = np.zeros(0, bool), np.nan, np.nan
    if data.test is not None:
        m = len(data.test.targets)
        first = n + len(data.validation.targets)
        test = scored(variables, data.test, jnp.arange(m), m, first)
        wrong, test_loss, test_error = np.asarray(test.wrong), float(test.loss), float(test.error)
    kept = jax.device_get(variables) if job.keep else None
    return _outcome(lane, 0, lane.step, np.asarray(validation.wrong), wrong, test_loss, test_error, kept)


def _curves(train: steps.Score, validation: steps.Score) -> tuple[float, ...]:
    return float(train.loss), float(train.error), float(validation.loss), float(validation.error)


def _close(lane: _Lane, step: int, score: tuple[float, ...]) -> None:
    """The curves of a run that has ended: from here to their last entry, the net that is kept."""
    reached = min(len(lane.scores), len(lane.events) - 1)
    left = len(lane.events) - reached
    lane.events[reached:] = [step] * left
    lane.scores[reached:] = [score] * left


def _failure(lane: _Lane, step: int, data: Data) -> Outcome:
    lane.scores += [(np.nan,) * 4] * (len(lane.events) - len(lane.scores))
    m = 0 if data.test is None else len(data.test.targets)
    error = np.nan if data.test is None else 1.0
    return _outcome(
        lane, 1, step, np.ones(len(data.validation.targets), bool), np.ones(m, bool), np.nan, error, None
    )  # fmt: skip


def _outcome(
    lane: _Lane,
    status: int,
    step: int,
    validation_wrong: np.ndarray,
    wrong: np.ndarray,
    test_loss: float,
    test_error: float,
    variables: Any,
) -> Outcome:
    train_loss, train_error, validation_loss, validation_error = (list(c) for c in zip(*lane.scores, strict=True))
    return Outcome(
        status=status,
        steps=step,
        recorded_step=lane.events,
        train_loss=train_loss,
        train_error=train_error,
        validation_loss=validation_loss,
        validation_error=validation_error,
        test_loss=test_loss,
        test_error=test_error,
        validation_wrong=validation_wrong,
        wrong=wrong,
        variables=variables,
    )
