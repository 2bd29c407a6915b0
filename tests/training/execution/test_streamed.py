"""Training on streamed data: the same shards, minibatches, tables, features and predictions as on resident data."""

import dataclasses
import threading

import flax.linen as nn
import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.data.arrays import data_from_arrays, limit_training
from lcjax.training import Budget, Execution, Program, epochs, momentum, with_replacement
from lcjax.training.evaluation import evaluate, features
from lcjax.training.optimizers import cosine
from lcjax.training.sweep import sweep
from tests.problems import Source, stream

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def resident():
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (240, 8, 8, 3), np.uint8)
    targets = (inputs[:, :4].mean(axis=(1, 2, 3)) > inputs[:, 4:].mean(axis=(1, 2, 3))).astype(np.int32)
    return data_from_arrays(inputs, targets, name="halves")


class Normalised(nn.Module):
    """A layer of strided patches and BatchNorm."""

    def setup(self):
        self.patches = nn.Dense(6)
        self.norm = nn.BatchNorm(momentum=0.8)
        self.head = nn.Dense(2)

    def features(self, inputs, *, train=False):
        n, side = inputs.shape[0], inputs.shape[1] // 2
        patches = inputs.reshape(n, side, 2, side, 2, -1).swapaxes(2, 3).reshape(n, side, side, -1)
        return nn.relu(self.norm(self.patches(patches), use_running_average=not train)).reshape(n, -1)

    def __call__(self, inputs, *, train=False):
        return self.head(self.features(inputs, train=train))


def programs():
    """Return a network with BatchNorm and epochs, and a perceptron with early stopping and batches above the shard."""
    net = Normalised()
    small = Program(net, lc.cross_entropy, momentum, cosine, 16, Budget(steps=5, epochs=2, records=2), epochs)
    budget = Budget(steps=90, records=3, patience=1)  # more steps than are drawn at once
    return small, Program(lc.models.MLP((8,), 2), lc.cross_entropy, momentum, cosine, 32, budget, with_replacement)


def table():
    size, seed = np.array([24, 100, 154, 20, 154]), np.array([0, 1, 0, 1, 0])
    columns = {"size": size, "seed": seed, "learning_rate": np.full(5, 0.05)}
    return lc.Runs(programs(), np.array([0, 0, 0, 1, 1]), columns)


@pytest.fixture(scope="module")
def trained(resident):
    return sweep(KEY, resident, table(), keep=np.ones(5, bool), execution=Execution("step", 1, plain=True))


def check_same(result, expected):
    for name in ("status", "steps", "recorded_step", "orders", "wrong", "validation_wrong"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name), err_msg=name)
    for name in ("train_error", "validation_error", "test_error"):
        np.testing.assert_allclose(getattr(result, name), getattr(expected, name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(result.train_loss, expected.train_loss, rtol=2e-4)
    for ours, other in zip(result.params, expected.params, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, other)


@pytest.mark.parametrize("execution", [None, pytest.param(Execution("step", 2, plain=True), marks=pytest.mark.slow)])
def test_the_table_is_that_of_resident_data(resident, trained, execution):
    data = stream(resident)
    result = sweep(KEY, data, table(), keep=np.ones(5, bool), execution=execution)
    assert result.executions == (execution or Execution("step", 1, plain=True),) * 2
    check_same(result, trained)
    held_out = evaluate(result, data, data.test)
    np.testing.assert_array_equal(held_out, evaluate(trained, resident, resident.test))
    np.testing.assert_array_equal(held_out, result.wrong)


def test_features_are_those_of_resident_data(resident, trained):
    data = stream(resident)
    for row in (1, 4):
        np.testing.assert_allclose(
            features(trained, row, data, shard=True), features(trained, row, resident, shard=True), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(
            features(trained, row, data, data.test.inputs), features(trained, row, resident, resident.test.inputs),
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip


def test_little_more_is_read_than_is_trained_on(resident):
    """For one shard of 20: a sample, 10 steps of 16 (64 are drawn, only those of the run are read), and the score."""
    data = stream(resident)
    program = dataclasses.replace(programs()[0], budget=Budget(steps=10, records=1))
    columns = {"size": np.array([20]), "seed": np.array([0]), "learning_rate": np.array([0.05])}
    sweep(KEY, data, lc.Runs((program,), np.array([0]), columns))
    assert data.train.inputs.read.read == 20 + 160 + 20
    assert data.test.inputs.read.read == len(data.test.targets)


@pytest.mark.slow
def test_an_interrupted_streamed_sweep_resumes(resident, trained, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.ended == 2:
            raise StoppedError

    data = stream(resident)
    with pytest.raises(StoppedError):
        sweep(KEY, data, table(), keep=np.ones(5, bool), folder=tmp_path, on_progress=stop)
    result = sweep(KEY, stream(resident), table(), keep=np.ones(5, bool), folder=tmp_path)
    check_same(result, trained)
    assert threading.active_count() < 20  # readers stop with their sweep
    other = dataclasses.replace(data, train=dataclasses.replace(data.train, inputs=Source(
        resident.train.inputs).streamed("another set")))  # fmt: skip
    with pytest.raises(ValueError, match=r"another sweep|other data|holds"):
        sweep(KEY, other, table(), keep=np.ones(5, bool), folder=tmp_path)


def test_a_failing_reader_is_not_swallowed(resident):
    data = stream(resident)
    data.train.inputs.read.inputs[:] = [np.zeros((8, 7, 3), np.uint8)] * len(resident.train.inputs)
    with pytest.raises(ValueError, match=r"Input \d+ of train is uint8 of shape \(8, 7, 3\), not uint8 of \(8, 8, 3\)"):
        sweep(KEY, data, table())


@pytest.mark.parametrize(
    ("execution", "change", "message"),
    [
        (Execution("vmap", 2), {}, r"programs of one step, such as step:1/plain, not vmap:2"),
        (None, {"corrupt": lambda key, number, x, y, columns, train: (x, y)}, "neither corrupted nor sequences"),
    ],
)
def test_what_cannot_be_streamed_is_refused(resident, execution, change, message):
    runs = table()
    runs = lc.Runs(tuple(dataclasses.replace(p, **change) for p in runs.programs), runs.program, runs.columns)
    with pytest.raises(ValueError, match=message):
        sweep(KEY, stream(resident), runs, execution=execution)


def test_what_needs_an_array_says_so(resident):
    with pytest.raises(ValueError, match=r"inputs of train, \(160, 8, 8, 3\), are streamed: this needs them in memory"):
        np.asarray(stream(resident).train.inputs)


def test_splitting_and_limiting_read_nothing(resident):
    data = stream(resident)
    few = limit_training(data, 50, seed=1)
    index = limit_training(resident, 50, seed=1)
    np.testing.assert_array_equal(few.train.inputs[np.arange(50)], index.train.inputs)
    np.testing.assert_array_equal(few.train.targets, index.train.targets)
    assert data.train.inputs.read.read == 50
    assert few.fingerprint() != data.fingerprint() != resident.fingerprint()
    assert stream(resident).fingerprint() == data.fingerprint()
