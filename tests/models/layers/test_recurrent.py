"""Recurrent layers against NumPy, one step at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.models.layers.recurrent import GRU, LSTM, RHN, Bidirectional, scaled_units
from lcjax.models.preactivations import apply_with_preactivations
from tests.models.problems import random_variables

CELLS = [LSTM(4), LSTM(4, second_bias=True), GRU(4), RHN(4, 3)]
INPUTS = np.random.default_rng(0).normal(size=(3, 6, 5))
MASK = np.arange(6) < np.array([6, 2, 4])[:, None]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(cell, params, inputs, state=None):
    """Run one sequence `(t, d)`; return the outputs, the inputs of the gates, and the last state."""
    p = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    h = c = np.zeros(cell.units) if state is None else None
    if state is not None:
        h, c = state[0], state[-1]
    outputs, gates = [], []
    for x in np.asarray(inputs, np.float64):
        if isinstance(cell, LSTM):
            z = x @ p["kernel"] + p["bias"] + p.get("recurrent_bias", 0) + h @ p["recurrent_kernel"]
            i, f, g, o = np.split(z, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif isinstance(cell, GRU):
            r, u, n = np.split(x @ p["kernel"] + p["bias"], 3)
            hr, hu, hn = np.split(h @ p["recurrent_kernel"], 3)
            n = n + sigmoid(r + hr) * (hn + p["candidate_bias"])
            z = np.concatenate([r + hr, u + hu, n])
            h = (1 - sigmoid(u + hu)) * np.tanh(n) + sigmoid(u + hu) * h
        else:
            z = []
            for i in range(cell.depth):
                a = h @ p["recurrent_kernel"][i] + p["bias"][i] + (x @ p["kernel"] if i == 0 else 0)
                new, t = np.split(a, 2)
                h = np.tanh(new) * sigmoid(t) + h * (1 - sigmoid(t))
                z.append(a)
            z = np.concatenate(z)
        outputs.append(h)
        gates.append(z)
    return np.array(outputs), np.array(gates), (h, c)


@functools.lru_cache
def initialized(model):
    return random_variables(model, INPUTS)["params"]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_layers_match_numpy(cell):
    params = initialized(cell)
    with jax.enable_x64(True):
        outputs, state = jax.jit(cell.apply)({"params": params}, INPUTS)
        masked, stopped = jax.jit(cell.apply)({"params": params}, INPUTS, mask=MASK)
        half, middle = jax.jit(cell.apply)({"params": params}, INPUTS[:, :2])
        rest, _ = jax.jit(cell.apply)({"params": params}, INPUTS[:, 2:], state=middle)
    np.testing.assert_allclose(np.concatenate([half, rest], axis=1), outputs, rtol=1e-13)
    for k in range(3):
        expected, _, last = by_hand(cell, params, INPUTS[k])
        np.testing.assert_allclose(outputs[k], expected, rtol=1e-12)
        np.testing.assert_allclose(state[0][k], expected[-1], rtol=1e-12)
        np.testing.assert_allclose(state[-1][k], last[1] if isinstance(cell, LSTM) else last[0], rtol=1e-12)
        n = MASK[k].sum()
        np.testing.assert_allclose(masked[k, :n], expected[:n], rtol=1e-12)
        assert (np.asarray(masked)[k, n:] == 0).all()
        np.testing.assert_allclose(stopped[0][k], expected[n - 1], rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS[1:], ids=lambda cell: type(cell).__name__)
def test_preactivations_are_what_goes_into_the_gates(cell):
    params = initialized(cell)
    with jax.enable_x64(True):
        both = Bidirectional(type(cell), 4)
        scalars, of_both = (
            jax.jit(lambda p, m=model: apply_with_preactivations(m, p, INPUTS, mask=MASK))(
                {"params": initialized(model)}
            )[1]
            for model in (cell, both)
        )
    gates = [by_hand(cell, params, INPUTS[k, : MASK[k].sum()])[1] for k in range(3)]
    assert float(scalars[""]) == pytest.approx(sum((z**2).sum() for z in gates) / 6, rel=1e-12)
    expected = 0
    for k in range(3):
        n, two = MASK[k].sum(), initialized(both)
        for name, x in (("forward", INPUTS[k, :n]), ("backward", INPUTS[k, :n][::-1])):
            expected += (by_hand(type(cell)(4), two[name], x)[1] ** 2).sum() / 6
    assert float(of_both[""]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("summed", [True, False])
def test_both_directions_match_numpy(summed):
    layer = Bidirectional(LSTM, 4, summed)
    params = initialized(layer)
    with jax.enable_x64(True):
        outputs, state = jax.jit(layer.apply)({"params": params}, INPUTS, mask=MASK)
    for k in range(3):
        n = MASK[k].sum()
        ahead, _, (h, _) = by_hand(LSTM(4), params["forward"], INPUTS[k, :n])
        back, _, (b, _) = by_hand(LSTM(4), params["backward"], INPUTS[k, :n][::-1])
        expected = ahead + back[::-1] if summed else np.concatenate([ahead, back[::-1]], axis=1)
        np.testing.assert_allclose(outputs[k, :n], expected, rtol=1e-12)
        assert (np.asarray(outputs)[k, n:] == 0).all()
        np.testing.assert_allclose(state[0][k], np.concatenate([h, b]), rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS[1:], ids=lambda cell: type(cell).__name__)
def test_noise_multiplies_the_state_in_every_product(cell):
    """A mask equals recurrent weights with their rows multiplied."""
    noise = np.array([0.0, 2.0, 1.0, 0.5])
    params = initialized(cell)
    with jax.enable_x64(True):
        noisy, _ = jax.jit(cell.apply)({"params": params}, INPUTS, noise=np.tile(noise, (3, 1)))
        scaled = {**params, "recurrent_kernel": params["recurrent_kernel"] * noise[:, None]}
        expected, _ = jax.jit(cell.apply)({"params": scaled}, INPUTS)
    np.testing.assert_allclose(noisy, expected, rtol=1e-12)


def test_inputs_are_multiplied_outside_the_loop():
    """The compiled loop contains only one product, that with the state."""
    layer = LSTM(4)
    params = initialized(layer)
    jaxpr = jax.make_jaxpr(layer.apply)({"params": jax.tree.map(jnp.float32, params)}, jnp.float32(INPUTS))
    loops = [equation for equation in jaxpr.eqns if equation.primitive.name == "scan"]
    assert len(loops) == 1
    inside = [e for e in loops[0].params["jaxpr"].jaxpr.eqns if e.primitive.name == "dot_general"]
    assert [e.invars[0].aval.shape for e in inside] == [(3, 4)]


def test_layers_under_vmap_equal_one_by_one():
    layer = Bidirectional(GRU, 4)
    params = [jax.tree.map(lambda x, s=scale: jnp.float32(s * x), initialized(layer)) for scale in (1, 0.5, -1)]
    inputs = jnp.float32(INPUTS)
    together = jax.jit(jax.vmap(lambda p: layer.apply({"params": p}, inputs)[0]))(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    )
    alone = jax.jit(layer.apply)
    for some, one in zip(together, params, strict=True):
        np.testing.assert_allclose(some, alone({"params": one}, inputs)[0], atol=1e-6)


def test_units_scale_with_the_width():
    assert [scaled_units(830, width) for width in (0.1, 0.0625, 1, 1.5, 1e-9)] == [83, 52, 830, 1245, 1]
    assert scaled_units(108, 0.25, 2) == 28
    for units, width in ((0, 1.0), (8, 0.0), (8, -1.0)):
        with pytest.raises(ValueError, match=f"got {units} and {width}"):
            scaled_units(units, width)
    with pytest.raises(ValueError, match="depth of at least 1, got 0"):
        RHN(4, 0).init(jax.random.key(0), INPUTS)
