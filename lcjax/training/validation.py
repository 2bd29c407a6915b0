"""What a sweep refuses before its first step: tables, programs and variables that do not fit each other."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict

from lcjax.data.examples import Data
from lcjax.training.adapters import adapter_for
from lcjax.training.execution import step as steps
from lcjax.training.penalties import NAMES, check_penalties
from lcjax.training.runs import Program, Runs, columns_of

__all__ = ["check_shards", "check_table", "check_variables", "shapes_of"]


def check_table(runs: Runs, data: Data) -> None:
    """Whether table, programs and data fit each other.

    Raises:
        ValueError: as `lcjax.sweep` says.
    """
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
        raise ValueError(f"Program {np.max(runs.program)} of a run is not among the {len(runs.programs)} given.")
    if len({runs.programs[i].continuous for i in np.unique(runs.program)}) > 1:
        raise ValueError("A table cannot hold programs of consecutive windows beside others: their shards differ.")
    for i in np.unique(runs.program):
        program = runs.programs[i]
        _check_functions(program, int(i))
        smallest = int(size[np.asarray(runs.program) == i].min())
        if program.continuous and smallest < program.batch:
            raise ValueError(
                f"Program {i} reads {program.batch} places of a sequence side by side, and the smallest shard has only "
                f"{smallest} windows: take a smaller batch."
            )
        if (program.scoring is None) != (np.ndim(data.train.targets) == 1):
            raise ValueError(
                f"Targets of shape {np.shape(data.train.targets)} need "
                f"{'a program with scoring' if program.scoring is None else 'a program without scoring'}: program {i}."
            )
        if not np.isfinite(program.budget.epochs):
            raise ValueError(f"Program {i} needs a finite number of epochs, got {program.budget.epochs}.")
        if program.budget.records < 1 or program.budget.patience < 0:
            raise ValueError(f"Program {i} needs at least one record and no negative patience, got {program.budget}.")
        if program.batch < 1 or (program.budget.steps <= 0 and program.budget.epochs <= 0):
            raise ValueError(f"Program {i} makes no steps: batch={program.batch}, {program.budget}.")
        smallest = int(size[runs.program == i].min())
        if program.budget.steps == 0 and program.batch > smallest:
            raise ValueError(
                f"Program {i} counts epochs, and a batch of {program.batch} is larger than a shard of {smallest} "
                "examples: give a smaller batch, or a smallest number of steps too."
            )
        missing = [name for name in program.model_columns if name not in runs.columns]
        if missing:
            raise ValueError(f"Program {i} needs columns {', '.join(missing)}.")
    if all(runs.programs[i].corrupt is None for i in np.unique(runs.program)):  # a corruption may read any column
        known = {"size", "seed", "learning_rate", "weight_decay", *NAMES}
        known.update(name for i in np.unique(runs.program) for name in runs.programs[i].model_columns)
        unread = [name for name in runs.columns if name.partition("/")[0] not in known]
        if unread:
            raise ValueError(f"No program reads the column {unread[0]!r}; known are {', '.join(sorted(known))}.")


def check_shards(shards: Any) -> None:
    """Whether shards are chosen by a function that gives a key of a key and a size.

    Raises:
        ValueError: they are not.
    """
    wanted = "pass lcjax.data.nested_shards or lcjax.data.independent_shards"
    if not callable(shards):
        raise ValueError(f"shards is {shards!r}, which is no function: {wanted}.")
    try:
        made = shards(jax.random.key(0), 1)
    except TypeError as error:
        raise ValueError(f"shards is {shards!r}, which takes no key and size ({error}): {wanted}.") from None
    if not (isinstance(made, jax.Array) and jax.dtypes.issubdtype(made.dtype, jax.dtypes.prng_key) and made.ndim == 0):
        raise ValueError(f"shards is {shards!r}, which makes no key of a key and a size but {made!r}: {wanted}.")


def _check_functions(program: Program, i: int) -> None:
    """Check that the model is a Linen module and that methods are functions."""
    if not isinstance(program.model, nn.Module):
        raise ValueError(
            f"Program {i} has the model {type(program.model).__name__}, which is not a Linen module: pass "
            f"{adapter_for(program.model)}."
        )
    examples = {
        "objective": "lcjax.cross_entropy",
        "optimizer": "lcjax.training.momentum",
        "schedule": "lcjax.training.cosine",
        "sampling": "lcjax.training.epochs",
    }
    for name, example in examples.items():
        given = getattr(program, name)
        if not callable(given):
            raise ValueError(f"Program {i} has the {name} {given!r}, which is no function: pass {example} or the like.")
    made = program.optimizer(0.1)
    if not (hasattr(made, "init") and hasattr(made, "update")):
        raise ValueError(
            f"Program {i} has the optimizer {program.optimizer!r}, which makes no optax.GradientTransformation of a "
            f"learning rate but {made!r}: pass one that does, such as {examples['optimizer']}."
        )


def shapes_of(runs: Runs, i: int, data: Data, row: int) -> Any:
    """Shapes of the variables of a program's model.

    Raises:
        ValueError: its outputs are not what the data ask for, or a penalty's column names no layer of it.
    """
    program = runs.programs[i]
    columns = columns_of(runs, row)
    examples = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype), data.train.inputs)

    def variables(inputs: Any) -> Any:
        seen = steps.normalise(program, data, inputs)
        return steps.apply(program, {}, columns, seen, mutable=True, rngs={"params": jax.random.key(0)})

    outputs, shapes = jax.eval_shape(variables, examples)
    if program.scoring is None and outputs.shape != (2, data.classes or 1):
        wanted = f"{data.classes} classes" if data.classes else "one number"
        raise ValueError(
            f"Program {i} gives outputs of shape {outputs.shape[1:]} an example, the data have {wanted} "
            f"(`Data.classes` is {data.classes})."
        )
    check_penalties(columns, shapes["params"])
    return {name: value for name, value in dict(shapes).items() if name not in steps.SOWN}


def check_variables(tree: Any, shapes: Any, name: str) -> None:
    """Whether variables given to a run are its model's.

    Raises:
        ValueError: the model lacks one, or has it in another shape.
    """
    if tree is None:
        return
    known = flatten_dict(shapes, sep="/")
    for path, leaf in flatten_dict(tree, sep="/").items():
        if path not in known:
            raise ValueError(f"{name} has {path}, which the model lacks.")
        if np.shape(leaf) != known[path].shape:
            raise ValueError(f"{name} has {path} of shape {np.shape(leaf)}, the model's is {known[path].shape}.")
