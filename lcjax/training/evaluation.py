"""What the nets of a sweep say afterwards: their mistakes on a split, and their features."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key, Num

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed, fetch_rows, take_rows
from lcjax.kernels.compilation import jit
from lcjax.training.execution import step as steps
from lcjax.training.execution import streamed as streaming
from lcjax.training.program import Program
from lcjax.training.result import SweepResult
from lcjax.training.runs import columns_of

__all__ = ["evaluate", "features"]

Array = jax.Array | np.ndarray

FEATURES_BATCH = 512


def evaluate(
    result: SweepResult, data: Data, examples: Examples, *, key: Key[jax.Array, ""] | None = None, top: int = 1
) -> Bool[np.ndarray, "w m"]:
    """Which examples the kept nets get wrong: scores a split that was withheld from the sweep.

    Args:
        result: a sweep that kept the variables of all its runs.
        data: the task: normalisation, classes and tolerance.
        examples: the split, m examples: the test split, where a program corrupts its inputs.
        key: of the sweep; needed where a program corrupts.
        top: a net is right where the target is among so many of its largest outputs; others that are as large as the
            target's count before it.

    Returns:
        True where a net is wrong, one row a run; all true for a failed run.

    Raises:
        ValueError: the variables of a run were not kept, the key is missing, or `top` is not in [1, classes].

    Examples:
        >>> import jax, optax, numpy as np, lcjax as lc
        >>> from lcjax.training import constant, with_replacement, Budget
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> program = lc.Program(
        ...     lc.models.MLP((16,), 4), lc.cross_entropy, optax.adam, constant, 4, Budget(steps=200), with_replacement
        ... )
        >>> runs = lc.Runs.grid(program, size=[4], seed=0, learning_rate=0.01)
        >>> result = lc.sweep(jax.random.key(0), data, runs, keep=np.array([True]))
        >>> evaluate(result, data, examples)
        array([[False, False, False, False]])
    """
    if top != 1 and not 1 <= top <= data.classes:
        raise ValueError(f"top must lie in [1, {data.classes}], the classes, got {top}.")
    m = len(examples.targets)
    first = len(data.train.targets) + len(data.validation.targets)
    wrong = np.ones((len(result.params), m), bool)
    resident = dataclasses.replace(data, train=examples, validation=examples, test=None)
    streamed = streaming.is_streamed(resident)
    resident = resident if streamed else jax.device_put(resident)
    for row in np.flatnonzero(np.asarray(result.status) == 0).tolist():
        variables, columns = _kept(result, row), columns_of(result.runs, row)
        program = result.runs.programs[result.runs.program[row]]
        if streamed:
            how: dict[str, Any] = {"program": program, "train": False, "top": top, "plain": True}
            wrong[row] = streaming.score(variables, columns, resident, examples, np.arange(m), m, **how).wrong
            continue
        score = steps.score(
            variables,
            columns,
            resident,
            resident.train,
            jnp.arange(m),
            jnp.int32(m),
            _corruption(result, row, key),
            jnp.int32(first),
            program=program,
            train=False,
            top=top,
        )
        wrong[row] = score.wrong
    return wrong


def features(
    result: SweepResult,
    row: int,
    data: Data,
    inputs: Num[Array, "m *shape"] | Streamed | None = None,
    *,
    shard: bool = False,
    method: str = "features",
    key: Key[jax.Array, ""] | None = None,
) -> Float[np.ndarray, "m d"]:
    """Features of one kept net: what its head sees, or the code of its bottleneck.

    Args:
        result: a sweep that kept the run's variables.
        row: the run.
        data: the task: normalisation, and the training set if `shard`.
        inputs: m inputs as stored, not normalised; they are not corrupted.
        shard: take the run's own training examples, in its order, as inputs: as the run saw them.
        method: of the model, "features" or "code".
        key: of the sweep; needed with `shard` where the program corrupts.

    Returns:
        Features, on the host.

    Raises:
        ValueError: the run's variables were not kept, not exactly one of `inputs` and `shard` is given, or the key is
            missing.
    """
    if shard == (inputs is not None):
        raise ValueError("features takes either inputs or shard=True.")
    program, columns = result.runs.programs[result.runs.program[row]], columns_of(result.runs, row)
    numbers, corruption = np.zeros(0, int), None
    if shard:
        numbers = result.shard(row)
        inputs = jax.tree.map(lambda leaf: take_rows(leaf, numbers), data.train.inputs)
        corruption = _corruption(result, row, key) if program.corrupt is not None else None
    assert inputs is not None
    variables = jax.device_put(_kept(result, row))
    m = len(jax.tree.leaves(inputs)[0])
    batch = min(FEATURES_BATCH, m)
    outputs = []
    for first in range(0, m, batch):
        place = np.minimum(np.arange(first, first + batch), m - 1)  # one shape, one compilation
        part = jax.tree.map(lambda leaf, place=place: fetch_rows(leaf, place), inputs)
        if corruption is not None:
            targets = data.train.targets[numbers[place]]
            part = _corrupted(corruption, numbers[place], part, targets, columns, program=program)
        normalised = steps.normalise(program, data, part)
        outputs.append(np.asarray(_features(variables, columns, normalised, program=program, method=method)))
    return np.concatenate(outputs)[:m]


@jit(static_argnames="program")
def _corrupted(
    key: jax.Array, number: Any, inputs: Any, targets: Any, columns: dict[str, jax.Array], *, program: Program
) -> jax.Array:
    assert program.corrupt is not None
    return program.corrupt(key, number, inputs, targets, columns, train=True)[0]


def _corruption(result: SweepResult, row: int, key: jax.Array | None) -> jax.Array:
    """The key by which a run's examples are corrupted."""
    if key is None:
        if result.runs.programs[result.runs.program[row]].corrupt is not None:
            raise ValueError(f"The program of run {row} corrupts what it sees: give the sweep's key.")
        key = jax.random.key(0)
    return steps.stream(key, int(result.runs.columns["seed"][row]), steps.CORRUPTION)


@jit(static_argnames=("program", "method"))
def _features(
    variables: Any, columns: dict[str, jax.Array], inputs: jax.Array, *, program: Program, method: str
) -> jax.Array:
    return steps.apply(program, steps.narrowed(program, variables), columns, inputs, method=method)


def _kept(result: SweepResult, row: int) -> Any:
    if result.params[row] is None:
        raise ValueError(f"The variables of run {row} were not kept: give `keep` to the sweep.")
    return result.params[row]
