"""Checks of a sweep before its first step: table, programs, data and warm starts must fit each other."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Bool

from lcjax.data.examples import SPLITS, Data, Examples
from lcjax.models.adapters import adapter_for
from lcjax.training.execution import step as steps
from lcjax.training.execution.heuristics import check_memory
from lcjax.training.penalties import NAMES, check_penalties
from lcjax.training.program import Columns, Program
from lcjax.training.runs import Runs, check_columns, columns_of
from lcjax.typing import ArrayTree, Variables

__all__ = ["check_keep", "check_shards", "check_sweep"]

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
        shapes.append(_shapes_of(runs, i, data, rows) if rows else {})
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


def check_keep(keep: object, w: int) -> Bool[np.ndarray, " w"]:
    """Return the runs whose variables are kept, none by default; raise ValueError unless there is a bool per run."""
    if keep is None:
        return np.zeros(w, bool)
    selected = np.asarray(keep)
    if selected.shape != (w,) or selected.dtype != bool:
        raise ValueError(
            f"keep must hold True or False for each of {w} runs, got {selected.dtype} of shape {selected.shape}."
        )
    return selected


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
    for name in SPLITS:
        split = getattr(data, name)
        if split is not None and len(split.targets) == 0:
            remedy = " Withhold it with Data.without_test()." if name == "test" else ""
            raise ValueError(f"A sweep scores every run on the {name} split, which has no examples.{remedy}")
    check_columns(runs, len(data.train.targets))
    check_shards(runs.shards)
    size = runs.columns["size"]
    used = {int(i): runs.programs[i] for i in np.unique(runs.program)}
    if len({program.continuous for program in used.values()}) > 1:
        raise ValueError("Programs of consecutive windows need a table of their own: their shards differ.")
    for i, program in used.items():
        _check_functions(program, i)
        _check_program(program, i, data, int(size[runs.program == i].min()), runs.columns)
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
    if jax.dtypes.canonicalize_dtype(program.dtype) != program.dtype:
        raise ValueError(f"Program {i} computes in {program.dtype}, which needs jax.enable_x64.")
    if budget.steps == 0 and budget.epochs == 0:
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
    """Check that the model is a Linen module, and the signatures and results of the functions."""
    model = program.model
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ValueError(f"Program {i} has a class as its model: pass a module, {model.__name__}(...).")
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"Program {i} has the model {type(model).__name__}, which is not a Linen module: pass {adapter_for(model)}."
        )
    parameters = inspect.signature(model.__call__).parameters.values()
    if not any(p.name == "train" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise ValueError(
            f"Program {i} has the model {type(model).__name__}, whose __call__ takes no argument train: define "
            "__call__(self, x, train=False)."
        )
    for name, example in FUNCTIONS.items():
        value = getattr(program, name)
        if not callable(value):
            remedy = f"pass one, such as {example}"
            if hasattr(value, "init") and hasattr(value, "update"):
                remedy = "pass the function that makes it, such as optax.adam, and its rate as column 'learning_rate'"
            raise ValueError(f"Program {i} has {name} {value!r}, which is not a function: {remedy}.")
    for name in ("augment", "corrupt"):
        value = getattr(program, name)
        if value is not None and not callable(value):
            raise ValueError(f"Program {i} has {name} {value!r}, which is neither a function nor None.")
    for field in dataclasses.fields(program):
        try:
            hash(getattr(program, field.name))
        except TypeError as error:
            value = getattr(program, field.name)
            raise ValueError(f"Program {i} has {field.name} {value!r}, which is not hashable ({error}).") from None
    if getattr(program.schedule, "__module__", "").partition(".")[0] == "optax":
        raise ValueError(
            f"Program {i} has a schedule of Optax, which counts steps; a Program's takes the fraction of the run's "
            f"steps, in [0, 1], and returns a factor of the rate: pass one, such as {FUNCTIONS['schedule']}."
        )
    number, key = jax.ShapeDtypeStruct((), np.int32), jax.random.key(0)
    calls: dict[str, tuple[str, Callable[[], Any], tuple[int, ...]]] = {
        "schedule": ("progress", lambda: jax.eval_shape(program.schedule, jax.ShapeDtypeStruct((), jnp.float32)), ()),
        "sampling": (
            "key, step, size, batch=...",
            lambda: jax.eval_shape(functools.partial(program.sampling, batch=program.batch), key, number, number),
            (program.batch,),
        ),
    }
    for name, (arguments, call, shape) in calls.items():
        returned = _call(f"Program {i} has {name} {getattr(program, name)!r}", arguments, call)
        if getattr(returned, "shape", None) != shape:
            raise ValueError(
                f"Program {i} has {name} {getattr(program, name)!r}, which must return an array of shape {shape}, got "
                f"{returned}: pass one that does, such as {FUNCTIONS[name]}."
            )
    optimizer = _call(
        f"Program {i} has optimizer {program.optimizer!r}",
        "a learning rate",
        lambda: program.optimizer(jnp.asarray(0.1)),
    )
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise ValueError(
            f"Program {i} has optimizer {program.optimizer!r}, which does not return an optax.GradientTransformation "
            f"for a learning rate but {optimizer!r}: pass one that does, such as {FUNCTIONS['optimizer']}."
        )
    weight = {"kernel": jax.ShapeDtypeStruct((2, 2), jnp.float32)}
    try:
        jax.eval_shape(lambda p: optimizer.update(p, optimizer.init(p), p), weight)
    except TypeError as error:
        if "keyword-only" in str(error):
            raise ValueError(
                f"Program {i} has optimizer {program.optimizer!r}, which needs more than gradients, state and "
                f"parameters ({error}): pass another one, such as {FUNCTIONS['optimizer']}."
            ) from None
    except (ValueError, LookupError, AttributeError):
        return  # it expects the parameters of the model


def _call(owner: str, arguments: str, call: Callable[[], Any]) -> Any:
    """Return the result of a user's function; a wrong signature becomes a ValueError that names the function."""
    try:
        return call()
    except TypeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{owner}, which does not take {arguments} ({reason}).") from None


def _shapes_of(runs: Runs, i: int, data: Data, rows: Sequence[int]) -> Variables:
    """Return the shapes of a program's variables, after a check of its outputs, loss, optimizer and penalties."""
    program = runs.programs[i]
    columns = columns_of(runs, rows[0])
    b = 3 if data.classes == 2 else 2  # examples; neither 1 nor the number of classes, so that shapes tell axes apart

    def examples(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((b, *leaf.shape[1:]), leaf.dtype), tree)

    def apply(inputs: ArrayTree, **options: Any) -> tuple[ArrayTree, Variables]:
        inputs = steps.normalize(program, data.offset, data.scale, inputs)
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
        outputs, variables = steps.apply(program, {}, columns, inputs, mutable=True, rngs=rngs, **options)
        return outputs, variables

    outputs, shapes = jax.eval_shape(apply, examples(data.train.inputs))
    if program.scoring is None and getattr(outputs, "shape", None) != (b, data.classes or 1):
        wanted = f"{data.classes} classes" if data.classes else "one number"
        got = outputs.shape[1:] if hasattr(outputs, "shape") else jax.tree.map(lambda leaf: leaf.shape[1:], outputs)
        raise ValueError(
            f"Program {i} returns outputs of shape {got} per example, but the data have {wanted} "
            f"(`Data.classes` is {data.classes})."
        )
    if min(program.batch, runs.columns["size"][rows].min()) == 1 and "batch_stats" in shapes:
        with nn.intercept_methods(_refuse_single(i)):
            jax.eval_shape(functools.partial(apply, train=True), examples(data.train.inputs))
    _check_changes(program, i, data, examples(data.train), columns)
    _check_loss(program, i, outputs, examples(data.train.targets))
    check_penalties(columns, shapes["params"])
    return {name: value for name, value in dict(shapes).items() if name not in steps.SOWN}


def _refuse_single(i: int) -> Callable[..., Any]:
    """Return an interceptor that refuses a BatchNorm with one value per feature in a batch of one example."""

    def observe(
        method: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
            x, average = args[0], options.get("use_running_average", [*args, None][1])
            axes = (module.axis,) if isinstance(module.axis, int) else module.axis
            single = x.size == x.shape[0] * math.prod(x.shape[axis] for axis in axes)
            if single and not (average or module.use_running_average):
                raise ValueError(
                    f"Program {i} trains on batches of one example, which layer {'/'.join(module.path)} normalizes to "
                    "zero: use a batch and sizes of at least 2, or another normalization."
                )
        return method(*args, **options)

    return observe


def _check_changes(program: Program, i: int, data: Data, examples: Examples, columns: Columns) -> None:
    """Check that corruption and augmentation keep the shapes of a batch."""
    key, inputs, targets = jax.random.key(0), examples.inputs, examples.targets
    number = jax.ShapeDtypeStruct(targets.shape[:1], np.int32)
    calls: dict[str, tuple[str, Any, Any]] = {}
    if program.corrupt is not None:
        corrupt = functools.partial(program.corrupt, train=True)
        arguments = "key, number, inputs, targets, columns, train=..."
        calls["corrupt"] = arguments, (inputs, targets), (corrupt, key, number, inputs, targets, columns)
    if program.augment is not None:
        normal = jax.eval_shape(lambda inputs: steps.normalize(program, data.offset, data.scale, inputs), inputs)
        calls["augment"] = "key, inputs", normal, (program.augment, key, normal)
    for name, (arguments, before, call) in calls.items():
        owner = f"Program {i} has {name} {getattr(program, name)!r}"
        after = _call(owner, arguments, functools.partial(jax.eval_shape, *call))
        shapes = [jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (before, after)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{owner}, which changes the shapes of a batch from {shapes[0]} to {shapes[1]}.")


def _check_loss(program: Program, i: int, outputs: ArrayTree, targets: jax.ShapeDtypeStruct) -> None:
    """Check that the objective returns one loss for each example."""

    def losses(outputs: ArrayTree, targets: jax.Array) -> Any:
        return program.objective(steps.at_least_float32(outputs), targets)

    name = getattr(program.objective, "__name__", program.objective)
    returned = _call(
        f"Program {i} has objective {name}", "outputs and targets", lambda: jax.eval_shape(losses, outputs, targets)
    )
    shape, dtype = getattr(returned, "shape", None), getattr(returned, "dtype", np.dtype(object))
    if shape != targets.shape[:1] or not jnp.issubdtype(dtype, jnp.floating):
        remedy = "leave out the mean; lcjax computes it" if shape == () else "such as lcjax.cross_entropy"
        raise ValueError(
            f"Program {i} has objective {name}, which returns {dtype} of shape {shape} for {targets.shape[0]} "
            f"examples: return one loss for each example; {remedy}."
        )


def _split(trees: Trees, w: int, name: str) -> list[Variables | None]:
    """Return one pytree (or `None`) per run."""
    if trees is None:
        return [None] * w
    if isinstance(trees, list | tuple):
        if len(trees) != w:
            raise ValueError(f"{name} has {len(trees)} entries for {w} runs.")
        return list(trees)
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in jax.tree.leaves(trees)}
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
