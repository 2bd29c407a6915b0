"""Evaluation of the networks of a sweep afterwards: their mistakes on a split, and their features."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed, fetch_rows, take_rows
from lcjax.kernels.compilation import compile_ahead, jit, jit_by_size
from lcjax.training.execution import step as steps
from lcjax.training.execution.executor import Scorer, open_scorer
from lcjax.training.execution.streamed import is_streamed
from lcjax.training.program import Columns, Program
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs, columns_of
from lcjax.training.scoring import to_predictions
from lcjax.typing import Array, ArrayTree, KeyArray, Variables, check_key

__all__ = ["compile_evaluation", "evaluate", "evaluate_shards", "features"]

FEATURES_BATCH = 512
SMALL_BATCH = 64  # inputs up to which a batch of their number is compiled

Inputs: TypeAlias = Num[Array, "m *shape"] | dict[str, Num[Array, "m *_"]] | Streamed


@jax.transfer_guard("allow")
def evaluate(
    result: SweepResult, data: Data, examples: Examples, *, key: KeyArray | None = None, top: int = 1
) -> Bool[np.ndarray, "w m"]:
    """Score the kept networks of a sweep on a split, such as a test split that was withheld from it.

    Args:
        result: a sweep that kept the variables of all its runs.
        data: the task: normalization, classes and tolerance.
        examples: the split, m examples: the test split, where a program corrupts its inputs.
        key: of the sweep; needed where a program corrupts.
        top: an output is correct if the target is among this many of the largest; ties rank before the target.

    Returns:
        True where a network is wrong, one row per run; all true for a failed run.

    Raises:
        ValueError: the variables of a run were not kept, the key is missing, or `top` is not in [1, classes].

    Examples:
        >>> import jax, optax, numpy as np, lcjax as lc
        >>> from lcjax.training import constant, with_replacement, Budget
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> model, budget = lc.models.MLP((16,), 4), Budget(steps=200)
        >>> program = lc.Program(model, lc.cross_entropy, optax.adam, constant, 4, budget, with_replacement)
        >>> runs = lc.Runs.grid(program, size=[4], seed=0, learning_rate=0.01)
        >>> result = lc.sweep(jax.random.key(0), data, runs, keep=np.array([True]))
        >>> evaluate(result, data, examples)
        array([[False, False, False, False]])
    """
    if key is not None:
        check_key(key)
    m, first = len(examples.targets), len(data.train.targets) + len(data.validation.targets)
    wrong = np.ones((len(result.params), m), bool)
    split = dataclasses.replace(data, train=examples, validation=examples, test=None)
    for row, scorer in _open_scorers(result, split, top):
        part = steps.Part.whole(scorer.data.train, first)
        wrong[row] = _score(result, row, scorer, part, key, top).wrong
    return wrong


@jax.transfer_guard("allow")
def compile_evaluation(runs: Runs, row: int, data: Data, examples: Examples, *, methods: Sequence[str] = ()) -> None:
    """Compile `evaluate` on a split, and `features` by some methods, for networks like the run at `row`.

    Nothing is computed, so that this may run in a thread while the networks train. Streamed data are left out.

    Args:
        runs: the table of the sweep.
        row: one of its runs.
        data: the task.
        examples: the split, and inputs of the shape of those whose features are computed.
        methods: methods of the model, "features" or "code".

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import Budget, constant, momentum, with_replacement
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> model, budget = lc.models.MLP((3,), 4), Budget(steps=1)
        >>> program = lc.Program(model, lc.cross_entropy, momentum, constant, 4, budget, with_replacement)
        >>> runs = lc.Runs.grid(program, size=[2], seed=0, learning_rate=0.01)
        >>> compile_evaluation(runs, 0, data, examples, methods=["features"])
    """
    if is_streamed(data) or is_streamed(dataclasses.replace(data, train=examples)):
        return
    program, columns = runs.programs[runs.program[row]], columns_of(runs, row)
    split = dataclasses.replace(data, train=examples, validation=examples, test=None)
    placed = jax.eval_shape(lambda data: data, split)
    key, number = jax.random.key(0), jnp.int32(0)
    orders = jax.ShapeDtypeStruct((1, len(examples.targets)), np.int32)
    begin: tuple[Any, ...] = (key, placed, orders, {}, None, columns, number, number)
    slot = jax.eval_shape(lambda *arguments: steps.start(*arguments, program=program), *begin)
    index = np.zeros(len(examples.targets), jnp.result_type(int))
    part = steps.Part(placed.train, index, np.zeros((), np.int32), np.zeros((), np.int32))
    compile_ahead(
        steps.score, slot.variables, columns, placed, part, slot.corruption, program=program, top=1, plain=False
    )
    inputs = jax.tree.map(lambda leaf: np.zeros((FEATURES_BATCH, *leaf.shape[1:]), leaf.dtype), examples.inputs)
    normalization = data.offset, data.scale
    for method in methods:
        compile_ahead(_features, slot.variables, columns, inputs, normalization, program=program, method=method)


@jax.transfer_guard("allow")
def evaluate_shards(
    result: SweepResult, data: Data, *, key: KeyArray | None = None, top: int = 1
) -> Float[np.ndarray, " w"]:
    """Score the kept networks of a sweep on their own shards, corrupted as in training.

    Arguments and errors are those of `evaluate`. Returns the fraction of wrong examples; nan for a failed run.
    """
    error = np.full(len(result.params), np.nan)
    for row, scorer in _open_scorers(result, data, top):
        order = np.asarray(result.orders[result.order[row]])
        size = np.asarray(result.runs.columns["size"][row], np.int32)
        part = steps.Part(scorer.data.train, order, size, np.zeros((), np.int32), train=True)
        error[row] = _score(result, row, scorer, part, key, top).error
    return error


@jax.transfer_guard("allow")
def features(
    result: SweepResult,
    row: int,
    data: Data,
    inputs: Inputs | None = None,
    *,
    shard: bool = False,
    method: str = "features",
    key: KeyArray | None = None,
) -> Float[np.ndarray, "m d"]:
    """Compute the features of one kept network, on the host: the input of its head, or the code of its bottleneck.

    Args:
        result: a sweep that kept the run's variables.
        row: the run.
        data: the task: normalization, and the training set if `shard`.
        inputs: m inputs as stored, not normalized; they are not corrupted.
        shard: take the run's own training examples, in its order, corrupted as in training.
        method: of the model, "features", "code", or "__call__" for its predictions: scores of classes, or quantities
            in the unit of the targets.
        key: of the sweep; needed with `shard` where the program corrupts.

    Returns:
        Features, one row per input, `(m, d)`; with `shard` m is the number of training examples of the run.

    Raises:
        ValueError: the run's variables were not kept, both or neither of `inputs` and `shard` are given, or the key is
            missing.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import Budget, constant, momentum, with_replacement
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> model, budget = lc.models.MLP((3,), 4), Budget(steps=1)
        >>> program = lc.Program(model, lc.cross_entropy, momentum, constant, 4, budget, with_replacement)
        >>> runs = lc.Runs.grid(program, size=[2], seed=0, learning_rate=0.01)
        >>> result = lc.sweep(jax.random.key(0), data, runs, keep=np.array([True]))
        >>> features(result, 0, data, examples.inputs).shape, features(result, 0, data, shard=True).shape
        ((4, 3), (2, 3))
    """
    if shard == (inputs is not None):
        raise ValueError("Pass either `inputs` or `shard=True`, not both.")
    program, columns = result.runs.programs[result.runs.program[row]], columns_of(result.runs, row)
    numbers, corruption = np.zeros(0, int), None
    if shard:
        numbers = result.shard(row)
        inputs = jax.tree.map(lambda leaf: take_rows(leaf, numbers), data.train.inputs)
        corruption = _corruption(result, row, key) if program.corrupt is not None else None
    variables = jax.device_put(_stored_variables(result, row))
    m = len(jax.tree.leaves(inputs)[0])
    batch = FEATURES_BATCH if m > SMALL_BATCH else m  # one shape for all but small inputs
    outputs = []
    for first in range(0, m, batch):
        place = np.minimum(np.arange(first, first + batch), m - 1)  # one shape, one compilation
        part = jax.tree.map(lambda leaf, place=place: fetch_rows(leaf, place), inputs)
        if corruption is not None:
            targets = data.train.targets[numbers[place]]
            part = _corrupt(corruption, numbers[place], part, targets, columns, program=program)
        normalization = data.offset, data.scale
        outputs.append(np.asarray(_features(variables, columns, part, normalization, program=program, method=method)))
    rows = np.concatenate(outputs)[:m]
    return to_predictions(data, rows) if method == "__call__" else rows


def _open_scorers(result: SweepResult, data: Data, top: int) -> Iterator[tuple[int, Scorer]]:
    """Yield the finished runs and scorers of their programs on data that are placed once."""
    if top != 1 and not 1 <= top <= data.classes:
        raise ValueError(f"top must lie in [1, {data.classes}], the classes, got {top}.")
    for row in np.flatnonzero(np.asarray(result.status) == 0).tolist():
        scorer = open_scorer(data, result.runs.programs[result.runs.program[row]])
        data = scorer.data
        yield row, scorer


def _score(
    result: SweepResult, row: int, scorer: Scorer, part: steps.Part, key: KeyArray | None, top: int
) -> steps.Score:
    corruption = _corruption(result, row, key)
    return scorer.score(_stored_variables(result, row), columns_of(result.runs, row), corruption, part, top)


@jit(static_argnames="program")
def _corrupt(
    key: KeyArray,
    number: Int[Array, " b"],
    inputs: Num[Array, "b *shape"],
    targets: Num[Array, "b *_"],
    columns: Columns,
    *,
    program: Program,
) -> Num[jax.Array, "b *shape"]:
    assert program.corrupt is not None
    examples = jnp.asarray(number), jnp.asarray(inputs), jnp.asarray(targets)
    return program.corrupt(key, *examples, columns, train=True)[0]


@jit_by_size(static_argnames=("program", "method"), most=steps.SMALL_MODEL, counted="variables", optimize="lean")
def _features(
    variables: Variables,
    columns: Columns,
    inputs: ArrayTree,
    normalization: tuple[Num[Array, "..."] | float, Num[Array, "..."] | float],
    *,
    program: Program,
    method: str,
) -> Float[jax.Array, "b d"]:
    inputs = steps.normalize(program, *normalization, inputs)
    variables = steps.to_compute_dtype(program, variables)
    with steps.layer_options(plain=True):  # XLA's own convolutions are the fastest outside of a loop
        outputs: jax.Array = steps.apply(program, variables, columns, inputs, method=method)
    return outputs


def _corruption(result: SweepResult, row: int, key: KeyArray | None) -> KeyArray:
    """Return the key by which a run's examples are corrupted."""
    if key is None:
        if result.runs.programs[result.runs.program[row]].corrupt is not None:
            raise ValueError(f"Run {row} uses a corruption; pass the sweep's `key` to evaluate it.")
        key = jax.random.key(0)
    return steps.stream(key, int(result.runs.columns["seed"][row]), steps.CORRUPTION)


def _stored_variables(result: SweepResult, row: int) -> Variables:
    variables = result.params[row]
    if variables is None:
        raise ValueError(f"Run {row} has no stored parameters; call `sweep(..., keep=...)` to store them.")
    return variables
