"""What models bring along: a bottleneck's traced width, running statistics, dropout, augmentation, precision."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.training import Runs
from lcjax.training.engine import features


def test_bottleneck_widths_are_one_program_on_trained_weights(data, program, table, key):
    trained = lc.sweep(key, data, table.rows([2, 5]), keep=np.ones(2, bool))
    widths, rate = np.array([1, 2, 12]), 0.01
    narrow = dataclasses.replace(program, model=lc.Bottlenecked(program.model, 12), model_columns=("bottleneck_width",))
    columns = {name: np.repeat(column[[2, 5]], 3) for name, column in table.columns.items()}
    columns |= {"learning_rate": np.full(6, rate), "bottleneck_width": np.tile(widths, 2)}
    runs = Runs((narrow,), np.zeros(6, int), columns)
    initial = [trained.params[i] for i in (0, 0, 0, 1, 1, 1)]
    tuned = lc.sweep(key, data, runs, initial=initial, keep=np.ones(6, bool), form="vmap:3")
    assert (tuned.validation_error[[2, 5], -1] <= trained.validation_error[:, -1] + 0.03).all()
    assert (tuned.validation_error[[0, 3], -1] < 0.5).all()  # one unit alone is alive and tells classes apart
    for row, width in enumerate(np.tile(widths, 2)):
        code = features(tuned, row, data, data.validation.inputs, method="code")
        assert code.shape == (99, 12)
        assert (code[:, width:] == 0).all()
        assert (code[:, :width].std(axis=0) > 0).all()
    alone = lc.sweep(key, data, runs.rows([4]), initial=initial[4:5], keep=np.ones(1, bool), form="vmap:3")
    for a, e in zip(jax.tree.leaves(alone.params[0]), jax.tree.leaves(tuned.params[4]), strict=True):
        np.testing.assert_array_equal(a, e)


class Normalised(nn.Module):
    """A perceptron with BatchNorm and dropout."""

    @nn.compact
    def __call__(self, inputs, *, train=False):
        value = nn.BatchNorm(use_running_average=not train, momentum=0.8)(nn.Dense(12)(inputs))
        value = nn.Dropout(0.3, deterministic=not train)(nn.relu(value))
        return nn.Dense(3, name="head")(value)


def test_running_statistics_and_dropout_go_through(data, program, table, key):
    program = dataclasses.replace(program, model=Normalised())
    runs = Runs((program,), table.program, table.columns)
    result = lc.sweep(key, data, runs, keep=np.ones(6, bool), form="vmap:3")
    assert (result.status == 0).all()
    assert result.validation_error[[2, 5], -1].max() < 0.15
    inputs = (data.train.inputs[result.shard(2)] / 64.0 - 2).astype(np.float32)
    params, statistics = (result.params[2][name] for name in ("params", "batch_stats"))
    before = inputs @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    spread = before.std(axis=0)
    assert (np.abs(statistics["BatchNorm_0"]["mean"] - before.mean(axis=0)) < spread).all()  # of noisy minibatches
    np.testing.assert_allclose(statistics["BatchNorm_0"]["var"], before.var(axis=0), rtol=0.7)
    alone = lc.sweep(key, data, runs.rows([4]), keep=np.ones(1, bool), form="vmap:3")
    for a, e in zip(jax.tree.leaves(alone.params[0]), jax.tree.leaves(result.params[4]), strict=True):
        np.testing.assert_array_equal(a, e)


def blank(key, inputs):
    """Hide the pixels of every input."""
    return jnp.zeros_like(inputs)


def test_augmentation_is_seen_in_training_only(data, program, table, key):
    program = dataclasses.replace(program, augment=blank)
    result = lc.sweep(key, data, Runs((program,), table.program, table.columns), keep=np.ones(6, bool))
    start = lc.sweep(
        key,
        data,
        Runs((program,), table.program, {**table.columns, "learning_rate": np.zeros(6)}),
        keep=np.ones(6, bool),
    )
    for row in range(6):  # without a signal, the first layer's weights get no gradient
        weights = (r.params[row]["params"]["hidden_0"]["kernel"] for r in (result, start))
        np.testing.assert_array_equal(*weights)
    outputs = np.asarray(program.model.apply(result.params[0], (data.test.inputs / 64.0 - 2).astype(np.float32)))
    np.testing.assert_array_equal(result.wrong[0], outputs.argmax(1) != data.test.targets)


def test_double_precision(data, program, table, key):
    with jax.enable_x64(True):
        model = lc.MLP((12,), 3)
        program = dataclasses.replace(program, model=model, dtype="float64")
        result = lc.sweep(
            key, data, Runs((program,), table.program[:1], table.rows([0]).columns), keep=np.ones(1, bool)
        )
        assert result.status[0] == 0
        assert result.validation_error[0, -1] == pytest.approx(0.1, abs=0.1)
