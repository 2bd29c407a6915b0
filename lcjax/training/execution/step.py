"""What is compiled: starting a run, advancing the runs of a chunk, scoring one run."""

import dataclasses
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Key, Num

from lcjax.data.examples import Data, Examples
from lcjax.kernels.compilation import jit
from lcjax.models.layers.convolution import plain_convolutions, transposed_gradients
from lcjax.models.preactivations import apply_with_preactivations
from lcjax.models.sowing import COLLECTION
from lcjax.records import record
from lcjax.training.penalties import penalty, sees_preactivations
from lcjax.training.program import Program
from lcjax.training.scoring import mistakes_of, training_loss, units_of

__all__ = [
    "Score",
    "Slot",
    "advance",
    "advance_once",
    "apply",
    "broadcast",
    "join",
    "narrowed",
    "normalise",
    "pick",
    "put",
    "score",
    "seen",
    "start",
    "stream",
    "take",
]

Array = jax.Array | np.ndarray

# Streams of a run's key; appending is safe, renumbering changes every result.
ORDER, INITIALIZATION, MINIBATCHES, NOISE, CORRUPTION = range(5)

SOWN = ("intermediates", "perturbations", COLLECTION)  # what a model leaves for an observer, no state
CARRY = "carry"  # what a model of consecutive windows remembers between them
INITIAL_EXAMPLES = 1024  # of the shard, seen by initializers that depend on data
EVALUATION_BATCH = 512


@record
class Slot:
    """A run in the making; in a chunk every leaf has the slots as leading axis."""

    variables: Any
    optimizer_state: Any
    mask: Any
    columns: dict[str, jax.Array]
    order: jax.Array
    minibatches: jax.Array
    noise: jax.Array
    corruption: jax.Array
    budget: jax.Array
    step: jax.Array
    failed: jax.Array


@record
class Score:
    """Mean loss and share of mistakes of one run, per unit, and which examples have any."""

    loss: jax.Array
    error: jax.Array
    wrong: jax.Array


def stream(key: Key[jax.Array, ""], seed: Any, number: int) -> Key[jax.Array, ""]:
    """The key of one random stream of one seed."""
    return jax.random.fold_in(jax.random.fold_in(key, seed), number)


def normalise(program: Program, data: Data, inputs: Any) -> Any:
    """What a model sees: `(input - offset) * scale`; tokens and lengths of sequences as they are."""
    dtype = program.dtype

    def normalised(leaf: Any) -> Any:
        if program.scoring is not None and leaf.dtype != jnp.uint8 and jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.asarray(leaf)
        return (jnp.asarray(leaf, dtype) - jnp.asarray(data.offset, dtype)) * jnp.asarray(data.scale, dtype)

    return jax.tree.map(normalised, inputs)


def apply(program: Program, variables: Any, columns: dict[str, Any], inputs: Any, **options: Any) -> Any:
    """The program's model, with the columns that it takes; `options` are those of Linen's `apply`."""
    return program.model.apply(variables, inputs, **_taken(program, columns), **options)


def narrowed(program: Program, variables: Any) -> Any:
    """Parameters in the computation's dtype where it is narrower than theirs, which the optimizer keeps."""
    if jnp.dtype(program.dtype).itemsize >= 4:
        return variables
    return {**variables, "params": jax.tree.map(lambda leaf: leaf.astype(program.dtype), variables["params"])}


def _widened(outputs: Any) -> Any:
    """At least float32: losses and scores are not summed in less."""

    def widened(leaf: jax.Array) -> jax.Array:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)) if floating else leaf

    return jax.tree.map(widened, outputs)


def _taken(program: Program, columns: dict[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in program.model_columns}


def seen(
    program: Program,
    data: Data,
    examples: Examples,
    index: Int[jax.Array, " b"],
    corruption: Key[jax.Array, ""],
    columns: dict[str, Any],
    *,
    first: Any = 0,
    train: bool,
) -> tuple[Any, Num[jax.Array, "b *targets"]]:
    """What a run sees of the examples at `index`, the first of which has the number `first`; normalised."""
    inputs, targets = jax.tree.map(lambda leaf: leaf[index], (examples.inputs, examples.targets))
    if program.corrupt is not None:
        inputs, targets = program.corrupt(corruption, first + index, inputs, targets, columns, train=train)
    return normalise(program, data, inputs), targets


@jit(static_argnames="program")
def start(
    key: Key[jax.Array, ""],
    data: Data,
    orders: Int[jax.Array, "seeds n"],
    initial: Any,
    mask: Any,
    columns: dict[str, jax.Array],
    order: Int[jax.Array, ""],
    budget: Int[jax.Array, ""],
    *,
    program: Program,
) -> Slot:
    """The state of a run before its first step; parameters that `initial` lacks are initialized on its shard."""
    seed = columns["seed"]
    many = INITIAL_EXAMPLES if program.scoring is None else program.batch  # what is remembered has a batch's shape
    sample = orders[order, jnp.arange(many) % columns["size"]]
    corruption = stream(key, seed, CORRUPTION)
    inputs, _ = seen(program, data, data.train, sample, corruption, columns, train=True)
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


@jit(static_argnames=("program", "mapped", "plain"), donate_argnames="slots")
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
    """Make `steps` steps in every slot: one slot after the other (`mapped`), or all at once, as many as the first."""

    def one(slot: Slot) -> Slot:
        return _step(slot, data, orders, program=program)

    with _layers(plain):
        if mapped:
            return jax.lax.map(
                lambda job: jax.lax.fori_loop(0, job[1], lambda _, slot: one(slot), job[0]),
                (slots, steps),
            )
        return jax.lax.fori_loop(0, steps[0], lambda _, slots: jax.vmap(one)(slots), slots)


@jit(static_argnames=("program", "plain"), donate_argnames="slot")
def advance_once(
    slot: Slot, data: Data, orders: Int[jax.Array, "seeds n"], *, program: Program, plain: bool = False
) -> Slot:
    """Make one step in one slot; a program without a loop."""
    with _layers(plain):
        return _step(slot, data, orders, program=program)


def _layers(plain: bool) -> AbstractContextManager[Any]:
    """What the layers of a model are made of while it is traced."""
    context = ExitStack()
    if plain:
        context.enter_context(plain_convolutions())
    if jax.default_backend() == "cpu":
        context.enter_context(transposed_gradients())
    return context


def _step(slot: Slot, data: Data, orders: Int[jax.Array, "seeds n"], *, program: Program) -> Slot:
    columns = slot.columns
    positions = program.sampling(slot.minibatches, slot.step, columns["size"], batch=program.batch)
    index = orders[slot.order, positions]
    inputs, targets = seen(program, data, data.train, index, slot.corruption, columns, train=True)
    augmenting, dropping = jax.random.split(jax.random.fold_in(slot.noise, slot.step))
    if program.augment is not None:
        inputs = program.augment(augmenting, inputs)
    state = {name: value for name, value in slot.variables.items() if name != "params"}
    if program.continuous and CARRY in state:
        begins = slot.step % jnp.maximum(columns["size"] // program.batch, 1) == 0
        state[CARRY] = jax.tree.map(lambda leaf: jnp.where(begins, 0, leaf), state[CARRY])

    def mean_loss(params: Any) -> tuple[jax.Array, Any]:
        variables = narrowed(program, {"params": params, **state})
        options: dict[str, Any] = {"train": True, "mutable": list(state), "rngs": {"dropout": dropping}}
        preactivations: dict[str, jax.Array] = {}
        if sees_preactivations(columns):
            (outputs, preactivations), updated = apply_with_preactivations(
                program.model, variables, inputs, **_taken(program, columns), **options
            )
        else:
            outputs, updated = apply(program, variables, columns, inputs, **options)
        loss = training_loss(program.scoring, program.objective(_widened(outputs), targets), targets)
        return loss + penalty(columns, params, preactivations), updated

    params = slot.variables["params"]
    (loss, updated), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params)
    if "weight_decay" in columns:
        gradient = jax.tree.map(lambda g, p: g + columns["weight_decay"] * p, gradient, params)
    rate = columns["learning_rate"] * program.schedule(slot.step / slot.budget)
    updates, optimizer_state = program.optimizer(rate).update(gradient, slot.optimizer_state, params)
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


@jit(static_argnames=("program", "train", "top", "plain"))
def score(
    variables: Any,
    columns: dict[str, jax.Array],
    data: Data,
    examples: Examples,
    index: Int[jax.Array, " n"],
    count: Int[jax.Array, ""],
    corruption: Key[jax.Array, ""],
    first: Int[jax.Array, ""],
    *,
    program: Program,
    train: bool,
    top: int = 1,
    plain: bool = False,
) -> Score:
    """Score one run on the first `count` of the examples at `index`; the work grows with `count`, not with n."""
    n = index.shape[0]
    batch = min(EVALUATION_BATCH if program.scoring is None else program.batch, n)
    rounds = (count + batch - 1) // batch
    fixed = {name: value for name, value in narrowed(program, variables).items() if name != CARRY}

    def body(i: jax.Array, total: tuple[jax.Array, ...], remembered: Any) -> tuple[tuple[jax.Array, ...], Any]:
        loss, units, mistakes, wrong = total
        place = jnp.arange(batch) * rounds + i if program.continuous else i * batch + jnp.arange(batch)
        chosen = index[jnp.minimum(place, n - 1)]
        inputs, targets = seen(program, data, examples, chosen, corruption, columns, first=first, train=train)
        with _layers(plain):
            if program.continuous:
                outputs, updated = apply(program, {**fixed, **remembered}, columns, inputs, mutable=[CARRY])
                remembered = {CARRY: updated[CARRY]} if CARRY in updated else {}
            else:
                outputs = apply(program, fixed, columns, inputs)
        outputs = _widened(outputs)
        counted = place < count
        new = jnp.where(counted, mistakes_of(program.scoring, data, outputs, targets, top), 0)
        loss = loss + jnp.sum(jnp.where(counted, program.objective(outputs, targets), 0))
        units = units + jnp.sum(jnp.where(counted, units_of(program.scoring, targets), 0), dtype=jnp.int32)
        wrong = wrong.at[jnp.where(counted, place, n)].set(new > 0, mode="drop")
        return (loss, units, mistakes + jnp.sum(new, dtype=jnp.int32), wrong), remembered

    floating = jnp.promote_types(program.dtype, jnp.float32)
    zero = jnp.zeros((), floating), jnp.int32(0), jnp.int32(0), jnp.zeros(n, bool)
    remembered: Any = {}
    if program.continuous:
        shapes = jax.eval_shape(lambda: body(jnp.int32(0), zero, {})[1])
        remembered = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    loss, units, mistakes, wrong = jax.lax.fori_loop(0, rounds, lambda i, state: body(i, *state), (zero, remembered))[0]
    units = jnp.maximum(units, 1)
    return Score(loss=loss / units, error=mistakes / units, wrong=wrong)


@jit(static_argnames="width")
def broadcast(slot: Slot, *, width: int) -> Slot:
    """A chunk of `width` copies of one slot."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), slot)


@jit(donate_argnames="slots")
def put(slots: Slot, slot: Slot, place: Int[jax.Array, ""]) -> Slot:
    """The chunk with `slot` at `place`."""
    return jax.tree.map(lambda all_, one: all_.at[place].set(one), slots, slot)


@jit
def take(slots: Slot, places: Int[jax.Array, " width"]) -> Slot:
    """A chunk of the slots at `places`."""
    return jax.tree.map(lambda leaf: leaf[places], slots)


@jit
def join(parts: list[Slot]) -> Slot:
    """The chunk of the slots of several chunks."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


@jit
def pick(slots: Slot, place: Int[jax.Array, ""]) -> Slot:
    """One slot of a chunk."""
    return jax.tree.map(lambda leaf: leaf[place], slots)
