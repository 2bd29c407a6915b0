"""The table of runs: one row per training, everything that varies between rows an array column."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Num, Shaped

from lcjax.data.shards import Shards, nested_shards
from lcjax.training.program import Program
from lcjax.typing import Array

__all__ = ["Runs", "check_columns", "columns_of"]

Values: TypeAlias = Sequence[float | int | np.generic] | Array | np.generic | float | int


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Runs:
    """A table of runs. Rows that share a program are compiled once.

    Attributes:
        programs: the programs, each compiled once.
        program: index into `programs` for each run, `(w,)`.
        columns: numbers of each run, each `(w,)`: "size", "seed" and "learning_rate" are required; "weight_decay" adds
            its multiple of all parameters to the gradient; "l1", "l2" and "vc" are strengths of penalties on weights
            and pre-activations of all layers, "l2/head" and the like of one layer (see `lcjax.training.penalties`);
            programs name the others.
        shards: the order of the training set of which a shard is a prefix, a function at module level of `(key of the
            seed's orders, size) -> key of the order`: `lcjax.data.nested_shards` or `lcjax.data.independent_shards`.
        axes: lengths of the axes of a grid; set by `grid` and `cross`.

    Lists, arrays of other libraries and whole sizes and seeds in floating point are converted to NumPy arrays.
    """

    programs: tuple[Program, ...]
    program: Int[np.ndarray, " w"]
    columns: Mapping[str, Num[np.ndarray, " w"]]
    shards: Shards = nested_shards
    axes: tuple[int, ...] | None = None

    def __init__(
        self,
        programs: Program | Sequence[Program],
        program: Values,
        columns: Mapping[str, Values],
        shards: Shards = nested_shards,
        axes: tuple[int, ...] | None = None,
    ) -> None:
        numbers = {name: np.asarray(column) for name, column in columns.items()}
        numbers |= {name: _to_whole(numbers[name]) for name in ("size", "seed") if name in numbers}
        fields = {
            "programs": (programs,) if isinstance(programs, Program) else tuple(programs),
            "program": _to_whole(np.atleast_1d(np.asarray(program))),
            "columns": numbers,
            "shards": shards,
            "axes": axes,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def grid(
        cls, programs: Program | Sequence[Program], *, shards: Shards = nested_shards, **columns: Values
    ) -> "Runs":
        """Return the table of all combinations of programs and column values.

        Programs vary slowest, then the columns in the order given; the last column varies fastest. A sequence makes an
        axis of the grid, a single program or number does not.

        Args:
            programs: one program, or a sequence of them.
            shards: as the attribute.
            columns: values of each column, a number or a sequence.

        Raises:
            ValueError: the values of a column have more than one axis.

        Examples:
            >>> import lcjax as lc
            >>> from lcjax.training import Budget, constant, momentum, with_replacement
            >>> model, budget = lc.models.MLP((8,), 4), Budget(steps=3)
            >>> program = lc.Program(model, lc.cross_entropy, momentum, constant, 4, budget, with_replacement)
            >>> runs = lc.Runs.grid(program, learning_rate=0.1, seed=range(2), size=[10, 20, 40])
            >>> runs.columns["seed"].tolist(), runs.columns["size"].tolist()
            ([0, 0, 0, 1, 1, 1], [10, 20, 40, 10, 20, 40])
            >>> runs.unstack(runs.columns["size"]).tolist()
            [[10, 20, 40], [10, 20, 40]]
        """
        entries = (programs,) if isinstance(programs, Program) else tuple(programs)
        axes = () if isinstance(programs, Program) else (len(entries),)
        return cls(entries, np.arange(len(entries)), {}, shards, axes).cross(**columns)

    def cross(self, **columns: Values) -> "Runs":
        """Return every run with every combination of new column values.

        The rows of this table vary slowest and the last column fastest. Columns of the same name are replaced.

        Args:
            columns: values of each column, a sequence for an axis of its own or a number for all rows.

        Raises:
            ValueError: the values of a column have more than one axis.
        """
        values = {name: np.asarray(value) for name, value in columns.items()}
        for name, value in values.items():
            if value.ndim > 1:
                raise ValueError(f"Column {name!r} of a grid must be a number or a sequence, got shape {value.shape}.")
        varied = [name for name, value in values.items() if value.ndim]
        shape = (len(self.program), *(len(values[name]) for name in varied))
        row, *places = np.indices(shape).reshape(len(shape), -1)
        table = {name: np.asarray(column)[row] for name, column in self.columns.items()}
        table |= {name: np.full(len(row), value) for name, value in values.items() if not value.ndim}
        table |= {name: values[name][place] for name, place in zip(varied, places, strict=True)}
        axes = (len(self.program),) if self.axes is None else self.axes
        return Runs(self.programs, np.asarray(self.program)[row], table, self.shards, (*axes, *shape[1:]))

    def unstack(self, values: Shaped[Array, "w *rest"]) -> Shaped[np.ndarray, "..."]:
        """Reshape values of all runs to `(*axes, *rest)`, on the host: the axes of the grid, then those of each value.

        Args:
            values: one entry per run, such as a field of a `SweepResult`.

        Raises:
            ValueError: the table is not a grid, or the values are not one per run.
        """
        if self.axes is None:
            raise ValueError(
                f"This table of {len(self.program)} runs is not a grid: make it by Runs.grid or Runs.cross to unstack."
            )
        if len(values) != len(self.program):
            raise ValueError(f"Got {len(values)} values to unstack for {len(self.program)} runs.")
        return np.asarray(values).reshape(*self.axes, *values.shape[1:])

    def rows(self, index: Sequence[int] | np.ndarray | slice) -> "Runs":
        """Return the runs selected by a NumPy index; the result is not a grid."""
        columns = {name: np.asarray(column)[index] for name, column in self.columns.items()}
        return Runs(self.programs, np.asarray(self.program)[index], columns, self.shards)


def _to_whole(column: np.ndarray) -> np.ndarray:
    """Convert whole numbers in floating point to integers; leave all others for `check_columns`."""
    is_whole = column.dtype.kind == "f" and np.all((np.abs(column) < 2**53) & (column == np.round(column)))
    return column.astype(np.int64) if is_whole else column


def check_columns(runs: Runs, n: int) -> None:
    """Check that every column of a table can be trained on; n is the number of training examples.

    Raises:
        ValueError: a column is missing, has the wrong length or holds a value out of range; it names column, row and
            value.
    """
    w = len(runs.program)
    for name in ("size", "seed", "learning_rate"):
        if name not in runs.columns:
            raise ValueError(f"The table of runs has no column {name!r}; it has {', '.join(sorted(runs.columns))}.")
    for name, column in {**runs.columns, "program": runs.program}.items():
        if column.shape != (w,):
            raise ValueError(f"Column {name!r} has shape {column.shape} for {w} runs.")
        if column.dtype.kind not in "biuf":
            values = column.tolist()
            row = next((i for i, v in enumerate(values) if not isinstance(v, int | float) or abs(v) >= 2**63), 0)
            remedy = " Pass a schedule as Program.schedule." if callable(values[row]) else ""
            raise ValueError(f"Column {name!r} is {values[row]!r} in row {row}: it must hold numbers.{remedy}")
    if w == 0:
        raise ValueError("The table of runs has no rows.")
    for i, program in enumerate(runs.programs):
        if not isinstance(program, Program):
            raise ValueError(f"Program {i} is {program!r}: pass a lcjax.Program.")
    ranges = {
        "size": (1, n, f"sizes must be whole numbers in [1, {n}], the training set"),
        "seed": (0, 2**32 - 1, "seeds must be whole numbers in [0, 2^32)"),
        "program": (0, len(runs.programs) - 1, f"there are {len(runs.programs)} programs, counted from 0"),
    }
    for name, column in {**runs.columns, "program": runs.program}.items():
        if name in ranges:
            low, high, rule = ranges[name]
            good = (column >= low) & (column <= high) & (column == np.round(column)) & (column.dtype != bool)
        elif name == "learning_rate":
            good, rule = np.isfinite(column) & (column > 0), "learning rates must be positive and finite"
        elif column.dtype.kind == "f":
            good, rule = np.isfinite(column), "it must be finite"
        else:
            good, rule = column == column.astype(np.int32), "whole numbers must fit into 32 bits"
        if not good.all():
            row = int(np.argmin(good))
            raise ValueError(f"Column {name!r} is {column[row]} in row {row}: {rule}.")


def columns_of(runs: Runs, row: int) -> dict[str, jax.Array]:
    """Return the numbers of one run as a compiled program takes them: integers as int32, rates as floating point."""
    numbers = {}
    for name, column in runs.columns.items():
        whole = column.dtype.kind in "iub"
        dtype = jnp.result_type(float if not whole or name == "learning_rate" else np.int32)
        numbers[name] = column[row].astype(dtype if whole else jax.dtypes.canonicalize_dtype(column.dtype))
    placed: dict[str, jax.Array] = jax.device_put(numbers)
    return placed
