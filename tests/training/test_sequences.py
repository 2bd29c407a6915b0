"""The engine on sequences: losses per token, padding, state carried over windows, inputs of several arrays."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.data.subsets import rotated_order
from lcjax.training import Budget, Execution, Scoring, ScoringByError, consecutive, constant, epochs
from lcjax.training.execution import step as steps
from lcjax.training.scoring import training_loss

VOCABULARY, WINDOW, LANES = 5, 6, 3


def loss(outputs, targets):
    """Return the sum of the cross-entropies of an example's tokens."""
    chosen = jnp.arange(VOCABULARY) == targets[..., None]
    losses = jax.nn.logsumexp(outputs, axis=-1) - jnp.sum(jnp.where(chosen, outputs, 0), axis=-1)
    return jnp.sum(jnp.where(targets >= 0, losses, 0), axis=-1)


def tokens(targets):
    return jnp.sum(targets >= 0, axis=-1)


def mistakes(outputs, targets):
    return jnp.sum((targets >= 0) & (jnp.argmax(outputs, axis=-1) != targets), axis=-1)


class Recurrent(nn.Module):
    """A plain recurrent network that stores its last state."""

    units: int = 7
    continuous: bool = True

    @nn.compact
    def __call__(self, inputs, train=False):
        kernel = self.param("kernel", nn.initializers.normal(0.4), (VOCABULARY, self.units))
        recurrent = self.param("recurrent", nn.initializers.orthogonal(), (self.units, self.units))
        first = jnp.zeros((inputs.shape[0], self.units), kernel.dtype)
        if self.continuous:
            kept = self.variable("carry", "state", lambda: first)
            first = jax.lax.stop_gradient(kept.value)
        driven = jnp.moveaxis(jax.nn.one_hot(inputs, VOCABULARY, dtype=kernel.dtype) @ kernel, 1, 0)

        def step(state, drive):
            state = jnp.tanh(drive + state @ recurrent)
            return state, state

        last, states = jax.lax.scan(step, first, driven)
        if self.continuous and self.is_mutable_collection("carry") and not self.is_initializing():
            kept.value = last
        return nn.Dense(VOCABULARY, name="head")(jnp.moveaxis(states, 0, 1))


def text(seed, windows):
    """Return windows of a Markov chain of order two."""
    generator = np.random.default_rng(seed)
    chain = [0, 1]
    while len(chain) <= windows * WINDOW:
        chain.append((chain[-1] + 2 * chain[-2] + int(generator.random() < 0.1)) % VOCABULARY)
    cut = np.array(chain, np.int32)
    shape = windows, WINDOW
    return lc.Examples(cut[: windows * WINDOW].reshape(shape), cut[1 : windows * WINDOW + 1].reshape(shape))


@pytest.fixture(scope="module")
def data():
    return lc.Data(text(0, 41), text(1, 11), text(2, 10), offset=9.0, classes=VOCABULARY, name="chain")


@pytest.fixture(scope="module")
def program():
    scoring = Scoring(tokens, mistakes)
    budget = Budget(steps=43, records=2)
    return lc.Program(Recurrent(), loss, optax.adam, constant, LANES, budget, consecutive, scoring=scoring)


@pytest.fixture(scope="module")
def runs(program):
    columns = {
        "size": np.array([41, 14, 14]),
        "seed": np.array([0, 0, 1]),
        "learning_rate": np.array([0.02, 0.02, 0.01]),
    }
    return lc.Runs((program,), np.zeros(3, int), columns)


def states_and_outputs(variables, inputs, state):
    """Evaluate one window by a loop over time in NumPy, in double precision."""
    params = {k: np.asarray(v, np.float64) for k, v in variables.items() if k != "head"}
    head = {k: np.asarray(v, np.float64) for k, v in variables["head"].items()}
    outputs = []
    for token in inputs:
        state = np.tanh(params["kernel"][token] + state @ params["recurrent"])
        outputs.append(state @ head["kernel"] + head["bias"])
    return state, np.array(outputs)


def by_hand(variables, examples, lanes):
    """Return loss and error per token of windows read in `parts` parts, with the state carried between windows."""
    n = len(examples.targets)
    length = -(-n // lanes)
    total, wrong = 0.0, []
    for lane in range(lanes):
        state = np.zeros(7)
        for window in range(lane * length, min((lane + 1) * length, n)):
            state, outputs = states_and_outputs(variables, examples.inputs[window], state)
            chosen = outputs[np.arange(WINDOW), examples.targets[window]]
            total += np.sum(np.log(np.exp(outputs).sum(-1)) - chosen)
            wrong.append(outputs.argmax(-1) != examples.targets[window])
    return total / (n * WINDOW), np.mean(wrong)


@pytest.fixture(scope="module")
def result(data, runs):
    return lc.sweep(jax.random.key(5), data, runs, keep=np.ones(3, bool), execution=Execution("vmap", 3))


@pytest.mark.parametrize("row", range(3))
def test_scores_are_per_token_with_the_state_carried(data, result, row):
    variables = result.params[row]["params"]
    shard = result.shard(row)
    on_shard = lc.Examples(data.train.inputs[shard], data.train.targets[shard])
    for examples, found in (
        (data.validation, (result.validation_loss[row, -1], result.validation_error[row, -1])),
        (data.test, (result.test_loss[row], result.test_error[row])),
        (on_shard, (result.train_loss[row, -1], result.train_error[row, -1])),
    ):
        expected = by_hand(variables, examples, LANES)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_training_carries_the_state_and_restarts(data, program, runs):
    """With constant weights, the state after the last step is that of a loop over the windows of its round."""
    still = {**runs.columns, "learning_rate": np.full(3, 1e-30)}
    result = lc.sweep(
        jax.random.key(5),
        data,
        lc.Runs((program,), runs.program, still),
        keep=np.ones(3, bool),
        execution=Execution("vmap", 3),
    )
    for row, size in enumerate((41, 14, 14)):
        length = size // LANES
        since = (program.budget.steps - 1) % length + 1
        assert 1 < since < length
        shard = result.shard(row)
        for lane, carried in enumerate(result.params[row]["carry"]["state"]):
            state = np.zeros(7)
            for window in shard[lane * length : lane * length + since]:
                state, _ = states_and_outputs(result.params[row]["params"], data.train.inputs[window], state)
            np.testing.assert_allclose(carried, state, atol=1e-5)


def test_order_of_consecutive_windows(data, result):
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(5), 1), steps.ORDER)
    np.testing.assert_array_equal(result.shard(2), rotated_order(key, 41)[:14])


def test_learns_the_chain(result):
    assert result.validation_loss[0, -1] < result.validation_loss[0, 0] < np.log(VOCABULARY)


def test_forms_agree(data, runs, result):
    other = lc.sweep(jax.random.key(5), data, runs, execution=Execution("map", 2))
    np.testing.assert_allclose(other.validation_loss, result.validation_loss, rtol=1e-4)
    np.testing.assert_allclose(other.test_loss, result.test_loss, rtol=1e-4)


def test_a_folder_holds_losses_and_states(data, runs, result, tmp_path):
    lc.sweep(jax.random.key(5), data, runs, keep=np.ones(3, bool), folder=tmp_path, execution=Execution("vmap", 3))
    again = lc.sweep(jax.random.key(5), data, runs, keep=np.ones(3, bool), folder=tmp_path)
    for name in ("validation_loss", "test_loss", "test_error"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    np.testing.assert_array_equal(again.params[1]["carry"]["state"], result.params[1]["carry"]["state"])


class Shifted(nn.Module):
    """A model of a dict of inputs: tokens stay integers, frames are normalized."""

    @nn.compact
    def __call__(self, inputs, train=False):
        assert inputs["tokens"].dtype == jnp.int32
        value = jax.nn.one_hot(inputs["tokens"], VOCABULARY) * inputs["frames"][:, :1, None]
        return nn.Dense(VOCABULARY, name="head")(value)


def padded(seed, more):
    generator = np.random.default_rng(seed)
    length = generator.integers(1, WINDOW + 1, 30)
    inside = np.arange(WINDOW + more) < length[:, None]
    value = np.where(inside, generator.integers(0, VOCABULARY, (30, WINDOW))[:, np.arange(WINDOW + more) % WINDOW], 0)
    inputs = {"tokens": value.astype(np.int32), "frames": np.full((30, 2), 3.0, np.float32)}
    return lc.Examples(inputs, np.where(inside, (value + 1) % VOCABULARY, -1).astype(np.int32))


@pytest.mark.parametrize("per_example", [pytest.param(False, marks=pytest.mark.slow), True])
def test_padding_changes_nothing(per_example):
    found = []
    for more in (0, 4):
        part = padded(0, more)
        data = lc.Data(part, part, part, offset=2.0, classes=VOCABULARY)
        data.check()
        program = lc.Program(
            Shifted(), loss, optax.adam, constant, 8, Budget(steps=30), epochs,
            scoring=Scoring(tokens, mistakes, per_example),
        )  # fmt: skip
        columns = {"size": np.array([20]), "seed": np.array([0]), "learning_rate": np.array([0.1])}
        found.append(lc.sweep(jax.random.key(0), data, lc.Runs((program,), np.array([0]), columns)))
    np.testing.assert_allclose(found[0].validation_loss, found[1].validation_loss, rtol=1e-5)
    np.testing.assert_array_equal(found[0].test_error, found[1].test_error)


def test_the_loss_of_a_step_is_per_token_or_per_example():
    losses, targets = jnp.array([2.0, 6.0]), jnp.array([[1, -1], [1, 2]])
    assert float(training_loss(Scoring(tokens, mistakes), losses, targets)) == pytest.approx(8 / 3)
    assert float(training_loss(Scoring(tokens, mistakes, per_example=True), losses, targets)) == 4


def test_patience_looks_at_the_loss(data, program):
    patient = dataclasses.replace(program, budget=Budget(steps=600, records=30, patience=2))
    columns = {"size": np.array([14]), "seed": np.array([0]), "learning_rate": np.array([0.05])}
    result = lc.sweep(jax.random.key(0), data, lc.Runs((patient,), np.array([0]), columns))
    assert result.steps[0] < 600
    assert result.validation_loss[0, -1] == np.min(result.validation_loss[0])


def test_patience_looks_at_the_error_where_that_counts(data, program):
    budget = Budget(steps=600, records=30, patience=8)
    columns = {"size": np.full(2, 14), "seed": np.arange(2), "learning_rate": np.full(2, 0.05)}
    found = []
    for kind in (Scoring, ScoringByError):
        patient = dataclasses.replace(program, budget=budget, scoring=kind(tokens, mistakes))
        found.append(lc.sweep(jax.random.key(0), data, lc.Runs((patient,), np.zeros(2, int), columns)))
    by_loss, by_error = found
    np.testing.assert_array_equal(by_error.validation_error[:, -1], np.min(by_error.validation_error, axis=1))
    assert np.any(by_error.validation_error[:, -1] < by_loss.validation_error[:, -1])
    assert np.any(by_error.validation_loss[:, -1] > by_loss.validation_loss[:, -1])


def test_bad_tables(data, program, runs):
    with pytest.raises(ValueError, match=r"reads 3 places .* only 2 windows"):
        lc.sweep(
            jax.random.key(0),
            data,
            lc.Runs((program,), np.zeros(1, int), {**runs.rows([0]).columns, "size": np.array([2])}),
        )
    plain = dataclasses.replace(program, scoring=None)
    with pytest.raises(ValueError, match=r"shape \(41, 6\) need a program with scoring"):
        lc.sweep(jax.random.key(0), data, lc.Runs((plain,), runs.program, runs.columns))
    other = dataclasses.replace(program, sampling=epochs)
    with pytest.raises(ValueError, match="consecutive windows need a table of their own"):
        lc.sweep(jax.random.key(0), data, lc.Runs((program, other), np.array([0, 1, 0]), runs.columns))
