"""Features of models in sweeps: traced bottleneck width, running statistics, dropout, augmentation, precision."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.training import Budget, Execution, Runs, constant, momentum, with_replacement
from lcjax.training.evaluation import features
from lcjax.training.execution.step import INITIALIZATION, MINIBATCHES, NOISE


@pytest.mark.slow
def test_bottleneck_widths_are_one_program_on_trained_weights(data, program, table, key):
    trained = lc.sweep(key, data, table.rows([2, 5]), keep=np.ones(2, bool))
    widths, rate = np.array([1, 2, 12]), 0.01
    narrow = dataclasses.replace(
        program, model=lc.models.Bottlenecked(program.model, 12), model_columns=("bottleneck_width",)
    )
    columns = {name: np.repeat(column[[2, 5]], 3) for name, column in table.columns.items()}
    columns |= {"learning_rate": np.full(6, rate), "bottleneck_width": np.tile(widths, 2)}
    runs = Runs((narrow,), np.zeros(6, int), columns)
    initial = [trained.params[i] for i in (0, 0, 0, 1, 1, 1)]
    tuned = lc.sweep(key, data, runs, initial=initial, keep=np.ones(6, bool), execution=Execution("vmap", 3))
    assert (tuned.validation_error[[2, 5], -1] <= trained.validation_error[:, -1] + 0.03).all()
    assert (tuned.validation_error[[0, 3], -1] < 0.5).all()  # only one unit is alive and separates classes
    for row, width in enumerate(np.tile(widths, 2)):
        code = features(tuned, row, data, data.validation.inputs, method="code")
        assert code.shape == (99, 12)
        assert (code[:, width:] == 0).all()
        assert (code[:, :width].std(axis=0) > 0).all()
    alone = lc.sweep(
        key, data, runs.rows([4]), initial=initial[4:5], keep=np.ones(1, bool), execution=Execution("vmap", 3)
    )
    for a, e in zip(jax.tree.leaves(alone.params[0]), jax.tree.leaves(tuned.params[4]), strict=True):
        np.testing.assert_array_equal(a, e)


class Normalised(nn.Module):
    """A perceptron with BatchNorm and dropout."""

    def setup(self):
        self.Dense_0 = nn.Dense(12)
        self.BatchNorm_0 = nn.BatchNorm(momentum=0.8)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Dense(3)

    def features(self, inputs, *, train=False):
        value = self.BatchNorm_0(self.Dense_0(inputs), use_running_average=not train)
        return self.dropout(nn.relu(value), deterministic=not train)

    def __call__(self, inputs, *, train=False):
        return self.head(self.features(inputs, train=train))


@pytest.mark.slow
def test_running_statistics_and_dropout_go_through(data, program, table, key):
    program = dataclasses.replace(program, model=Normalised())
    runs = Runs((program,), table.program, table.columns)
    result = lc.sweep(key, data, runs, keep=np.ones(6, bool), execution=Execution("vmap", 3))
    assert (result.status == 0).all()
    assert result.validation_error[[2, 5], -1].max() < 0.15
    inputs = (data.train.inputs[result.shard(2)] / 64.0 - 2).astype(np.float32)
    params, statistics = (result.params[2][name] for name in ("params", "batch_stats"))
    before = inputs @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    spread = before.std(axis=0)
    assert (np.abs(statistics["BatchNorm_0"]["mean"] - before.mean(axis=0)) < spread).all()  # of noisy minibatches
    np.testing.assert_allclose(statistics["BatchNorm_0"]["var"], before.var(axis=0), rtol=0.7)
    alone = lc.sweep(key, data, runs.rows([4]), keep=np.ones(1, bool), execution=Execution("vmap", 3))
    for a, e in zip(jax.tree.leaves(alone.params[0]), jax.tree.leaves(result.params[4]), strict=True):
        np.testing.assert_array_equal(a, e)


def test_running_statistics_and_dropout_are_those_of_a_plain_loop(data, program, table, key):
    """Train in a loop written with Flax and Optax, with the same streams."""
    program = dataclasses.replace(program, model=Normalised(), schedule=constant, budget=Budget(steps=30))
    runs = Runs((program,), table.program, table.columns)
    result = lc.sweep(key, data, runs, keep=np.ones(6, bool), execution=Execution("vmap", 3))
    row = 4
    size, seed, rate = (table.columns[name][row] for name in ("size", "seed", "learning_rate"))
    stream = lambda number: jax.random.fold_in(jax.random.fold_in(key, seed), number)  # noqa: E731
    inputs = ((data.train.inputs[result.shard(row)] - 128.0) / 64).astype(np.float32)
    targets = data.train.targets[result.shard(row)]
    variables = jax.jit(program.model.init)(stream(INITIALIZATION), jnp.zeros((1, 5)))
    optimizer = optax.sgd(rate, momentum=0.9)
    state = optimizer.init(variables["params"])

    @jax.jit
    def step(variables, state, x, y, dropping):
        def loss(params):
            outputs, updated = program.model.apply(
                {**variables, "params": params}, x, train=True, mutable=["batch_stats"], rngs={"dropout": dropping}
            )
            return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean(), updated

        gradient, updated = jax.grad(loss, has_aux=True)(variables["params"])
        updates, state = optimizer.update(gradient, state)
        return {"params": optax.apply_updates(variables["params"], updates), **updated}, state

    for number in range(30):
        chosen = np.asarray(jax.random.randint(jax.random.fold_in(stream(MINIBATCHES), number), (16,), 0, int(size)))
        dropping = jax.random.split(jax.random.fold_in(stream(NOISE), number))[1]
        variables, state = step(variables, state, inputs[chosen], targets[chosen], dropping)
    assert set(result.params[row]) == {"params", "batch_stats"}
    for path, leaf in jax.tree.leaves_with_path(variables):
        np.testing.assert_allclose(_at(result.params[row], path), leaf, atol=1e-4)
    statistics = result.params[row]["batch_stats"]["BatchNorm_0"]
    assert np.abs(np.asarray(statistics["mean"])).max() > 0.1
    assert not np.allclose(statistics["var"], 1)

    held_out = ((data.test.inputs - 128.0) / 64).astype(np.float32)
    outputs = np.asarray(jax.jit(program.model.apply)(result.params[row], held_out))
    np.testing.assert_array_equal(result.wrong[row], outputs.argmax(axis=1) != data.test.targets)  # running statistics


def _at(tree, path):
    for part in path:
        tree = tree[part.key]
    return tree


def test_running_statistics_are_stored_and_warm_starts_take_them(data, program, table, key, tmp_path):
    program = dataclasses.replace(program, model=Normalised(), budget=Budget(steps=20))
    runs = Runs((program,), table.program, table.columns).rows([1, 2])
    keep = np.ones(2, bool)
    first = lc.sweep(key, data, runs, keep=keep, execution=Execution("vmap", 2), folder=tmp_path)
    again = lc.sweep(key, data, runs, keep=keep, folder=tmp_path)
    assert jax.tree.structure(first.params) == jax.tree.structure(again.params)
    for a, e in zip(jax.tree.leaves(again.params), jax.tree.leaves(first.params), strict=True):
        np.testing.assert_array_equal(a, e)
    frozen = Runs(runs.programs, runs.program, {**runs.columns, "learning_rate": np.full(2, 1e-30)})
    warm = lc.sweep(key, data, frozen, initial=list(again.params), keep=keep, execution=Execution("vmap", 2))
    for a, e in zip(warm.params, first.params, strict=True):
        np.testing.assert_array_equal(a["params"]["head"]["kernel"], e["params"]["head"]["kernel"])
        moved = np.abs(a["batch_stats"]["BatchNorm_0"]["mean"] - e["batch_stats"]["BatchNorm_0"]["mean"]).max()
        assert 0 < moved < 1  # continued from its value, not from zero
    sizes = [features(first, 0, data, data.test.inputs, method=method).shape for method in ("features",)]
    assert sizes == [(120, 12)]


class Remembering(nn.Module):
    """A perceptron with its own collection, which counts its training steps."""

    @nn.compact
    def __call__(self, inputs, *, train=False):
        seen = self.variable("memory", "steps", lambda: jnp.int32(0))
        if train:
            seen.value += 1
        self.sow("intermediates", "mean", jnp.mean(inputs))
        return nn.Dense(3, name="head")(inputs)


def test_any_mutable_collection_goes_through(data, program, table, key):
    program = dataclasses.replace(program, model=Remembering(), budget=Budget(steps=7))
    result = lc.sweep(key, data, Runs((program,), table.program, table.columns), keep=np.ones(6, bool))
    assert [int(params["memory"]["steps"]) for params in result.params] == [7] * 6
    assert set(result.params[0]) == {"params", "memory"}  # values sown for an observer are not state


def blank(key, inputs):
    """Hide the pixels of every input."""
    return jnp.zeros_like(inputs)


def test_augmentation_is_seen_in_training_only(data, program, table, key):
    program = dataclasses.replace(program, augment=blank)
    result = lc.sweep(key, data, Runs((program,), table.program, table.columns), keep=np.ones(6, bool))
    start = lc.sweep(
        key,
        data,
        Runs((program,), table.program, {**table.columns, "learning_rate": np.full(6, 1e-30)}),
        keep=np.ones(6, bool),
    )
    for row in range(6):  # without a signal, the first layer's weights get no gradient
        weights = (r.params[row]["params"]["hidden_0"]["kernel"] for r in (result, start))
        np.testing.assert_array_equal(*weights)
    outputs = np.asarray(program.model.apply(result.params[0], (data.test.inputs / 64.0 - 2).astype(np.float32)))
    np.testing.assert_array_equal(result.wrong[0], outputs.argmax(1) != data.test.targets)


@pytest.mark.slow
def test_forms_of_a_convolutional_net_agree(key):
    images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 2)).astype(np.uint8)
    examples = lc.Examples(images, (np.arange(60) % 3).astype(np.int32))
    data = lc.Data(examples, examples, examples, offset=128.0, scale=1 / 64, classes=3)
    program = lc.Program(
        lc.models.ResNet((1,), 3, 4),
        lc.cross_entropy,
        momentum,
        constant,
        16,
        Budget(steps=4, records=1),
        with_replacement,
    )
    columns = {"size": np.full(3, 60), "seed": np.arange(3), "learning_rate": np.full(3, 0.05), "vc": np.full(3, 1e-4)}
    runs = Runs((program,), np.zeros(3, int), columns)
    executions = [Execution.parse(text) for text in ("map:1", "map:2/plain", "step:2/plain", "vmap:3")]
    results = [lc.sweep(key, data, runs, keep=np.ones(3, bool), execution=execution) for execution in executions]
    for execution, result in zip(executions, results, strict=True):
        assert result.executions == (execution,)
        for a, e in zip(jax.tree.leaves(result.params), jax.tree.leaves(results[0].params), strict=True):
            np.testing.assert_allclose(a, e, atol=2e-5)


@pytest.mark.parametrize("model", [lc.models.MLP((12,), 3), pytest.param(Normalised(), marks=pytest.mark.slow)])
def test_bfloat16_keeps_parameters_and_losses_in_float32(data, program, table, key, model):
    narrow = dataclasses.replace(program, model=model, dtype="bfloat16")
    result = lc.sweep(key, data, Runs((narrow,), table.program, table.columns), keep=np.ones(6, bool))
    assert {leaf.dtype for leaf in jax.tree.leaves(result.params)} == {np.dtype(np.float32)}
    wide = dataclasses.replace(program, model=model)
    plain = lc.sweep(key, data, Runs((wide,), table.program, table.columns), keep=np.ones(6, bool))
    assert np.abs(result.validation_error[:, -1] - plain.validation_error[:, -1]).max() < 0.1
    kernels = [r.params[2]["params"]["head"]["kernel"] for r in (result, plain)]
    difference = np.abs(kernels[0] - kernels[1]).max()
    assert 1e-4 < difference < 0.3  # computed in bfloat16, and still the same training


@pytest.mark.slow
def test_double_precision(data, program, table, key):
    with jax.enable_x64(True):
        model = lc.models.MLP((12,), 3)
        program = dataclasses.replace(program, model=model, dtype="float64")
        result = lc.sweep(
            key, data, Runs((program,), table.program[:1], table.rows([0]).columns), keep=np.ones(1, bool)
        )
        assert result.status[0] == 0
        assert result.validation_error[0, -1] == pytest.approx(0.1, abs=0.1)
