"""Checks of a sweep before its first step: table, programs, data and warm starts must fit each other."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from lcjax.data.examples import Data
from lcjax.models.adapters import adapter_for
from lcjax.training.execution import step as steps
from lcjax.training.execution.heuristics import check_memory
from lcjax.training.penalties import NAMES, check_penalties
from lcjax.training.program import Program
from lcjax.training.runs import Runs, columns_of
from lcjax.typing import ArrayTree, Variables

__all__ = ["check_shards", "check_sweep"]

FUNCTIONS = {
    "objective": "lcjax.cross_entropy",
    "optimizer": "lcjax.training.momentum",
    "schedule": "lcjax.training.cosine",
    "sampling": "lcjax.training.epochs",
}
Trees = ArrayTree | Sequence[Variables | None] | None


def check_sweep(
    runs: Runs, data: Data, initial: Trees, mask: Trees
) -> tuple[list[Variables], list[Variables | None], list[Variables | None]]:
    """Check all arguments of a sweep, as `lcjax.sweep` takes them.

    Returns:
        Shapes of the variables of each program, `{}` for a program without runs; initial variables and masks, one
        pytree (or `None`) per run.

    Raises:
        ValueError: as `lcjax.sweep`.
    """
    _check_table(runs, data)
    w = len(runs.program)
    starts, masks = _split(initial, w, "initial"), _split(mask, w, "mask")
    shapes: list[Variables] = []
    for i in range(len(runs.programs)):
        rows = np.flatnonzero(runs.program == i).tolist()
        shapes.append(_shapes_of(runs, i, data, rows[0]) if rows else {})
        for row in rows:
            _check_variables(starts[row], shapes[i], f"initial[{row}]")
            params = masks[row]
            if params is not None:
                _check_variables({"params": params}, shapes[i], f"mask[{row}]")
                if len(jax.tree.leaves(params)) != len(jax.tree.leaves(shapes[i]["params"])):
                    raise ValueError(f"mask[{row}] does not cover all parameters of the model.")
    for i, variables in enumerate(shapes):
        if variables:
            check_memory(runs.programs[i], variables["params"], int(np.sum(runs.program == i)))
    return shapes, starts, masks


def check_shards(shards: object) -> None:
    """Raise ValueError unless `shards` is a function that returns a key for a key and a size."""
    remedy = "pass lcjax.data.nested_shards or lcjax.data.independent_shards"
    if not callable(shards):
        raise ValueError(f"shards is {shards!r}, which is not a function: {remedy}.")
    try:
        key = shards(jax.random.key(0), 1)
    except TypeError as error:
        raise ValueError(f"shards is {shards!r}, which does not take a key and a size ({error}): {remedy}.") from None
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0):
        raise ValueError(
            f"shards is {shards!r}, which does not return a key for a key and a size but {key!r}: {remedy}."
        )


def _check_table(runs: Runs, data: Data) -> None:
    data.check()
    w, n = len(runs.program), len(data.train.targets)
    for name in ("size", "seed", "learning_rate"):
        if name not in runs.columns:
            raise ValueError(f"The table of runs has no column {name!r}; it has {', '.join(sorted(runs.columns))}.")
    for name, column in runs.columns.items():
        if np.shape(column) != (w,):
            raise ValueError(f"Column {name!r} has shape {np.shape(column)} for {w} runs.")
    if w == 0:
        raise ValueError("The table of runs has no rows.")
    check_shards(runs.shards)
    size = np.asarray(runs.columns["size"])
    if size.min() < 1 or size.max() > n:
        raise ValueError(f"Sizes must lie in [1, {n}], the training set, got {size.min()} to {size.max()}.")
    if np.min(runs.program) < 0 or np.max(runs.program) >= len(runs.programs):
        raise ValueError(f"Program {np.max(runs.program)} of a run is not among the {len(runs.programs)} programs.")
    used = {int(i): runs.programs[i] for i in np.unique(runs.program)}
    if len({program.continuous for program in used.values()}) > 1:
        raise ValueError("Programs of consecutive windows need a table of their own: their shards differ.")
    for i, program in used.items():
        _check_functions(program, i)
        _check_program(program, i, data, int(size[np.asarray(runs.program) == i].min()), runs.columns)
    if all(program.corrupt is None for program in used.values()):  # a corruption may read any column
        known = {"size", "seed", "learning_rate", "weight_decay", *NAMES}
        known.update(name for program in used.values() for name in program.model_columns)
        unread = [name for name in runs.columns if name.partition("/")[0] not in known]
        if unread:
            raise ValueError(f"No program reads column {unread[0]!r}. Columns in use: {', '.join(sorted(known))}.")


def _check_program(program: Program, i: int, data: Data, smallest: int, columns: Mapping[str, np.ndarray]) -> None:
    """Check a program against the data and the smallest size of its runs."""
    budget, batch = program.budget, program.batch
    if program.continuous and smallest < batch:
        raise ValueError(
            f"Program {i} reads {batch} places of a sequence concurrently, but the smallest shard has only {smallest} "
            "windows: use a smaller batch."
        )
    if (program.scoring is None) != (np.ndim(data.train.targets) == 1):
        needed = "a program with scoring" if program.scoring is None else "a program without scoring"
        raise ValueError(f"Targets of shape {np.shape(data.train.targets)} need {needed}: program {i}.")
    if not np.isfinite(budget.epochs):
        raise ValueError(f"Program {i} needs a finite number of epochs, got {budget.epochs}.")
    if budget.records < 1 or budget.patience < 0:
        raise ValueError(f"Program {i} needs at least one record and a patience of at least 0, got {budget}.")
    if batch < 1 or (budget.steps <= 0 and budget.epochs <= 0):
        raise ValueError(f"Program {i} makes no steps: batch={batch}, {budget}.")
    if budget.steps == 0 and batch > smallest:
        raise ValueError(
            f"Program {i} counts epochs, but a batch of {batch} is larger than a shard of {smallest} examples: use a "
            "smaller batch, or set the smallest number of steps too."
        )
    missing = [name for name in program.model_columns if name not in columns]
    if missing:
        raise ValueError(f"Program {i} needs columns {', '.join(missing)}.")


def _check_functions(program: Program, i: int) -> None:
    """Check that the model is a Linen module and that methods are functions, not names."""
    if not isinstance(program.model, nn.Module):
        raise ValueError(
            f"Program {i} has the model {type(program.model).__name__}, which is not a Linen module: pass "
            f"{adapter_for(program.model)}."
        )
    for name, example in FUNCTIONS.items():
        value = getattr(program, name)
        if not callable(value):
            raise ValueError(f"Program {i} has {name} {value!r}, which is not a function: pass one, such as {example}.")
    optimizer = program.optimizer(jnp.asarray(0.1))
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise ValueError(
            f"Program {i} has optimizer {program.optimizer!r}, which does not return an optax.GradientTransformation "
            f"for a learning rate but {optimizer!r}: pass one that does, such as {FUNCTIONS['optimizer']}."
        )


def _shapes_of(runs: Runs, i: int, data: Data, row: int) -> Variables:
    """Return the shapes of a program's variables, after a check of its outputs and penalties."""
    program = runs.programs[i]
    columns = columns_of(runs, row)
    examples = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype), data.train.inputs)

    def apply(inputs: ArrayTree) -> tuple[ArrayTree, Variables]:
        inputs = steps.normalize(program, data.offset, data.scale, inputs)
        outputs, variables = steps.apply(program, {}, columns, inputs, mutable=True, rngs={"params": jax.random.key(0)})
        return outputs, variables

    outputs, shapes = jax.eval_shape(apply, examples)
    if program.scoring is None and outputs.shape != (2, data.classes or 1):
        wanted = f"{data.classes} classes" if data.classes else "one number"
        raise ValueError(
            f"Program {i} returns outputs of shape {outputs.shape[1:]} an example, the data have {wanted} "
            f"(`Data.classes` is {data.classes})."
        )
    check_penalties(columns, shapes["params"])
    return {name: value for name, value in dict(shapes).items() if name not in steps.SOWN}


def _split(trees: Trees, w: int, name: str) -> list[Variables | None]:
    """Return one pytree (or `None`) per run."""
    if trees is None:
        return [None] * w
    if isinstance(trees, list | tuple):
        if len(trees) != w:
            raise ValueError(f"{name} has {len(trees)} entries for {w} runs.")
        return list(trees)
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(trees)}
    if lengths != {w}:
        raise ValueError(f"{name} has leading axes {sorted(lengths)} for {w} runs.")
    return [jax.tree.map(lambda leaf, row=row: leaf[row], trees) for row in range(w)]


def _check_variables(tree: Variables | None, shapes: Variables, name: str) -> None:
    """Check that variables of a run are its model's, in the same shapes."""
    if tree is None:
        return
    known = flatten_dict(shapes, sep="/")
    for path, leaf in flatten_dict(tree, sep="/").items():
        if path not in known:
            raise ValueError(f"{name} has {path}, which the model lacks.")
        if np.shape(leaf) != known[path].shape:
            raise ValueError(f"{name} has {path} of shape {np.shape(leaf)}, the model's is {known[path].shape}.")
