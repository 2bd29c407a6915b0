"""Trainings whose examples are streamed: the resident step, fed with batches that are read ahead of it.

Nothing is compiled but what `lcjax.training.execution.step` has: the step sees a training set that is one minibatch,
and takes its rows in order. Which examples these are is computed ahead by the program's own sampling, so shards and
minibatches are those of a resident training.
"""

import contextlib
import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Key

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed, fetch_rows
from lcjax.kernels.compilation import jit
from lcjax.training.execution import step as steps
from lcjax.training.execution.execution import Execution
from lcjax.training.program import Program

__all__ = ["EXECUTION", "Feed", "check_streamed", "feeding", "is_streamed", "score", "start"]

EXECUTION = Execution("step", 1, plain=True)
AHEAD = 3  # batches read and copied to the device before they are needed
BLOCK = 64  # steps whose examples are drawn at once


def is_streamed(data: Data) -> bool:
    """Whether any split stays outside of memory."""
    parts = (data.train, data.validation, data.test)
    return any(part is not None and isinstance(part.inputs, Streamed) for part in parts)


def check_streamed(program: Program, execution: Execution) -> None:
    """Refuse what a streamed training cannot do.

    Raises:
        ValueError: the program corrupts what it sees or trains on sequences, or several steps would be one program.
    """
    if program.corrupt is not None or program.scoring is not None:
        raise ValueError("Streamed data can be neither corrupted nor sequences: put them into memory.")
    if execution.mode != "step":
        raise ValueError(f"Streamed data are trained in programs of one step, such as {EXECUTION}, not {execution}.")


def start(key: Key[jax.Array, ""], data: Data, orders: Any, order: int, program: Program, **rest: Any) -> steps.Slot:
    """`steps.start`, of a run whose initial examples are read now."""
    size = int(rest["columns"]["size"])
    sample = np.asarray(orders[order])[: min(size, steps.INITIAL_EXAMPLES)]
    part, in_order = _read(data, data.train, sample), jnp.arange(len(sample), dtype=jnp.int32)[None]
    slot = steps.start(key, part, in_order, order=jnp.int32(0), program=program, **rest)
    return dataclasses.replace(slot, order=jnp.int32(order))


def score(
    variables: Any,
    columns: dict[str, jax.Array],
    data: Data,
    examples: Examples,
    index: Int[Any, " n"],
    count: int,
    *,
    program: Program,
    train: bool,
    top: int = 1,
    plain: bool = False,
) -> steps.Score:
    """`steps.score`, batch by batch as they are read."""
    index = np.asarray(index)
    n = len(index)
    batch = min(steps.EVALUATION_BATCH, n)
    loss, wrong = 0.0, np.zeros(n, bool)
    firsts = range(0, count, batch)
    chosen = (index[first : min(first + batch, count)] for first in firsts)
    with ThreadPoolExecutor(1) as pool:
        parts = _read_ahead(pool, partial(_read, data, examples, rows=batch), chosen)
        for first, part in zip(firsts, parts, strict=True):
            counted = min(batch, count - first)
            one = steps.score(
                variables,
                columns,
                part,
                part.train,
                jnp.arange(batch),
                jnp.int32(counted),
                jax.random.key(0),  # nothing is corrupted
                jnp.int32(0),
                program=program,
                train=train,
                top=top,
                plain=plain,
            )
            loss += float(one.loss) * counted
            wrong[first : first + counted] = np.asarray(one.wrong)[:counted]
    return steps.Score(loss=jnp.asarray(loss / count), error=jnp.asarray(wrong.sum() / count), wrong=jnp.asarray(wrong))


class Feed:
    """Minibatches of the runs in the slots, read ahead of their steps; what is ahead stays from chunk to chunk."""

    def __init__(self, data: Data, orders: Any, program: Program, pool: ThreadPoolExecutor) -> None:
        self._data, self._orders, self._pool = data, np.asarray(orders), pool
        self._sampling = program.sampling
        self._batch = program.batch
        self._program = dataclasses.replace(program, sampling=_in_order)
        self._streams: dict[int, tuple[tuple[int, ...], Iterator[Data]]] = {}  # slot -> which run and step, and on

    def advance(self, place: int, slot: steps.Slot, count: int, *, plain: bool) -> steps.Slot:
        """The slot at `place` after so many steps."""
        order, step = slot.order, int(slot.step)
        run = *np.asarray(jax.random.key_data(slot.minibatches)).tolist(), int(order), int(slot.columns["size"])
        known, batches = self._streams.pop(place, ((), iter(())))
        if known != (*run, step):
            batches = _read_ahead(self._pool, partial(_read, self._data, self._data.train), self._examples(slot, step))
        slot = dataclasses.replace(slot, order=jnp.int32(0))
        in_order = jnp.arange(self._batch, dtype=jnp.int32)[None]
        for part in itertools.islice(batches, count):
            slot = steps.advance_once(slot, part, in_order, program=self._program, plain=plain)
        self._streams[place] = (*run, step + count), batches
        return dataclasses.replace(slot, order=order)

    def _examples(self, slot: steps.Slot, step: int) -> Iterator[np.ndarray]:
        """Which training examples each step from here on sees."""
        key, size, order, end = slot.minibatches, slot.columns["size"], self._orders[int(slot.order)], int(slot.budget)
        for first in range(step, end, BLOCK):
            drawn = _draws(key, jnp.int32(first), size, sampling=self._sampling, batch=self._batch)
            yield from order[np.asarray(drawn)][: end - first]


@contextlib.contextmanager
def feeding(data: Data, orders: Any, program: Program) -> Iterator[Feed | None]:
    """The feed of a training on streamed data; `None` for resident data."""
    if not is_streamed(data):
        yield None
        return
    pool = ThreadPoolExecutor(1)
    try:
        yield Feed(data, orders, program, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _read(data: Data, examples: Examples, index: np.ndarray, *, rows: int = 0) -> Data:
    """A task whose training set are these examples, on the device; the last one repeated to so many rows."""
    inputs, targets = fetch_rows(examples.inputs, index), np.asarray(examples.targets)[index]
    if rows > len(index):
        last = np.minimum(np.arange(rows), len(index) - 1)
        inputs, targets = inputs[last], targets[last]
    few = Examples(*jax.device_put((inputs, targets)))
    return dataclasses.replace(data, train=few, validation=few, test=None)


def _read_ahead(
    pool: ThreadPoolExecutor, read: Callable[[np.ndarray], Data], items: Iterable[np.ndarray]
) -> Iterator[Data]:
    """What is read for each item, in order; the next ones are on their way."""
    waiting: deque[Future[Data]] = deque()
    for item in items:
        waiting.append(pool.submit(read, item))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _in_order(key: Key[jax.Array, ""], step: Any, size: Any, *, batch: int) -> jax.Array:
    """The sampling of a training set that is one minibatch."""
    return jnp.arange(batch, dtype=jnp.int32)


@jit(static_argnames=("sampling", "batch"))
def _draws(
    key: Key[jax.Array, ""], first: jax.Array, size: jax.Array, *, sampling: Callable[..., Any], batch: int
) -> Int[jax.Array, "steps batch"]:
    """Positions in the shard of the minibatches of the next steps."""
    return jax.vmap(lambda step: sampling(key, step, size, batch=batch))(first + jnp.arange(BLOCK))
