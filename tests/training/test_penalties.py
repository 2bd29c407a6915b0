"""Penalties as columns of the table: a grid of strengths is one program."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.training import Budget, Execution, Runs, constant

L1, L2, VC = (np.array(values) for values in ([0, 0.1, 0, 0, 0.2], [0, 0, 0.5, 0, 0.1], [0, 0, 0, 0.3, 0.2]))


def grid(program, columns, **penalties):
    w = len(next(iter(penalties.values())))
    columns = {"size": np.full(w, 60), "seed": np.zeros(w, int), "learning_rate": np.full(w, 0.05), **columns}
    return Runs((program,), np.zeros(w, int), {**columns, **penalties})


@pytest.fixture(scope="module")
def program(program):
    return dataclasses.replace(
        program, optimizer=optax.sgd, schedule=constant, objective=lc.models.multiclass_hinge, budget=Budget(steps=3)
    )


@pytest.fixture(scope="module")
def start(data, program):
    runs = grid(program, {}, learning_rate=np.full(1, 1e-30))
    return lc.sweep(jax.random.key(3), data, runs, keep=np.ones(1, bool)).params[0]["params"]


def by_hand(data, result, row, start, gradient, *strengths):
    """Take three steps of gradient descent, written out."""
    from lcjax.training.execution.step import MINIBATCHES

    key = jax.random.key(3)
    inputs = ((data.train.inputs[result.shard(row)] - 128.0) / 64).astype(np.float32)
    targets = data.train.targets[result.shard(row)]
    minibatches = jax.random.fold_in(jax.random.fold_in(key, 0), MINIBATCHES)
    params = start
    for step in range(3):
        chosen = np.asarray(jax.random.randint(jax.random.fold_in(minibatches, step), (16,), 0, 60))
        slope = gradient(params, inputs[chosen], targets[chosen], *strengths)
        params = jax.tree.map(lambda p, g: p - np.float32(0.05) * np.asarray(g), params, slope)
    return params


def net(params, x):
    hidden = x @ params["hidden_0"]["kernel"] + params["hidden_0"]["bias"]
    return hidden, jax.nn.relu(hidden) @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize(
    "execution", [Execution("vmap", 5), pytest.param(Execution("map", 1), marks=pytest.mark.slow)], ids=str
)
def test_a_grid_of_strengths_is_gradient_descent_on_the_sum(data, program, start, key, execution):
    runs = grid(program, {}, l1=L1, l2=L2, vc=VC)
    result = lc.sweep(key, data, runs, keep=np.ones(5, bool), execution=execution)

    @jax.jit
    @jax.grad
    def gradient(params, x, y, l1, l2, vc):
        hidden, outputs = net(params, x)
        wrong = 1 - jnp.take_along_axis(outputs, y[:, None], axis=1) + outputs
        wrong = jnp.where(jnp.arange(3) == y[:, None], 0, jnp.maximum(wrong, 0))
        kernels = [params[name]["kernel"] for name in ("hidden_0", "head")]
        return (
            wrong.sum(axis=1).mean()
            + l1 * sum(jnp.abs(kernel).sum() for kernel in kernels)
            + l2 / 2 * sum((kernel**2).sum() for kernel in kernels)
            + vc / 2 * ((hidden**2).sum(axis=1) + (outputs**2).sum(axis=1)).mean()
        )

    for row in range(5):
        expected = by_hand(data, result, row, start, gradient, L1[row], L2[row], VC[row])
        for a, e in zip(jax.tree.leaves(result.params[row]["params"]), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, e, atol=2e-6)


def test_a_penalty_of_one_layer(data, program, start, key):
    columns = {"vc/head": np.array([0.4, 0.0, 0.4]), "l2/hidden_0": np.array([0.0, 0.3, 0.3])}
    result = lc.sweep(key, data, grid(program, {}, **columns), keep=np.ones(3, bool))

    @jax.jit
    @jax.grad
    def gradient(params, x, y, vc, l2):
        _, outputs = net(params, x)
        return (
            lc.models.multiclass_hinge(outputs, y).mean()
            + vc / 2 * (outputs**2).sum(axis=1).mean()
            + l2 / 2 * (params["hidden_0"]["kernel"] ** 2).sum()
        )

    for row in range(3):
        expected = by_hand(data, result, row, start, gradient, *(column[row] for column in columns.values()))
        for a, e in zip(jax.tree.leaves(result.params[row]["params"]), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, e, atol=2e-6)


def test_the_penalty_shrinks_what_it_penalizes(data, program, key):
    program = dataclasses.replace(program, objective=lc.cross_entropy, budget=Budget(steps=200))
    strength = np.array([0.0, 1e-3, 1e-1])
    result = lc.sweep(key, data, grid(program, {}, vc=strength), keep=np.ones(3, bool))
    inputs = ((data.test.inputs - 128.0) / 64).astype(np.float32)
    size = [float(optax.tree.norm(net(params["params"], inputs))) for params in result.params]
    assert size[0] > size[1] > size[2]


def test_an_absent_layer_is_refused(data, program, key):
    with pytest.raises(
        ValueError, match=r"Column 'l2/conv' does not match a layer of the model\. Layers: head, hidden_0"
    ):
        lc.sweep(key, data, grid(program, {}, **{"l2/conv": np.ones(2)}))
