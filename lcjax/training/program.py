"""Training programs: everything about a run that is compiled, and how long it trains."""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int

from lcjax.training.sampling import consecutive
from lcjax.training.scoring import Scoring
from lcjax.typing import KeyArray

__all__ = ["Budget", "Columns", "Corruption", "Program", "Sampling", "steps_of", "to_number"]

Columns: TypeAlias = dict[str, jax.Array]  # the numbers of one run, traced scalars


@runtime_checkable
class Sampling(Protocol):
    """Choice of a minibatch: positions in the run's shard, a pure function at module level."""

    def __call__(self, key: KeyArray, step: jax.Array, size: jax.Array, *, batch: int) -> Int[jax.Array, " batch"]:
        """Return the positions of the examples of one step, each in [0, size)."""


@runtime_checkable
class Corruption(Protocol):
    """Fixed change of inputs and targets as stored, a function at module level or a frozen dataclass.

    The key is the run's own, by seed. The number identifies an example among those of all splits, so that each example
    changes in the same way whenever the run draws it.
    """

    def __call__(
        self,
        key: KeyArray,
        number: Int[jax.Array, " b"],
        inputs: jax.Array,
        targets: jax.Array,
        columns: Columns,
        /,
        *,
        train: bool,
    ) -> tuple[jax.Array, jax.Array]:
        """Return the inputs `(b, ...)` and targets `(b, ...)` that the run uses; `train` marks training examples."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """Length of a run: `max(steps, epochs * size / batch)` optimizer steps, rounded up, unless it stops early.

    A run is scored at `records` steps, evenly spaced over its budget. Only there may it stop early, so that the step at
    which it stops does not depend on the other runs of the table.

    Attributes:
        steps: smallest number of optimizer steps.
        epochs: passes over the run's own shard; 0 for a budget equal at all sizes.
        records: recorded steps, the last one included.
        stop_when_fit: stop at the first recorded step at which every example of the shard is classified correctly.
        patience: stop after this many recorded steps in a row without a new lowest validation error (ties are broken by
            the loss; with `scoring` its `order` decides), and restore the weights of the best step; 0 trains to the
            end.

    Raises:
        ValueError: a number is negative or not finite, or a count is not whole.
    """

    steps: int = 0
    epochs: float | int = 0.0
    records: int = 4
    stop_when_fit: bool = False
    patience: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("epochs", 0), ("records", 1), ("patience", 0)):
            number = to_number(f"Budget.{name}", getattr(self, name), whole=name != "epochs", least=least)
            object.__setattr__(self, name, number)
        object.__setattr__(self, "stop_when_fit", bool(self.stop_when_fit))

    @property
    def may_stop(self) -> bool:
        """True where a run may end before its last step."""
        return self.stop_when_fit or self.patience > 0


@dataclasses.dataclass(frozen=True)
class Program:
    """Everything that is compiled once; every field is static and hashable.

    Attributes:
        model: a Linen module with `features(x, train=False)`, `__call__(x, train=False)` and a submodule `head`.
        objective: the loss, `(outputs (b, ...), targets (b,)) -> losses (b,)`.
        optimizer: `learning_rate -> optax.GradientTransformation`, a function at module level; the rate is traced.
        schedule: `progress in [0, 1] -> factor` of the run's learning rate, a function at module level.
        batch: batch size.
        budget: length of a run.
        sampling: choice of minibatches, a function at module level: with replacement, keyed epochs, or consecutive
            windows of a sequence.
        model_columns: columns of the table that the model's `__call__` takes as keyword arguments.
        augment: random change of normalized training inputs, `(key, inputs) -> inputs`, or `None`.
        dtype: floating dtype of the computation; with "bfloat16" parameters, losses and the optimizer stay float32.
        corrupt: fixed change of the examples of all splits, or `None`; see `Corruption`.
        scoring: units and mistakes of examples that are sequences of targets, or `None` where an example has one
            target. With scoring the objective returns sums over an example, integers other than bytes reach the model
            unchanged (tokens, lengths), and early stopping compares losses.

    Raises:
        ValueError: `batch` is not a positive whole number, `dtype` is not a floating dtype, `model_columns` is a
            string, or `budget` or `scoring` is of another type. Model and functions are checked by `lcjax.sweep`.
    """

    model: nn.Module
    objective: Callable[..., jax.Array]
    optimizer: Callable[[jax.Array], optax.GradientTransformation]
    schedule: Callable[[jax.Array], jax.Array]
    batch: int
    budget: Budget
    sampling: Sampling
    model_columns: tuple[str, ...] = ()
    augment: Callable[[KeyArray, jax.Array], jax.Array] | None = None
    dtype: str = "float32"
    corrupt: Corruption | None = None
    scoring: Scoring | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model_columns, str):
            raise ValueError(f"Program.model_columns must be a tuple of names: ({self.model_columns!r},).")
        if not isinstance(self.budget, Budget):
            raise ValueError(f"Program.budget must be a Budget, such as Budget(steps=1000), got {self.budget!r}.")
        if not isinstance(self.scoring, Scoring | None):
            raise ValueError(f"Program.scoring must be a Scoring or None, got {self.scoring!r}.")
        try:
            dtype = np.dtype(self.dtype or object)  # None would be float64
        except TypeError:
            dtype = np.dtype(object)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f'Program.dtype must be a floating dtype, such as "bfloat16", got {self.dtype!r}.')
        object.__setattr__(self, "batch", to_number("Program.batch", self.batch, whole=True, least=1))
        object.__setattr__(self, "dtype", dtype.name)
        object.__setattr__(self, "model_columns", tuple(self.model_columns))

    @property
    def continuous(self) -> bool:
        """True where a step continues the sequences of the step before, with the state that the model keeps."""
        return self.sampling is consecutive


def to_number(name: str, value: object, *, whole: bool, least: float) -> float | int:
    """Convert a number of Python, NumPy or JAX to a Python number.

    Raises:
        ValueError: `value` is not a finite number of at least `least`, or not whole where it must be.

    Examples:
        >>> to_number("Budget.steps", np.float32(20), whole=True, least=0)
        20
        >>> to_number("Budget.steps", 20.5, whole=True, least=0)
        Traceback (most recent call last):
        ValueError: Budget.steps must be a whole number of at least 0, got 20.5.
    """
    number: float | int | None = None
    if isinstance(value, int | float | np.generic | np.ndarray | jax.Array) and not isinstance(value, bool):
        array = np.asarray(value)
        if array.ndim == 0 and array.dtype.kind in "iuf" and np.isfinite(array) and array >= least:
            number = value if type(value) in (int, float) else array.item()  # type: ignore[assignment]
    if number is None or (whole and number != int(number)):
        kind = "whole" if whole else "finite"
        raise ValueError(f"{name} must be a {kind} number of at least {least}, got {value!r}.")
    return int(number) if whole else number


def steps_of(program: Program, size: int) -> int:
    """Return the optimizer steps in the budget of a run with `size` examples.

    Examples:
        >>> from lcjax.models import MLP, cross_entropy
        >>> from lcjax.training import cosine, epochs, momentum
        >>> program = Program(MLP(), cross_entropy, momentum, cosine, 64, Budget(steps=100, epochs=10), epochs)
        >>> steps_of(program, 320), steps_of(program, 6400)
        (100, 1000)
    """
    return max(program.budget.steps, math.ceil(program.budget.epochs * size / program.batch))
