"""Runs on corrupted data: the corruption is fixed by key and number, and the data are stored once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.training import Budget, Execution, Runs, constant, epochs
from lcjax.training.evaluation import evaluate, features
from lcjax.training.execution.step import CORRUPTION

N, V, M = 240, 99, 120
CONDITIONS = np.array([0, 1, 2, 0, 1, 2])


def randomize(key, number, inputs, targets, columns, *, train):
    """Return for condition 0 the data, for 1 labels shifted at random, for 2 noise as inputs."""

    def one(number):
        coin, noise = jax.random.split(jax.random.fold_in(key, number))
        return jax.random.bernoulli(coin, columns["probability"]), jax.random.normal(noise, inputs.shape[1:])

    shifted, noise = jax.vmap(one)(number)
    shifted = shifted & (columns["condition"] == 1) & train
    return jnp.where(columns["condition"] == 2, 128 + 64 * noise, inputs), (targets + shifted) % 3


randomized_once = jax.jit(randomize, static_argnames="train")


@pytest.fixture(scope="module")
def runs(program):
    program = dataclasses.replace(program, corrupt=randomize, budget=Budget(steps=150))
    columns = {
        "size": np.array([240, 240, 60, 60, 240, 240]),
        "seed": np.array([0, 0, 0, 7, 7, 7]),
        "learning_rate": np.full(6, 0.1),
        "condition": CONDITIONS,
        "probability": np.array([0.0, 0.5, 0.0, 0.0, 1.0, 0.0]),
    }
    return Runs((program,), np.zeros(6, int), columns)


@pytest.fixture(scope="module")
def result(data, runs):
    return lc.sweep(jax.random.key(3), data, runs, keep=np.ones(6, bool), execution=Execution("vmap", 3))


def randomized(data, runs, key):
    """Return the data of every run, as a copy of the data for each run would contain them."""
    for row in range(6):
        seed, columns = int(runs.columns["seed"][row]), {name: column[row] for name, column in runs.columns.items()}
        corruption = jax.random.fold_in(jax.random.fold_in(key, seed), CORRUPTION)
        splits, first = {}, 0
        for name in ("train", "validation", "test"):
            part = getattr(data, name)
            number = jnp.arange(first, first + len(part.targets))
            inputs, targets = randomized_once(
                corruption, number, jnp.asarray(part.inputs), part.targets, columns, train=name == "train"
            )
            splits[name] = lc.Examples(np.asarray(inputs), np.asarray(targets))
            first += len(part.targets)
        yield row, dataclasses.replace(data, **splits)


def test_a_randomized_run_is_a_run_on_randomized_data(data, runs, result, key):
    """The order of a shard depends on the true labels, so the shards are passed on unchanged."""
    plain = dataclasses.replace(runs.programs[0], corrupt=None)
    for row, copy in randomized(data, runs, key):
        shard = result.shard(row)
        outputs = plain.model.apply(result.params[row], (copy.train.inputs[shard] / 64.0 - 2).astype(np.float32))
        wrong = np.asarray(outputs).argmax(axis=1) != copy.train.targets[shard]
        assert result.train_error[row, -1] == pytest.approx(wrong.mean())
        for name, found in (("validation", result.validation_wrong), ("test", result.wrong)):
            examples = getattr(copy, name)
            outputs = plain.model.apply(result.params[row], (examples.inputs / 64.0 - 2).astype(np.float32))
            np.testing.assert_array_equal(found[row], np.asarray(outputs).argmax(axis=1) != examples.targets)


@pytest.mark.slow
def test_the_steps_are_those_on_randomized_data(data, runs, key):
    """In regression, orders do not depend on targets, so the same run on a copy gives the same result."""
    program = dataclasses.replace(
        runs.programs[0], model=lc.models.MLP((6,), 1), objective=lc.models.mean_squared_error, budget=Budget(steps=20)
    )
    splits = {name: getattr(data, name) for name in ("train", "validation", "test")}
    real = {name: lc.Examples(part.inputs, part.targets.astype(np.float32)) for name, part in splits.items()}
    regression = dataclasses.replace(data, **real, classes=0)
    rows = [0, 1, 2, 5]
    mixed = lc.sweep(key, regression, Runs((program,), runs.program, runs.columns).rows(rows), keep=np.ones(4, bool))
    plain = dataclasses.replace(program, corrupt=None)
    copies = dict(randomized(regression, runs, key))
    read = {name: runs.columns[name] for name in ("size", "seed", "learning_rate")}
    for i, row in enumerate(rows):
        one = Runs((plain,), np.zeros(6, int), read).rows([row])
        alone = lc.sweep(key, copies[row], one, keep=np.ones(1, bool))
        for a, e in zip(jax.tree.leaves(mixed.params[i]), jax.tree.leaves(alone.params[0]), strict=True):
            np.testing.assert_allclose(a, e, atol=1e-6)


def test_true_labels_are_learned_and_noise_is_not(result):
    assert result.test_error[0] < 0.15
    assert (result.test_error[[2, 5]] > 0.4).all()
    assert result.train_error[4, -1] < 0.15  # all labels shifted: equally easy to learn, all wrong on the test set
    assert result.test_error[4] > 0.8


def test_corruption_does_not_depend_on_the_other_runs(data, runs, result, key):
    alone = lc.sweep(key, data, runs.rows([1]), keep=np.ones(1, bool), execution=Execution("vmap", 3))
    for a, e in zip(jax.tree.leaves(alone.params[0]), jax.tree.leaves(result.params[1]), strict=True):
        np.testing.assert_array_equal(a, e)


def test_scores_and_features_afterwards_need_the_key(data, runs, result, key):
    withheld = lc.sweep(key, data.without_test(), runs, keep=np.ones(6, bool), execution=Execution("vmap", 3))
    np.testing.assert_array_equal(evaluate(withheld, data, data.test, key=key), result.wrong)
    with pytest.raises(ValueError, match="uses a corruption; pass the sweep's `key`"):
        evaluate(withheld, data, data.test)
    with pytest.raises(ValueError, match="pass the sweep's `key`"):
        features(result, 2, data, shard=True)
    copies = dict(randomized(data, runs, key))
    inputs = (copies[2].train.inputs[result.shard(2)] / 64.0 - 2).astype(np.float32)
    expected = runs.programs[0].model.apply(result.params[2], inputs, method="features")
    np.testing.assert_allclose(features(result, 2, data, shard=True, key=key), expected, atol=1e-4)


@pytest.mark.slow
def test_every_condition_can_be_fitted_to_the_end(data, runs, key):
    """Train all conditions as one program that stops when a run fits."""
    budget = Budget(steps=3000, records=30, stop_when_fit=True)
    program = dataclasses.replace(
        runs.programs[0],
        model=lc.models.MLP((64,), 3),
        optimizer=optax.adam,
        schedule=constant,
        sampling=epochs,
        budget=budget,
    )
    columns = {**runs.columns, "size": np.full(6, 40), "learning_rate": np.full(6, 0.01)}
    fitted = lc.sweep(key, data, Runs((program,), runs.program, columns))
    assert (fitted.train_error[:, -1] == 0).all()
    assert (fitted.steps < 3000).all()
