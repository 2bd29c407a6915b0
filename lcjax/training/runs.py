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

__all__ = ["Runs", "columns_of"]

Values: TypeAlias = Sequence[float | int | np.generic] | np.ndarray | np.generic | float | int


@dataclasses.dataclass(frozen=True, eq=False)
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
    """

    programs: tuple[Program, ...]
    program: Int[np.ndarray, " w"]
    columns: Mapping[str, Num[np.ndarray, " w"]]
    shards: Shards = nested_shards
    axes: tuple[int, ...] | None = None

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


def columns_of(runs: Runs, row: int) -> dict[str, jax.Array]:
    """Return the numbers of one run as a compiled program takes them: integers as int32."""
    return {
        name: jnp.asarray(column[row], jnp.int32 if np.asarray(column).dtype.kind in "iub" else None)
        for name, column in runs.columns.items()
    }
