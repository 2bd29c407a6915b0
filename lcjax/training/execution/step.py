"""Compiled functions of training: start a run, advance the runs of a chunk, score a run."""

import dataclasses
from contextlib import ExitStack
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import VariableDict
from jaxtyping import Bool, Float, Int, Num

from lcjax.data.examples import Data, Examples
from lcjax.kernels.compilation import jit, jit_by_size, jit_lean
from lcjax.models.layers.convolution import plain_convolutions, transposed_gradients
from lcjax.models.preactivations import apply_with_preactivations
from lcjax.models.sowing import COLLECTION
from lcjax.records import record
from lcjax.training.execution.slots import Slot
from lcjax.training.optimizers import refresh_hyperparams
from lcjax.training.penalties import needs_preactivations, penalty
from lcjax.training.program import Columns, Program
from lcjax.training.scoring import mistakes_of, standardize_targets, to_predictions, training_loss, units_of
from lcjax.typing import Array, ArrayTree, KeyArray, Variables

__all__ = [
    "Part",
    "Score",
    "advance",
    "advance_once",
    "apply",
    "at_least_float32",
    "gather_examples",
    "layer_options",
    "normalize",
    "score",
    "start",
    "stream",
    "to_compute_dtype",
]

Tree = TypeVar("Tree")

# Streams of a run's key; appending is safe, renumbering changes every result.
ORDER, INITIALIZATION, MINIBATCHES, NOISE, CORRUPTION = range(5)

SOWN = ("intermediates", "perturbations", COLLECTION)  # collections that a model leaves for an observer, not state
CARRY = "carry"  # state that a model of consecutive windows keeps between them
INITIAL_EXAMPLES = 1024  # of the shard, for initializers that depend on data
EVALUATION_BATCH = 512
# Numbers in a chunk, and in the variables of a model, up to which less optimization compiles faster and runs as fast.
SMALL_CHUNK, SMALL_MODEL = 2**19, 2**16


@record
class Part:
    """Part of a split that is scored; the work grows with `count`, not with n."""

    examples: Examples  # the split
    index: Int[Array, " n"]  # positions in it
    count: Int[Array, ""]  # number of positions to score, from the first
    first: Int[Array, ""]  # number of the split's first example among those of all splits
    train: bool = jax.tree.static(default=False)  # True for training examples

    @classmethod
    def whole(cls, examples: Examples, first: int) -> "Part":
        """Return a whole split, of examples other than for training."""
        n = len(examples.targets)
        index = np.arange(n, dtype=jnp.result_type(int))
        return cls(examples, index, np.asarray(n, np.int32), np.asarray(first, np.int32))


@record
class Score:
    """Mean loss and fraction of mistakes of one run, per unit, and the examples that have any."""

    loss: Float[jax.Array, ""]
    error: Float[jax.Array, ""]
    wrong: Bool[jax.Array, " n"]


def stream(key: KeyArray, seed: int | Int[jax.Array, ""], number: int) -> KeyArray:
    """Return the key of one random stream of one seed."""
    return jax.random.fold_in(jax.random.fold_in(key, seed), number)


def normalize(
    program: Program, offset: Num[Array, "..."] | float, scale: Num[Array, "..."] | float, inputs: ArrayTree
) -> Any:
    """Return the model's inputs, `(input - offset) * scale`; tokens and lengths of sequences stay as they are."""
    dtype = program.dtype

    def to_model(leaf: Array) -> jax.Array:
        if program.scoring is not None and leaf.dtype != jnp.uint8 and jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.asarray(leaf)
        return (jnp.asarray(leaf, dtype) - jnp.asarray(offset, dtype)) * jnp.asarray(scale, dtype)

    return jax.tree.map(to_model, inputs)


def to_compute_dtype(program: Program, variables: Variables) -> Variables:
    """Cast parameters to the dtype of the computation if it is narrower than theirs, which the optimizer keeps."""
    if jnp.dtype(program.dtype).itemsize >= 4:
        return variables
    return {**variables, "params": jax.tree.map(lambda leaf: leaf.astype(program.dtype), variables["params"])}


def gather_examples(
    program: Program,
    data: Data,
    examples: Examples,
    index: Int[jax.Array, " b"],
    corruption: KeyArray,
    columns: Columns,
    *,
    first: int | Int[Array, ""] = 0,
    train: bool,
) -> tuple[Any, Num[jax.Array, "b *targets"]]:
    """Return the model's inputs and the targets of the examples at `index`, corrupted as the program says.

    `first` is the number of the split's first example among those of all splits.
    """
    inputs, targets = jax.tree.map(lambda leaf: leaf[index], (examples.inputs, examples.targets))
    if program.corrupt is not None:
        inputs, targets = program.corrupt(corruption, jnp.add(first, index), inputs, targets, columns, train=train)
    return normalize(program, data.offset, data.scale, inputs), targets


@jit_lean(static_argnames="program")
def start(
    key: KeyArray,
    data: Data,
    orders: Int[jax.Array, "seeds n"],
    initial: ArrayTree,
    mask: ArrayTree | None,
    columns: Columns,
    order: Int[jax.Array, ""],
    budget: Int[jax.Array, ""],
    *,
    program: Program,
) -> Slot:
    """Return the state of a run before its first step; variables absent from `initial` are initialized on its shard."""
    seed = columns["seed"]
    count = INITIAL_EXAMPLES if program.scoring is None else program.batch  # a carried state has a batch's shape
    sample = orders[order, jnp.arange(count) % columns["size"]]
    corruption = stream(key, seed, CORRUPTION)
    inputs, _ = gather_examples(program, data, data.train, sample, corruption, columns, train=True)
    rngs = {"params": stream(key, seed, INITIALIZATION)}
    _, variables = apply(program, initial, columns, inputs, mutable=True, rngs=rngs)
    variables = {name: value for name, value in dict(variables).items() if name not in SOWN}
    if mask is not None:
        variables["params"] = jax.tree.map(jnp.multiply, variables["params"], mask)
    return Slot(
        variables=variables,
        optimizer_state=program.optimizer(columns["learning_rate"]).init(variables["params"]),
        mask=mask,
        columns=columns,
        order=order,
        minibatches=stream(key, seed, MINIBATCHES),
        noise=stream(key, seed, NOISE),
        corruption=corruption,
        budget=budget,
        step=jnp.int32(0),
        failed=jnp.int32(-1),
    )


@jit_by_size(
    static_argnames=("program", "mapped", "plain"),
    donate_argnames="slots",
    most=SMALL_CHUNK,
    counted="slots",
    optimize="brief",
)
def advance(
    slots: Slot,
    data: Data,
    orders: Int[jax.Array, "seeds n"],
    steps: Int[jax.Array, " width"],
    *,
    program: Program,
    mapped: bool,
    plain: bool = False,
) -> Slot:
    """Advance every slot by its number of steps in turn (`mapped`), or all slots at once by that of the first."""

    def advance_slot(slot: Slot) -> Slot:
        return _step(slot, data, orders, program=program)

    with layer_options(plain):
        if mapped:
            slots = jax.lax.map(
                lambda job: jax.lax.fori_loop(0, job[1], lambda _, slot: advance_slot(slot), job[0]), (slots, steps)
            )
        else:
            slots = jax.lax.fori_loop(0, steps[0], lambda _, slots: jax.vmap(advance_slot)(slots), slots)
    return slots


@jit(static_argnames=("program", "plain"), donate_argnames="slot")
def advance_once(
    slot: Slot, data: Data, orders: Int[jax.Array, "seeds n"], *, program: Program, plain: bool = False
) -> Slot:
    """Advance one slot by one step; a program without a loop."""
    with layer_options(plain):
        return _step(slot, data, orders, program=program)


@jit_by_size(static_argnames=("program", "top", "plain"), most=SMALL_MODEL, counted="variables", optimize="lean")
def score(
    variables: Variables,
    columns: Columns,
    data: Data,
    part: Part,
    corruption: KeyArray,
    *,
    program: Program,
    top: int = 1,
    plain: bool = False,
) -> Score:
    """Score one run on a part of a split; an output is correct if the target is among the `top` largest."""
    index, count = part.index, part.count
    n = index.shape[0]
    batch = min(EVALUATION_BATCH if program.scoring is None else program.batch, n)
    rounds = (count + batch - 1) // batch
    fixed = {name: value for name, value in to_compute_dtype(program, variables).items() if name != CARRY}

    def body(
        i: Int[jax.Array, ""], total: tuple[jax.Array, ...], carry: Variables
    ) -> tuple[tuple[jax.Array, ...], Variables]:
        loss, units, mistakes, wrong = total
        place = jnp.arange(batch) * rounds + i if program.continuous else i * batch + jnp.arange(batch)
        position = index[jnp.minimum(place, n - 1)]
        inputs, targets = gather_examples(
            program, data, part.examples, position, corruption, columns, first=part.first, train=part.train
        )
        with layer_options(plain):
            if program.continuous:
                outputs, updated = apply(program, {**fixed, **carry}, columns, inputs, mutable=[CARRY])
                carry = {CARRY: updated[CARRY]} if CARRY in updated else {}
            else:
                outputs = apply(program, fixed, columns, inputs)
        outputs = to_predictions(data, at_least_float32(outputs))
        counted = place < count
        new = jnp.where(counted, mistakes_of(program.scoring, data, outputs, targets, top), 0)
        loss = loss + jnp.sum(jnp.where(counted, program.objective(outputs, targets), 0))
        units = units + jnp.sum(jnp.where(counted, units_of(program.scoring, targets), 0), dtype=jnp.int32)
        wrong = wrong.at[jnp.where(counted, place, n)].set(new > 0, mode="drop")
        return (loss, units, mistakes + jnp.sum(new, dtype=jnp.int32), wrong), carry

    floating = jnp.promote_types(program.dtype, jnp.float32)
    zero = jnp.zeros((), floating), jnp.int32(0), jnp.int32(0), jnp.zeros(n, bool)
    carry: Variables = {}
    if program.continuous:
        shapes = jax.eval_shape(lambda: body(jnp.int32(0), zero, {})[1])
        carry = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    loss, units, mistakes, wrong = jax.lax.fori_loop(0, rounds, lambda i, state: body(i, *state), (zero, carry))[0]
    units = jnp.maximum(units, 1)
    return Score(loss=loss / units, error=mistakes / units, wrong=wrong)


def apply(program: Program, variables: ArrayTree, columns: Columns, inputs: Any, **options: Any) -> Any:
    """Apply the program's model with the columns that it takes; `options` are those of Linen's `apply`."""
    return program.model.apply(cast(VariableDict, variables), inputs, **_model_columns(program, columns), **options)


def _step(slot: Slot, data: Data, orders: Int[jax.Array, "seeds n"], *, program: Program) -> Slot:
    columns = slot.columns
    positions = program.sampling(slot.minibatches, slot.step, columns["size"], batch=program.batch)
    index = orders[slot.order, positions]
    inputs, targets = gather_examples(program, data, data.train, index, slot.corruption, columns, train=True)
    augmentation, dropout = jax.random.split(jax.random.fold_in(slot.noise, slot.step))
    if program.augment is not None:
        inputs = program.augment(augmentation, inputs)
    state = {name: value for name, value in slot.variables.items() if name != "params"}
    if program.continuous and CARRY in state:
        restarts = slot.step % jnp.maximum(columns["size"] // program.batch, 1) == 0
        state[CARRY] = jax.tree.map(lambda leaf: jnp.where(restarts, 0, leaf), state[CARRY])

    def mean_loss(params: Variables) -> tuple[Float[jax.Array, ""], Variables]:
        variables = to_compute_dtype(program, {"params": params, **state})
        options: dict[str, Any] = {"train": True, "mutable": list(state), "rngs": {"dropout": dropout}}
        preactivations: dict[str, jax.Array] = {}
        if needs_preactivations(columns):
            (outputs, preactivations), updated = apply_with_preactivations(
                program.model, cast(VariableDict, variables), inputs, **_model_columns(program, columns), **options
            )
        else:
            outputs, updated = apply(program, variables, columns, inputs, **options)
        losses = program.objective(at_least_float32(outputs), standardize_targets(data, targets))
        loss = training_loss(program.scoring, losses, targets)
        return loss + penalty(columns, params, preactivations), updated

    params = slot.variables["params"]
    (loss, updated), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params)
    if "weight_decay" in columns:
        gradient = jax.tree.map(lambda g, p: g + columns["weight_decay"] * p, gradient, params)
    rate = columns["learning_rate"] * program.schedule(slot.step / slot.budget)
    optimizer = program.optimizer(rate)
    optimizer_state = refresh_hyperparams(optimizer, slot.optimizer_state, params)
    updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
    params = jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)
    if slot.mask is not None:
        params = jax.tree.map(jnp.multiply, params, slot.mask)
    return dataclasses.replace(
        slot,
        variables={"params": params, **updated},
        optimizer_state=optimizer_state,
        step=slot.step + 1,
        failed=jnp.where((slot.failed < 0) & ~jnp.isfinite(loss), slot.step, slot.failed),
    )


def layer_options(plain: bool) -> ExitStack:
    """Choose the implementation of a model's layers while it is traced."""
    context = ExitStack()
    if plain:
        context.enter_context(plain_convolutions())
    if jax.default_backend() == "cpu":
        context.enter_context(transposed_gradients())
    return context


def _model_columns(program: Program, columns: Columns) -> dict[str, Any]:
    return {name: columns[name] for name in program.model_columns}


def at_least_float32(outputs: Tree) -> Tree:
    """Widen floating outputs to at least float32, in which losses and scores are summed."""

    def widen(leaf: jax.Array) -> jax.Array:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) if floating else leaf

    widened: Tree = jax.tree.map(widen, outputs)
    return widened
