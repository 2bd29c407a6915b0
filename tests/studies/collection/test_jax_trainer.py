"""Networks in JAX that are collected in one sweep: subsets, metrics, resumption, and what is refused."""

import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lcjax as lc
from lcjax.studies.collection.collect import collect
from lcjax.studies.collection.subsets import Subsets
from lcjax.studies.collection.trainers.jax_trainer import JaxTrainer
from lcjax.training import Budget, Execution, constant, epochs

EXECUTION = Execution("vmap", 4)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden, self.head = nnx.Linear(4, 16, rngs=rngs), nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(jax.nn.relu(self.hidden(x)))


def initialize(key, inputs):
    return {"kernel": 0.1 * jax.random.normal(key, (inputs.shape[1], 3)), "bias": jnp.zeros(3)}


def predict(params, inputs):
    return inputs @ params["kernel"] + params["bias"]


def confidence(outputs, targets):
    return jnp.mean(jnp.max(jax.nn.softmax(outputs), axis=-1))


def error_again(outputs, targets):
    return jnp.mean(jnp.argmax(outputs, axis=-1) != targets)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 4)).astype(np.float32)
    return lc.data_from_arrays(inputs, np.argmax(inputs[:, :3] + 0.3 * rng.normal(size=(600, 3)), axis=1))


@pytest.fixture(scope="module")
def trainer(data):
    model = lc.models.from_functions(initialize, predict)
    metrics = {"confidence": confidence, "again": error_again}
    options = {"metrics": metrics, "by_class": True, "execution": EXECUTION}
    return JaxTrainer.for_model(model, data, steps=60, learning_rate=0.05, **options)


def test_all_sizes_and_repeats_are_one_table(trainer, data):
    table = collect(trainer, [20, 100, 300], repeats=2)
    assert table.metrics == ("accuracy", "again", "confidence", "cross_entropy", "error")
    assert table.size.tolist() == [20, 20, 100, 100, 300, 300]
    values = dict(zip(table.metrics, table.value.T, strict=True))
    np.testing.assert_allclose(values["again"], values["error"], atol=1e-6)
    np.testing.assert_allclose(values["accuracy"], 1 - values["error"], atol=1e-6)
    assert np.all((values["confidence"] > 0.3) & (values["confidence"] < 1))
    assert table.curves().metric.name == "error"
    assert values["error"][-1] < values["error"][0] < 0.4
    assert table.shared
    assert [part[:2] for part in table.parts] == [("error", "0"), ("error", "1"), ("error", "2")]
    count = table.part_count[0]
    assert count.sum() == len(data.test.targets)
    np.testing.assert_allclose(table.part_value @ count / count.sum(), values["error"], atol=1e-6)
    assert table.seconds.sum() > 0


@pytest.mark.slow
def test_subsets_are_those_of_other_trainers(data):
    """A net that is trained by a sweep on a subset, and one trained on the same examples alone, agree."""
    task = dataclasses.replace(data, offset=0.0, scale=1.0)
    model = lc.models.from_functions(initialize, predict)
    # One full batch a step, so that the order within it does not matter.
    program = lc.Program(model, lc.cross_entropy, optax.sgd, constant, 40, Budget(steps=50), epochs)
    trainer = JaxTrainer(program, task, 0.5)
    table = collect(trainer, [40], repeats=2, seed=3)
    subsets = Subsets(3, len(task.train.targets), np.asarray(task.train.targets))
    for repeat in range(2):
        indices = subsets.indices((40, repeat))
        inputs, targets = task.train.inputs[indices], task.train.targets[indices]
        params = {"kernel": jnp.zeros((4, 3)), "bias": jnp.zeros(3)}
        for _ in range(50):
            gradient = jax.grad(lambda p, x=inputs, y=targets: jnp.mean(lc.cross_entropy(predict(p, x), y)))(params)
            params = jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient)
        loss = float(jnp.mean(lc.cross_entropy(predict(params, task.test.inputs), task.test.targets)))
        assert table.value[repeat, table.metrics.index("cross_entropy")] == pytest.approx(loss, rel=0.03)


@pytest.mark.slow
def test_a_sweep_resumes_and_grows_in_the_same_store(trainer, data, tmp_path):
    expected = collect(trainer, [20, 100, 300], repeats=2)

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(trainer, [20, 100], repeats=2, folder=tmp_path, on_progress=interrupt)
    assert (tmp_path / "runs").exists()
    collect(trainer, [20, 100], repeats=2, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection.json", "lock", "trainings.jsonl"]
    calls = []
    grown = collect(trainer, [20, 100, 300], repeats=2, folder=tmp_path, on_progress=calls.append)
    assert {call.runs for call in calls} == {2}
    np.testing.assert_allclose(grown.value, expected.value, atol=1e-3)
    again = collect(trainer, [20, 100, 300], repeats=2, folder=tmp_path)
    np.testing.assert_array_equal(again.value, grown.value)
    json.dumps(lc.to_dict(again))
    with pytest.raises(ValueError, match="holds trainings of another collection: its trainer is"):
        collect(dataclasses.replace(trainer, learning_rate=0.1), [20], folder=tmp_path)


@pytest.mark.slow
def test_recipes_nnx_and_regression(data):
    recipe = lc.studies.mlp_recipe(data).with_budget(steps=40)
    assert collect(recipe, [50, 200], repeats=1, data=data).metrics == ("accuracy", "cross_entropy", "error")
    table = collect(
        JaxTrainer.for_model(lc.models.from_nnx(Net), data, steps=40, learning_rate=0.02), [50, 200], repeats=1
    )
    assert np.all(table.curves().curve.error < 0.6)
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(400, 4)).astype(np.float32)
    targets = (inputs @ [1.0, 2.0, -1.0, 0.0] + 0.1 * rng.normal(size=400)).astype(np.float32)
    task = lc.data_from_arrays(inputs, targets)
    linear = JaxTrainer.for_model(nn_linear(), task, steps=400, learning_rate=0.05)
    result = collect(linear, [200], repeats=1)
    assert result.metrics == ("rmse",)
    assert 0.07 < result.value[0, 0] < 0.2


def nn_linear():
    return lc.models.from_functions(initialize_one, predict)


def initialize_one(key, inputs):
    return {"kernel": jnp.zeros((inputs.shape[1], 1)), "bias": jnp.zeros(1)}


@pytest.mark.slow
def test_a_net_that_diverges_is_a_failure(data):
    model = lc.models.from_functions(initialize, predict)
    bad = JaxTrainer.for_model(model, data, steps=20, loss=logarithm)
    with pytest.raises(ValueError, match=r"Every training failed.*the loss was not finite after \d+ steps"):
        collect(bad, [50], repeats=1)


def logarithm(outputs, targets):
    return jnp.log(-jnp.abs(outputs[:, 0]) - 1)


class NotLinen:
    pass


def test_what_does_not_fit_is_refused_before_training(trainer, data, tmp_path):
    model = lc.models.from_functions(initialize, predict)
    with pytest.raises(ValueError, match="The metric 'own' must return one number, got shape"):
        JaxTrainer.for_model(model, data, metrics={"own": lambda outputs, targets: outputs[:, 0]})
    with pytest.raises(ValueError, match=r"The metric 'own' must be a function in JAX of outputs .*TracerArray"):
        JaxTrainer.for_model(model, data, metrics={"own": lambda outputs, targets: np.asarray(outputs).mean()})
    with pytest.raises(ValueError, match="no test split to score on"):
        JaxTrainer.for_model(model, data.without_test())
    wrong = JaxTrainer.for_model(lc.models.from_functions(initialize_one, predict), data, steps=5)
    with pytest.raises(ValueError, match=r"returns outputs of shape \(1,\) per example, but the data have 3 classes"):
        collect(wrong, [50])
    with pytest.raises(ValueError, match=r"a NotLinen, not a Linen module: pass lcjax\.models\.from_functions"):
        collect(JaxTrainer.for_model(NotLinen(), data), [50])
    with pytest.raises(ValueError, match="draws its subsets at random, without groups"):
        collect(trainer, [5], groups=np.arange(len(data.train.targets)) % 10)
    with pytest.raises(ValueError, match="draws its subsets at random, without the order 'recent'"):
        collect(trainer, [5], order="recent")
    with pytest.raises(ValueError, match="in one sweep, without an executor or tasks"):
        collect(trainer, [5], folder=tmp_path, task=0)
    with pytest.raises(ValueError, match="A recipe needs data="):
        collect(lc.studies.mlp_recipe(data), [50])


@pytest.mark.slow
def test_an_equinox_net_is_collected(data):
    equinox = pytest.importorskip("equinox")
    model = lc.models.from_equinox(equinox.nn.MLP, 4, 3, 16, 1)
    table = collect(JaxTrainer.for_model(model, data, steps=60, learning_rate=0.01), [50, 300], repeats=2)
    assert np.all(table.curves().curve.error < 0.5)


def test_linen_modules_are_taken(data):
    assert isinstance(JaxTrainer.for_model(lc.models.MLP((8,), 3), data).program.model, nn.Module)
