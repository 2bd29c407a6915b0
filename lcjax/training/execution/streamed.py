"""Training on streamed examples: the resident step, fed with minibatches that are read ahead of it.

Only programs of `lcjax.training.execution.step` are compiled: to the step the training set is one minibatch, whose rows
it takes in order. The program's own sampling draws the examples of each minibatch ahead of time, so shards and
minibatches are those of a resident training.
"""

import dataclasses
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed, fetch_rows
from lcjax.kernels.compilation import jit
from lcjax.threads import ThreadPool
from lcjax.training.concurrency import Execution
from lcjax.training.execution import slots as chunks
from lcjax.training.execution import step as steps
from lcjax.training.execution.local import LocalExecutor, LocalScorer
from lcjax.training.execution.slots import Slot
from lcjax.training.program import Columns, Program, Sampling
from lcjax.training.storage.run_state import Job
from lcjax.typing import KeyArray, Variables

__all__ = ["StreamedExecutor", "StreamedScorer", "is_streamed", "streamed_execution"]

EXECUTION = Execution("step", 1, plain=True)
AHEAD = 3  # batches read and copied to the device before they are needed
BLOCK = 64  # steps whose examples are drawn at once


def is_streamed(data: Data) -> bool:
    """Return True if the inputs of any split stay outside of memory."""
    splits = (data.train, data.validation, data.test)
    return any(split is not None and isinstance(split.inputs, Streamed) for split in splits)


def streamed_execution(program: Program, execution: Execution | None) -> Execution:
    """Return the execution of a program on streamed data: the given one, or one run at a time.

    Raises:
        ValueError: the program corrupts examples or trains on sequences, or its mode makes programs of several steps.
    """
    if program.corrupt is not None or program.scoring is not None:
        raise ValueError("Streamed data can be neither corrupted nor sequences: load them into memory.")
    if execution is not None and execution.mode != "step":
        raise ValueError(f"Streamed data need programs of one step, such as {EXECUTION}, not {execution}.")
    return execution or EXECUTION


@dataclasses.dataclass(frozen=True)
class StreamedScorer(LocalScorer):
    """Scores of one program's runs on streamed data."""

    def score(
        self, variables: Variables, columns: Columns, corruption: KeyArray, part: steps.Part, top: int = 1
    ) -> steps.Score:
        """Score a run on a part of a split, batch by batch as the examples are read."""
        index, count = np.asarray(part.index), int(part.count)
        batch = min(steps.EVALUATION_BATCH, len(index))
        loss, wrong = 0.0, np.zeros(len(index), bool)
        begins = range(0, count, batch)
        rows = (index[begin : min(begin + batch, count)] for begin in begins)
        with ThreadPool(1) as pool:
            parts = _read_ahead(pool, lambda rows: _read(self.data, part.examples, rows, pad=batch), rows)
            for begin, data in zip(begins, parts, strict=True):
                counted = min(batch, count - begin)
                scorer = LocalScorer(data, self.orders, self.program, self.plain)
                resident = steps.Part(data.train, jnp.arange(batch), jnp.int32(counted), jnp.int32(0), part.train)
                score = scorer.score(variables, columns, corruption, resident, top)
                loss += float(score.loss) * counted
                wrong[begin : begin + counted] = np.asarray(score.wrong)[:counted]
        return steps.Score(jnp.asarray(loss / count), jnp.asarray(wrong.sum() / count), jnp.asarray(wrong))


@dataclasses.dataclass(frozen=True)
class StreamedExecutor(LocalExecutor):
    """Runs of one program on one device, on streamed data; see `lcjax.training.execution.executor.Executor`."""

    @property
    def scorer(self) -> StreamedScorer:
        """Scores on the same data."""
        return StreamedScorer(self.data, self.orders, self.program, self.execution.plain)

    def compile_ahead(self, job: Job) -> None:
        """Do nothing: programs are compiled while examples are read."""

    def start(self, job: Job) -> Slot:
        """Return the state of a run before its first step; its initial examples are read now."""
        shard = np.asarray(self.orders[job.order])
        sample = shard[: min(int(job.columns["size"]), steps.INITIAL_EXAMPLES)]
        part, in_order = _read(self.data, self.data.train, sample), jnp.arange(len(sample), dtype=jnp.int32)[None]
        resident = LocalExecutor(self.key, part, in_order, self.program, self.execution)
        slot = resident.start(dataclasses.replace(job, order=0))
        return dataclasses.replace(slot, order=jnp.int32(job.order))

    def advance(self, slots: Slot, todo: Int[np.ndarray, " slots"]) -> Slot:
        """Advance one slot after the other by its number of steps, on the batches that are read ahead."""
        for place in np.flatnonzero(todo).tolist():
            slot = chunks.pick(slots, jnp.int32(place))
            slot = self._feed.advance(place, slot, int(todo[place]), plain=self.execution.plain)
            slots = chunks.put(slots, slot, jnp.int32(place))
        return slots

    def close(self) -> None:
        """Stop reading ahead."""
        self._feed.close()

    @functools.cached_property
    def _feed(self) -> "_Feed":
        return _Feed(self.data, np.asarray(self.orders), self.program)


class _Feed:
    """Minibatches of the runs in the slots, read ahead of their steps and retained from chunk to chunk."""

    def __init__(self, data: Data, orders: Int[np.ndarray, "seeds n"], program: Program) -> None:
        self._data, self._orders, self._pool = data, orders, ThreadPool(1)
        self._sampling, self._batch = program.sampling, program.batch
        self._program = dataclasses.replace(program, sampling=_in_order)
        self._streams: dict[int, tuple[tuple[int, ...], Iterator[Data]]] = {}  # slot -> its run and step, and batches

    def advance(self, place: int, slot: Slot, count: int, *, plain: bool) -> Slot:
        """Advance the slot at `place` by `count` steps."""
        order, step = slot.order, int(slot.step)
        run = *np.asarray(jax.random.key_data(slot.minibatches)).tolist(), int(order), int(slot.columns["size"])
        position, batches = self._streams.pop(place, ((), iter(())))
        if position != (*run, step):
            batches = _read_ahead(
                self._pool, lambda rows: _read(self._data, self._data.train, rows), self._minibatches(slot, step)
            )
        slot = dataclasses.replace(slot, order=jnp.int32(0))
        in_order = jnp.arange(self._batch, dtype=jnp.int32)[None]
        for part in itertools.islice(batches, count):
            slot = steps.advance_once(slot, part, in_order, program=self._program, plain=plain)
        self._streams[place] = (*run, step + count), batches
        return dataclasses.replace(slot, order=order)

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(cancel_futures=True)

    def _minibatches(self, slot: Slot, step: int) -> Iterator[Int[np.ndarray, " batch"]]:
        """Yield the training examples of each step from `step` on."""
        key, size = jax.tree.map(jnp.copy, (slot.minibatches, slot.columns["size"]))  # the slot itself is donated
        order, end = self._orders[int(slot.order)], int(slot.budget)
        for first in range(step, end, BLOCK):
            positions = _draw(key, jnp.int32(first), size, sampling=self._sampling, batch=self._batch)
            yield from order[np.asarray(positions)][: end - first]


def _read(data: Data, examples: Examples, rows: Int[np.ndarray, " rows"], *, pad: int = 0) -> Data:
    """Read examples onto the device, as the training set of a task; the last one is repeated up to `pad` rows."""
    inputs, targets = fetch_rows(examples.inputs, rows), np.asarray(examples.targets)[rows]
    if pad > len(rows):
        last = np.minimum(np.arange(pad), len(rows) - 1)
        inputs, targets = inputs[last], targets[last]
    part = Examples(*jax.device_put((inputs, targets)))
    return dataclasses.replace(data, train=part, validation=part, test=None)


def _read_ahead(pool: ThreadPool, read: Callable[[np.ndarray], Data], items: Iterable[np.ndarray]) -> Iterator[Data]:
    """Yield the part read for each item, in order, while the next ones are being read."""
    pending: deque[Future[Data]] = deque()
    for item in items:
        pending.append(pool.submit(read, item))
        if len(pending) > AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _in_order(
    key: KeyArray, step: Int[jax.Array, ""], size: Int[jax.Array, ""], *, batch: int
) -> Int[jax.Array, " batch"]:
    """Return all positions of a training set that is one minibatch."""
    return jnp.arange(batch, dtype=jnp.int32)


@jit(static_argnames=("sampling", "batch"))
def _draw(
    key: KeyArray, first: Int[jax.Array, ""], size: Int[jax.Array, ""], *, sampling: Sampling, batch: int
) -> Int[jax.Array, "steps batch"]:
    """Return the positions in the shard of the minibatches of the next steps."""
    return jax.vmap(lambda step: sampling(key, step, size, batch=batch))(first + jnp.arange(BLOCK))
