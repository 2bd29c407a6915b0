"""Shares of a table for the processes of one job, and the exchange of its outcomes."""

import dataclasses
import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Int

from lcjax.jobs.messages import exchange
from lcjax.jobs.peers import PeerError, process_count, process_index
from lcjax.records import canonical_hash
from lcjax.training.concurrency import Execution
from lcjax.training.storage.run_state import Outcome
from lcjax.training.storage.store import Store
from lcjax.typing import PathLike

__all__ = ["check_agreement", "deal", "exchange_states", "gather_outcomes", "open_store"]

_FIELDS = tuple(field.name for field in dataclasses.fields(Outcome) if field.name != "variables")


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
        if min(process_index(), 1) == turn:
            try:
                store = Store(folder, parts, executions, process_index(), process_count())
            except (ValueError, OSError) as error:
                failure = error
        messages = exchange(None if failure is None else str(failure))
        reasons = [message.value for message in messages if message.value is not None]
        if reasons:
            if store is not None:
                store.close()
            raise failure or ValueError(reasons[0])
    assert store is not None
    return store


def check_agreement(parts: Mapping[str, object], executions: tuple[Execution | None, ...]) -> None:
    """Raise ValueError if processes of a job have different sweeps, with the first that differs and the parts."""
    if process_count() == 1:
        return
    hashes = {name: canonical_hash(part) for name, part in parts.items()}
    spelled = {"execution": ", ".join(map(str, executions))}
    identities = [message.value for message in exchange({**hashes, **spelled})]
    first = identities[0]
    for process, identity in enumerate(identities):
        assert isinstance(identity, dict)
        assert isinstance(first, dict)
        different = [name for name in {**identity, **first} if identity.get(name) != first.get(name)]
        if different:
            raise ValueError(
                f"All processes of a job must sweep the same table; process {process} differs from process 0 in "
                f"{', '.join(different)}."
            )


def exchange_states(attempts: int, rows: Sequence[int]) -> tuple[int, list[list[int]]]:
    """Return the largest number of earlier attempts of any process, and the rows that each process has restored."""
    messages = exchange(attempts, {"rows": np.array(rows, np.int64)})
    counts = [message.value for message in messages if isinstance(message.value, int)]
    return max(counts), [message.arrays["rows"].tolist() for message in messages]


def gather_outcomes(
    outcomes: Mapping[int, Outcome], restored: Sequence[Sequence[int]], failure: Exception | None, w: int
) -> list[Outcome]:
    """Return the outcomes of all w rows from all processes, in the table's order.

    Rows that every process has `restored` from its folder are not sent.

    Raises:
        Exception: the failure of this process.
        PeerError: another process failed.
    """
    if process_count() == 1:
        if failure is not None:
            raise failure
        return [outcomes[row] for row in range(w)]
    known = set(restored[0]).intersection(*restored)
    news = {row: outcome for row, outcome in outcomes.items() if row not in known}
    messages = exchange(None if failure is None else f"{type(failure).__name__}: {failure}", _to_arrays(news))
    if failure is not None:
        raise failure
    for process, message in enumerate(messages):
        if message.value is not None:
            raise PeerError(f"Process {process} failed; the others have trained their share. {message.value}")
        outcomes = {**_from_arrays(message.arrays), **outcomes}
    return [outcomes[row] for row in range(w)]


def _to_arrays(outcomes: Mapping[int, Outcome]) -> dict[str, np.ndarray]:
    """Return every field and variable of the outcomes as an array, named by row and place."""
    fields = {f"{row}/{name}": getattr(outcome, name) for row, outcome in outcomes.items() for name in _FIELDS}
    for row, outcome in outcomes.items():
        if outcome.variables is not None:
            fields |= flatten_dict({f"{row}": {"variables": outcome.variables}}, sep="/")
    return {name: np.asarray(value) for name, value in fields.items()}


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[int, Outcome]:
    """Return the outcomes, by row."""
    outcomes = {}
    for row, fields in unflatten_dict(dict(arrays), sep="/").items():
        variables = fields.pop("variables", None)
        plain = {name: value if value.dtype == bool else value.tolist() for name, value in fields.items()}
        outcomes[int(row)] = Outcome(**plain, variables=variables)
    return outcomes
