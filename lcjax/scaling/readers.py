"""Tables of training runs as people have them: parameters, tokens, compute and loss under their usual names."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from lcjax.curves.readers.sources import open_table, source_name
from lcjax.scaling.identifiability import format_size
from lcjax.scaling.runs import FLOPS, training_compute
from lcjax.tables.cells import parse_count
from lcjax.tables.table import Table

__all__ = ["RunTable", "read_runs"]

ROLES = ("params", "tokens", "compute", "loss")
_NAMES = {
    "params": "n, params, param, parameters, n params, num params, n parameters, num parameters, model size, "
    "model params, non embedding params, non embedding parameters",
    "tokens": "d, tokens, n tokens, num tokens, train tokens, training tokens, examples, n examples, data size, "
    "dataset size",
    "compute": "c, compute, flops, flop, budget, train flops, train flop, training flops, training flop, total flops",
    "loss": "l, loss, final loss, test loss, val loss, validation loss, eval loss, cross entropy, nll",
}
# Of two columns of one kind, the one on held-out data is meant.
_PREFERRED = {"loss": ("test loss", "val loss", "validation loss", "eval loss")}
_CONSISTENT = 2.0  # ratio of stated compute and 6 params tokens that embeddings and attention explain
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclasses.dataclass(frozen=True)
class RunTable:
    """A table of runs.

    Attributes:
        columns: "params", "tokens", "compute" and "loss", and further columns that were asked for, `(n,)` each.
        notes: what was read, derived and left out, a sentence each.
    """

    columns: Mapping[str, Float[np.ndarray, " n"]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns["loss"])


def read_runs(
    source: object,
    *,
    columns: Mapping[str, str] | None = None,
    further: Sequence[str] = (),
    select: Mapping[str, str] | None = None,
    flops: float = FLOPS,
) -> RunTable:
    """Read a table of training runs.

    Columns are found by usual names, such as `N`, `params` or `Model Size`. Of params, tokens and compute one may be
    absent: it follows from `compute = 6 params tokens`. Runs without a loss and repeated rows are left out, which the
    notes say.

    Args:
        source: path of a CSV or Parquet file, "-" for standard input, or a data frame (a mapping of columns).
        columns: heading of the column of "params", "tokens", "compute" or "loss", where the usual names do not tell.
        further: headings of other columns of numbers to be read, such as "unique_tokens".
        select: value that a column must have, for tables of several experiments.
        flops: operations per parameter and token.

    Returns:
        `RunTable`.

    Raises:
        ValueError: a column is missing or ambiguous, a value is no positive number, no run has a loss, or the stated
            compute contradicts params and tokens.
        OSError: the file cannot be read.

    Examples:
        >>> table = read_runs({"N": [1e6, 4e6], "FLOPs": [6e14, 24e14], "val_loss": [3.5, 3.1]})
        >>> table.columns["tokens"].tolist(), table.notes[-1]
        ([100000000.0, 100000000.0], 'Tokens are compute / (6 params).')
    """
    table, name = open_table(source), source_name(source)
    notes = list(table.notes)
    for column, value in (select or {}).items():
        kept = np.array([cell.strip() == value for cell in table.cells(_find(table, column, name))])
        if not kept.any():
            raise ValueError(f"{name}: no row has {value!r} in the column {column!r}.")
        table = table.take(kept)
    found = {role: place for role in ROLES if (place := _column_of(table, role, columns or {}, name)) is not None}
    if "loss" not in found or len(found) < 3:
        missing = [role for role in ROLES if role not in found]
        need = ["loss"] if "loss" in missing else missing
        raise ValueError(
            f"{name}: no column for {' or '.join(need)} among {', '.join(table.heading)}. "
            f"Name it, as in columns={{{need[0]!r}: ...}}."
        )
    values = {role: table.numbers(place, role, parse_count) for role, place in found.items() if role != "loss"}
    values["loss"] = table.numbers(found["loss"], "loss")
    for column in further:
        values[column] = table.numbers(_find(table, column, name), column)
    shown = [f"{role} from {table.heading[place].strip()!r}" for role, place in found.items()]
    notes.append(f"Read {', '.join(shown)}.")
    here = ~np.isnan(np.stack([*values.values()])).any(axis=0)
    if not here.all():
        notes.append(f"{np.sum(~here)} of {len(here)} rows lack a value and are left out.")
    for role, place in found.items():
        wrong = here & ~(np.isfinite(values[role]) & (values[role] > 0))
        if wrong.any():
            remedy = "leave a diverged run out" if role == "loss" else "it counts something"
            table.refuse(wrong, f"{role} must be a positive number ({remedy}), got {{}}", place)
    values = {role: column[here] for role, column in values.items()}
    if not here.any():
        raise ValueError(f"{name}: no row has all of {', '.join(values)}.")
    values, own = _complete(values, flops, name)
    notes += own
    rows = np.stack([*values.values()])
    first = np.sort(np.unique(rows, axis=1, return_index=True)[1])
    if len(first) < rows.shape[1]:
        notes.append(f"{rows.shape[1] - len(first)} repeated rows are counted once.")
        values = {role: column[first] for role, column in values.items()}
    return RunTable({role: values[role] for role in (*ROLES, *further)}, tuple(notes))


def _complete(
    values: dict[str, Float[np.ndarray, " n"]], flops: float, name: str
) -> tuple[dict[str, Float[np.ndarray, " n"]], list[str]]:
    """Derive the third of params, tokens and compute, or check it."""
    factor = f"{flops:g}"
    if "tokens" not in values:
        derived = values["compute"] / (flops * values["params"])
        return {**values, "tokens": derived}, [f"Tokens are compute / ({factor} params)."]
    if "params" not in values:
        derived = values["compute"] / (flops * values["tokens"])
        return {**values, "params": derived}, [f"Params are compute / ({factor} tokens)."]
    product = training_compute(values["params"], values["tokens"]) * (flops / FLOPS)
    if "compute" not in values:
        return {**values, "compute": product}, [f"Compute is {factor} params tokens."]
    ratio = values["compute"] / product
    middle = float(np.median(ratio))
    if not 1 / _CONSISTENT < middle < _CONSISTENT:
        raise ValueError(
            f"{name}: compute is {middle:.3g} times {factor} params tokens in the median run, such as "
            f"{values['compute'][0]:.3g} for {format_size(values['params'][0])} params and "
            f"{format_size(values['tokens'][0])} tokens: mixed units? Name another column, or pass flops=."
        )
    off = np.flatnonzero((ratio > _CONSISTENT * middle) | (ratio < middle / _CONSISTENT))
    if off.size:
        raise ValueError(
            f"{name}: in run {off[0] + 1} (loss {values['loss'][off[0]]:g}) compute is {ratio[off[0]]:.3g} times "
            f"{factor} params tokens, in the median run {middle:.3g} times: mixed units? Correct the {off.size} run"
            f"{'s' if off.size > 1 else ''} of that kind, or name another column."
        )
    return values, []


def _column_of(table: Table, role: str, given: Mapping[str, str], name: str) -> int | None:
    """Return the column of a role; None if no heading is a usual name of it."""
    if role in given:
        return _find(table, given[role], name)
    headings = [" ".join(_WORD.findall(_CAMEL.sub(" ", text).lower())) for text in table.heading]
    usual = _NAMES[role].split(", ")
    places = [place for place, heading in enumerate(headings) if heading in usual]
    better = [place for place in places if headings[place] in _PREFERRED.get(role, ())]
    places = better or places
    if len(places) > 1:
        listed = " and ".join(repr(table.heading[place].strip()) for place in places)
        raise ValueError(f"{name}: {listed} may both be {role}: name one, as in columns={{{role!r}: ...}}.")
    return places[0] if places else None


def _find(table: Table, heading: str, name: str) -> int:
    """Return the column with a heading."""
    names = [text.strip() for text in table.heading]
    if heading not in names:
        raise ValueError(f"{name}: there is no column {heading!r}, only {', '.join(names)}.")
    return names.index(heading)
