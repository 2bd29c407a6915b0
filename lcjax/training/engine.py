"""The one training loop: a table of runs, trained side by side; and what its nets say afterwards."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Bool, Float, Int, Key, Num

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed, fetched, rows_of
from lcjax.data.subsets import random_order, rotated_order, stratified_order
from lcjax.records import canonical_hash
from lcjax.training import steps, streaming
from lcjax.training.chunks import Job, train
from lcjax.training.form_choice import Sample, fastest_form
from lcjax.training.forms import Form, choose_form
from lcjax.training.outcomes import Outcome, result_of
from lcjax.training.penalties import NAMES, check_penalties
from lcjax.training.placement import Placement, deal, devices_of_job, local_devices
from lcjax.training.processes import exchange
from lcjax.training.runs import Program, Progress, Runs, SweepResult, steps_of
from lcjax.training.store import Store, identity, opened

__all__ = ["evaluate", "features", "sweep"]

Array = jax.Array | np.ndarray

FEATURES_BATCH = 512


def sweep(
    key: Key[jax.Array, ""],
    data: Data,
    runs: Runs,
    *,
    initial: Any = None,
    mask: Any = None,
    keep: Bool[np.ndarray, " w"] | None = None,
    folder: str | os.PathLike[str] | None = None,
    form: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SweepResult:
    """Train every run of a table and score it.

    A run with seed s and size N trains on the first N examples of the seed's own order: balanced (`stratified_order`)
    for classes, uniform for regression and sequences, and consecutive windows from a place of the seed's own on. Order,
    initialization and minibatches come from `fold_in(fold_in(key, s), STREAM)`: runs that differ in other columns only
    share them, and shards of one seed nest. A run's numbers do not depend on the rest of the table: bit for bit where
    execution form and chunk width are the same, and to rounding where not.

    Args:
        key: typed key of the whole sweep.
        data: training, validation and (or `None`) test split.
        runs: what to train.
        initial: variables to start from, one pytree (or `None`) a run, or one pytree with a leading axis of runs; what
            the model has and these lack is initialized, on the shard.
        mask: multiplies the parameters before the first step and after each, given like `initial`; pruning masks.
        keep: whose variables are returned, `(w,)`; none by default.
        folder: where finished runs are stored; a sweep that was interrupted goes on from there.
        form: "vmap:8" trains eight runs in one vectorized step, "map:8" eight in turn in one program (see
            `lcjax.training.forms`); by default as it was when the folder was begun, or chosen by the net, or for
            programs of minutes and more by a short measurement (`lcjax.training.form_choice`).
        on_progress: called between chunks, for a progress bar.

    Returns:
        One row a run, in the table's order.

    Raises:
        ValueError: a column is missing or has the wrong length, a size is not in [1, n], a budget has no steps or no
            end, a batch is larger than a shard where only epochs count, a form is unknown, warm-start variables do not
            fit the model, or the folder holds another sweep or is another process's.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import momentum, cosine, with_replacement, Budget
        >>> inputs = np.random.default_rng(0).normal(size=(300, 2)).astype("float32")
        >>> examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype("int32"))
        >>> data = lc.Data(examples, examples, None, classes=2)
        >>> program = lc.Program(
        ...     lc.MLP((8,), 2), lc.cross_entropy, momentum, cosine, 32, Budget(steps=100), with_replacement
        ... )
        >>> columns = {"size": np.array([30, 300]), "seed": np.array([0, 0]), "learning_rate": np.array([0.1, 0.1])}
        >>> result = sweep(jax.random.key(0), data, lc.Runs((program,), np.array([0, 0]), columns))
        >>> bool(result.validation_error[1, -1] < 0.05)
        True
    """
    _check(runs, data)
    w = len(runs.program)
    keep = np.zeros(w, bool) if keep is None else np.asarray(keep)
    starts, masks = _each(initial, w, "initial"), _each(mask, w, "mask")
    budget = np.array(
        [steps_of(runs.programs[p], int(n)) for p, n in zip(runs.program, runs.columns["size"], strict=True)]
    )
    table = _Table(runs, starts, masks, keep, budget)
    begun = folder is not None and Path(folder, "manifest.json").exists()  # its forms win
    forms = tuple(_form(key, data, table, i, form, begun) for i in range(len(runs.programs)))
    if folder is None and jax.process_count() == 1:
        return _trained(key, data, table, forms, None, on_progress)
    parts = identity(key, data, runs, starts, masks, keep)
    if folder is None:
        _agreed(parts, forms)
        return _trained(key, data, table, forms, None, on_progress)
    with contextlib.closing(opened(folder, parts, forms)) as store:
        if form is not None and store.forms != forms:
            raise ValueError(f"{folder} was begun in the form {', '.join(store.forms)}, not {', '.join(forms)}.")
        _agreed(parts, store.forms)
        return _trained(key, data, table, store.forms, store, on_progress)


@dataclasses.dataclass(frozen=True)
class _Table:
    """What is to be trained, one entry a run."""

    runs: Runs
    starts: list[Any]
    masks: list[Any]
    keep: np.ndarray
    budget: np.ndarray

    def job(self, row: int, order: int) -> Job:
        budget, keep = int(self.budget[row]), bool(self.keep[row])
        return Job(row, budget, _columns(self.runs, row), order, self.starts[row], self.masks[row], keep)


def _trained(
    key: jax.Array,
    data: Data,
    table: _Table,
    forms: tuple[str, ...],
    store: Store | None,
    on_progress: Callable[[Progress], None] | None,
) -> SweepResult:
    """Train this process's share of what the folder does not hold, and put all rows of all processes together."""
    runs, budget = table.runs, table.budget
    outcomes = {} if store is None else store.read(data)
    orders, order = _orders(key, data, runs)
    told = exchange((0 if store is None else store.attempts, sorted(outcomes)))
    attempt, found = max(attempts for attempts, _ in told), [rows for _, rows in told]
    held = {row for rows in found for row in rows}
    left = [[row for row in np.flatnonzero(runs.program == i).tolist() if row not in held] for i in range(len(forms))]
    process = deal(left, budget, jax.process_count())
    mine = {row for row in process if process[row] == jax.process_index()}
    ended = resumed = int(sum(budget[row] for row in held))
    total, count = resumed + int(sum(budget[row] for row in mine)), len(held)
    placements: dict[int, Placement] = {}
    failure = None
    try:
        for i, program in enumerate(runs.programs):
            jobs = [table.job(row, int(order[row])) for row in left[i] if row in mine]
            if not jobs:
                continue
            streamed = streaming.is_streamed(data)
            devices = 1 if streamed else min(len(jobs), len(local_devices()))
            if devices not in placements:
                placed = Placement(data, jax.device_put(orders), None) if streamed else None
                placements = {devices: placed or Placement.of(data, orders, devices)}
            checkpoints = None if store is None else store.checkpoints(i, attempt)
            for running, just_ended in train(key, placements[devices], jobs, program, forms[i], checkpoints):
                for row, outcome in just_ended.items():
                    outcomes[row] = outcome
                    ended += int(budget[row])
                    count += 1
                    if store is not None:
                        store.add(row, outcome)
                if on_progress is not None:
                    new = tuple(just_ended)
                    on_progress(Progress(ended + running, total, resumed, len(held | mine), count, new, len(held)))
    except Exception as error:
        if jax.process_count() == 1:
            raise
        failure = error
    rows = _gathered(outcomes, found, failure, len(runs.program))
    if store is not None:
        store.clear()
    return result_of(runs, rows, orders, forms)


def _agreed(parts: dict[str, Any], forms: tuple[str, ...]) -> None:
    """Refuse processes of one job that were given different sweeps."""
    told = exchange(({name: canonical_hash(part) for name, part in parts.items()}, forms))
    for process, (hashes, others) in enumerate(told):
        different = [name for name in parts if hashes[name] != told[0][0][name]]
        different += ["form"] if others != told[0][1] else []
        if different:
            raise ValueError(
                f"The processes of one job train one table together, and process {process} has another than process 0: "
                f"it differs in {', '.join(different)}."
            )


def _gathered(
    outcomes: dict[int, Outcome], found: Sequence[Sequence[int]], failure: Exception | None, w: int
) -> list[Outcome]:
    """All rows, from all processes, in the table's order; each tells what not everybody read from a folder."""
    known = set(found[0]).intersection(*found)
    own = {row: outcome for row, outcome in outcomes.items() if row not in known}
    told = exchange((own, None if failure is None else f"{type(failure).__name__}: {failure}"))
    if failure is not None:
        raise failure
    for process, (others, reason) in enumerate(told):
        if reason is not None:
            raise RuntimeError(f"Process {process} failed, the others have trained their share. {reason}")
        outcomes = {**others, **outcomes}
    return [outcomes[row] for row in range(w)]


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
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.training import adam, constant, with_replacement, Budget
        >>> examples = lc.Examples(np.eye(4, dtype="float32"), np.arange(4, dtype="int32"))
        >>> data = lc.Data(examples, examples, None, classes=4)
        >>> program = lc.Program(
        ...     lc.MLP((16,), 4), lc.cross_entropy, adam, constant, 4, Budget(steps=200), with_replacement
        ... )
        >>> columns = {"size": np.array([4]), "seed": np.array([0]), "learning_rate": np.array([0.01])}
        >>> runs = lc.Runs((program,), np.array([0]), columns)
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
        variables, columns = _kept(result, row), _columns(result.runs, row)
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
    program, columns = result.runs.programs[result.runs.program[row]], _columns(result.runs, row)
    numbers, corruption = np.zeros(0, int), None
    if shard:
        numbers = result.shard(row)
        inputs = jax.tree.map(lambda leaf: rows_of(leaf, numbers), data.train.inputs)
        corruption = _corruption(result, row, key) if program.corrupt is not None else None
    assert inputs is not None
    variables = jax.device_put(_kept(result, row))
    m = len(jax.tree.leaves(inputs)[0])
    batch = min(FEATURES_BATCH, m)
    outputs = []
    for first in range(0, m, batch):
        place = np.minimum(np.arange(first, first + batch), m - 1)  # one shape, one compilation
        part = jax.tree.map(lambda leaf, place=place: fetched(leaf, place), inputs)
        if corruption is not None:
            targets = data.train.targets[numbers[place]]
            part = _corrupted(corruption, numbers[place], part, targets, columns, program=program)
        normalised = steps.normalise(program, data, part)
        outputs.append(np.asarray(_features(variables, columns, normalised, program=program, method=method)))
    return np.concatenate(outputs)[:m]


@jax.jit(static_argnames="program")
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


@jax.jit(static_argnames=("program", "method"))
def _features(
    variables: Any, columns: dict[str, jax.Array], inputs: jax.Array, *, program: Program, method: str
) -> jax.Array:
    return steps.apply(program, steps.narrowed(program, variables), columns, inputs, method=method)


def _kept(result: SweepResult, row: int) -> Any:
    if result.params[row] is None:
        raise ValueError(f"The variables of run {row} were not kept: give `keep` to the sweep.")
    return result.params[row]


def _orders(key: jax.Array, data: Data, runs: Runs) -> tuple[Int[np.ndarray, "seeds n"], Int[np.ndarray, " w"]]:
    """One order of the training set for each distinct seed, and each run's row among them."""
    distinct, row = np.unique(np.asarray(runs.columns["seed"]), return_inverse=True)
    streams = [steps.stream(key, int(s), steps.ORDER) for s in distinct]
    labels = np.asarray(data.train.targets)
    if runs.programs[int(runs.program[0])].continuous:
        orders = [rotated_order(stream, len(labels)) for stream in streams]
    elif data.classes and labels.ndim == 1:
        orders = [stratified_order(stream, labels) for stream in streams]
    else:
        orders = [random_order(stream, len(labels)) for stream in streams]
    return np.stack([np.asarray(order, np.int32) for order in orders]), row


def _columns(runs: Runs, row: int) -> dict[str, jax.Array]:
    return {
        name: jnp.asarray(column[row], jnp.int32 if np.asarray(column).dtype.kind in "iub" else None)
        for name, column in runs.columns.items()
    }


def _form(key: jax.Array, data: Data, table: _Table, i: int, form: str | None, begun: bool) -> str:
    """Check one program against the data and its runs' warm starts, and say how it is executed."""
    runs, starts, masks = table.runs, table.starts, table.masks
    rows = np.flatnonzero(runs.program == i)
    if not rows.size:
        return ""
    shapes = _shapes(runs, i, data, int(rows[0]))
    for row in rows:
        _check_variables(starts[row], shapes, f"initial[{row}]")
        if masks[row] is not None:
            _check_variables({"params": masks[row]}, shapes, f"mask[{row}]")
            if len(jax.tree.leaves(masks[row])) != len(jax.tree.leaves(shapes["params"])):
                raise ValueError(f"mask[{row}] does not cover all parameters of the model.")
    if streaming.is_streamed(data):
        form = streaming.FORM if form is None else form
        streaming.check_streamed(runs.programs[i], form)
    if form is None:
        params, budgets, first = shapes["params"], table.budget[rows].tolist(), int(rows[0])
        if begun:
            return choose_form(params, budgets, devices_of_job())
        seeds = len(np.unique(runs.columns["seed"]))
        sample = Sample(runs.programs[i], key, data, seeds, _columns(runs, first), starts[first], masks[first])
        return fastest_form(params, budgets, sample)
    Form.parse(form)
    return form


def _shapes(runs: Runs, i: int, data: Data, row: int) -> Any:
    """Shapes of the variables of a program's model."""
    program = runs.programs[i]
    columns = _columns(runs, row)
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


def _check_variables(tree: Any, shapes: Any, name: str) -> None:
    if tree is None:
        return
    known = flatten_dict(shapes, sep="/")
    for path, leaf in flatten_dict(tree, sep="/").items():
        if path not in known:
            raise ValueError(f"{name} has {path}, which the model lacks.")
        if np.shape(leaf) != known[path].shape:
            raise ValueError(f"{name} has {path} of shape {np.shape(leaf)}, the model's is {known[path].shape}.")


def _each(trees: Any, w: int, name: str) -> list[Any]:
    """One pytree (or `None`) a run."""
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


def _check(runs: Runs, data: Data) -> None:
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


def _check_functions(program: Program, i: int) -> None:
    """Methods are functions, not names."""
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
