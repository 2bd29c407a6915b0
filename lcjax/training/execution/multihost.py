"""The processes of one job under `jax.distributed`: what they tell each other about a sweep."""

import os
import pickle
from typing import Any

import jax
import numpy as np

from lcjax.training.execution.execution import Execution
from lcjax.training.storage.store import Store

__all__ = ["exchange", "open_store"]

PIECE = 2**24  # bytes of each process in one round
WEEKS = 60 * 60 * 24 * 28  # seconds that a process waits for the slowest


def exchange(value: Any) -> list[Any]:
    """What every process gives, by its index; every process of the job must come here.

    The processes first wait for each other, as long as it takes: collectives over TCP give up after half a minute. Then
    the pickled values go round in pieces. Without `jax.distributed` this is `[value]`.

    Args:
        value: anything that pickle takes; keep arrays on the host.

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
    told = np.frombuffer(pickle.dumps(value), np.uint8)
    lengths = process_allgather(np.array([len(told)], np.int32 if len(told) < 2**31 else np.int64))[:, 0].tolist()
    parts: list[list[bytes]] = [[] for _ in range(count)]
    for first in range(0, max(lengths), PIECE):
        piece = np.zeros(min(PIECE, max(lengths) - first), np.uint8)
        own = told[first : first + PIECE]
        piece[: len(own)] = own
        for process, row in enumerate(process_allgather(piece)):
            parts[process].append(row[: max(lengths[process] - first, 0)].tobytes())
    return [pickle.loads(b"".join(pieces)) for pieces in parts]


def open_store(
    folder: str | os.PathLike[str], parts: dict[str, Any], executions: tuple[Execution | None, ...]
) -> Store:
    """The folder, by all processes of the job: process 0 first; where one is refused all are.

    Raises:
        ValueError: as `Store`.
        OSError: as `Store`.
    """
    store, failure = None, None
    for turn in (0, 1):
        if min(jax.process_index(), 1) == turn:
            try:
                store = Store(folder, parts, executions, jax.process_index(), jax.process_count())
            except (ValueError, OSError) as error:
                failure = error
        told = [text for text in exchange(None if failure is None else str(failure)) if text is not None]
        if told:
            if store is not None:
                store.close()
            raise failure or ValueError(told[0])
    assert store is not None
    return store
