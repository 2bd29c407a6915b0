"""Processes of one job under `jax.distributed`: their shares of a table, and the exchange of its outcomes."""

import heapq
import pickle
from collections.abc import Mapping, Sequence
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Int

from lcjax.records import canonical_hash
from lcjax.training.concurrency import Execution
from lcjax.training.storage.run_state import Outcome
from lcjax.training.storage.store import Store
from lcjax.typing import PathLike

__all__ = ["check_agreement", "deal", "exchange", "gather_outcomes", "open_store"]

PIECE = 2**24  # bytes of each process in one round
WEEKS = 60 * 60 * 24 * 28  # seconds that a process waits for the slowest

T = TypeVar("T")


def exchange(value: T) -> list[T]:
    """Return the values of all processes, by index; every process of the job must call this.

    The processes first wait for each other without limit, because collectives over TCP give up after half a minute.
    Then the pickled values are gathered in pieces. Without `jax.distributed` this is `[value]`.

    Args:
        value: anything that pickle takes, with its arrays on the host.

    Raises:
        jax.errors.JaxRuntimeError: another process has died.

    Examples:
        >>> exchange({"ready": True})
        [{'ready': True}]
    """
    count = jax.process_count()
    if count == 1:
        return [value]
    from jax.experimental.multihost_utils import process_allgather
    from orbax.checkpoint.multihost import sync_global_processes

    sync_global_processes("lcjax exchange", timeout=WEEKS, processes=set(range(count)))
    message = np.frombuffer(pickle.dumps(value), np.uint8)
    lengths = process_allgather(np.array([len(message)], np.int32 if len(message) < 2**31 else np.int64))[:, 0].tolist()
    parts: list[list[bytes]] = [[] for _ in range(count)]
    for first in range(0, max(lengths), PIECE):
        buffer = np.zeros(min(PIECE, max(lengths) - first), np.uint8)
        piece = message[first : first + PIECE]
        buffer[: len(piece)] = piece
        for process, row in enumerate(process_allgather(buffer)):
            parts[process].append(row[: max(lengths[process] - first, 0)].tobytes())
    return [pickle.loads(b"".join(pieces)) for pieces in parts]


def deal(tables: Sequence[Sequence[int]], budget: Int[np.ndarray, " w"], count: int) -> dict[int, int]:
    """Assign rows to processes: within each program longest first, each to the process with the least work so far.

    Args:
        tables: rows to train, one list per program.
        budget: steps of every row of the table.
        count: processes.

    Examples:
        >>> deal([[0, 1, 2, 3]], np.array([10, 30, 20, 10]), 2)
        {1: 0, 2: 1, 0: 1, 3: 0}
    """
    loads = [(0, process) for process in range(count)]
    process_of = {}
    for rows in tables:
        for row in sorted(rows, key=lambda row: (-int(budget[row]), row)):
            load, process = loads[0]
            heapq.heapreplace(loads, (load + int(budget[row]), process))
            process_of[row] = process
    return process_of


def open_store(folder: PathLike, parts: Mapping[str, object], executions: tuple[Execution | None, ...]) -> Store:
    """Open the folder in all processes of the job, process 0 first; if one raises an error of `Store`, all do."""
    store, failure = None, None
    for turn in (0, 1):
        if min(jax.process_index(), 1) == turn:
            try:
                store = Store(folder, parts, executions, jax.process_index(), jax.process_count())
            except (ValueError, OSError) as error:
                failure = error
        reasons = [reason for reason in exchange(None if failure is None else str(failure)) if reason is not None]
        if reasons:
            if store is not None:
                store.close()
            raise failure or ValueError(reasons[0])
    assert store is not None
    return store


def check_agreement(parts: Mapping[str, object], executions: tuple[Execution | None, ...]) -> None:
    """Raise ValueError if processes of a job have different sweeps, with the first that differs and the parts."""
    if jax.process_count() == 1:
        return
    identities = exchange(({name: canonical_hash(part) for name, part in parts.items()}, executions))
    for process, (hashes, others) in enumerate(identities):
        different = [name for name in parts if hashes[name] != identities[0][0][name]]
        different += ["execution"] if others != identities[0][1] else []
        if different:
            raise ValueError(
                f"All processes of a job must sweep the same table; process {process} differs from process 0 in "
                f"{', '.join(different)}."
            )


def gather_outcomes(
    outcomes: Mapping[int, Outcome], restored: Sequence[Sequence[int]], failure: Exception | None, w: int
) -> list[Outcome]:
    """Return the outcomes of all w rows from all processes, in the table's order.

    Rows that every process has `restored` from its folder are not sent.

    Raises:
        Exception: the failure of this process.
        RuntimeError: another process failed.
    """
    known = set(restored[0]).intersection(*restored)
    news = {row: outcome for row, outcome in outcomes.items() if row not in known}
    messages = exchange((news, None if failure is None else f"{type(failure).__name__}: {failure}"))
    if failure is not None:
        raise failure
    for process, (others, reason) in enumerate(messages):
        if reason is not None:
            raise RuntimeError(f"Process {process} failed; the others have trained their share. {reason}")
        outcomes = {**others, **outcomes}
    return [outcomes[row] for row in range(w)]
