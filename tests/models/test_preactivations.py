"""Pre-activations against networks written out by hand; layers that cannot be observed are named."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.models.preactivations import LINEAR_LAYERS, apply_with_preactivations
from lcjax.models.sowing import sow_preactivation
from lcjax.training.penalties import penalty


def compiled(model, variables, inputs, layers=LINEAR_LAYERS, **options):
    """Apply a model with its pre-activations in one program, which compiles faster than each operation by itself."""
    apply = jax.jit(lambda variables: apply_with_preactivations(model, variables, inputs, layers, **options))
    return apply(variables)


def half_squares(value):
    """Return half the squares, summed over an example and averaged over the batch."""
    value = np.asarray(value, np.float64)
    return 0.5 * (value.reshape(len(value), -1) ** 2).sum(axis=1).mean()


class Mixed(nn.Module):
    """A network with convolution, BatchNorm, dropout and two linear layers, one of them used twice."""

    @nn.compact
    def __call__(self, inputs, *, train=False):
        value = nn.Conv(4, (3, 3), name="conv")(inputs)
        value = nn.BatchNorm(use_running_average=not train, name="norm")(value)
        value = nn.Dropout(0.4, deterministic=not train)(nn.relu(value)).reshape(len(inputs), -1)
        shared = nn.Dense(value.shape[1], name="shared")
        value = nn.relu(shared(nn.relu(shared(value))))
        return nn.Dense(3, name="head")(value)


def test_layers_by_hand():
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    model = Mixed()
    variables = jax.jit(model.init)(jax.random.key(0), images)
    outputs, scalars = compiled(model, variables, images)
    np.testing.assert_array_equal(outputs, jax.jit(model.apply)(variables, images))
    params = variables["params"]
    convolved = jax.jit(nn.Conv(4, (3, 3)).apply)({"params": params["conv"]}, images)
    hidden = np.maximum(np.asarray(convolved) / np.sqrt(1 + 1e-5), 0).reshape(5, -1)
    dense = lambda name, value: value @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"])  # noqa: E731
    first = dense("shared", hidden)
    second = dense("shared", np.maximum(first, 0))
    expected = {
        "conv": half_squares(convolved),
        "shared": half_squares(first) + half_squares(second),
        "head": half_squares(dense("head", np.maximum(second, 0))),
    }
    assert set(scalars) == set(expected)
    for name, value in expected.items():
        assert float(scalars[name]) == pytest.approx(value, rel=1e-5)


EQ18 = lc.models.MLP((6, 4), 3)
SHAPES = jax.eval_shape(EQ18.init, jax.random.key(0), np.zeros((7, 5)))
TARGETS = np.arange(7) % 3


@jax.jit
def eq18(variables, inputs, c, d):
    """Compute Eq. (18) with the library: means over the examples times their number."""
    outputs, scalars = apply_with_preactivations(EQ18, variables, inputs)
    loss = jnp.mean(lc.models.multiclass_hinge(outputs, TARGETS)) + d * sum(scalars.values())
    return len(TARGETS) * (loss + penalty({"l2": c / len(TARGETS)}, variables["params"], {}))


@jax.jit
def eq18_written_out(variables, inputs, c, d):
    value, total = inputs, 0.0
    for name in ("hidden_0", "hidden_1", "head"):
        layer = variables["params"][name]
        net = value @ layer["kernel"] + layer["bias"]
        total += c / 2 * jnp.sum(layer["kernel"] ** 2) + d / 2 * jnp.sum(net**2)
        value = jnp.maximum(net, 0)
    for i, y in enumerate(TARGETS):
        for j in range(3):
            if j != y:
                total += jnp.maximum(0, 1 - net[i, y] + net[i, j])
    return total


GRADIENTS = jax.jit(jax.grad(eq18)), jax.jit(jax.grad(eq18_written_out))


@given(st.integers(0, 2**32 - 1), st.floats(0, 10), st.floats(0, 10), st.floats(0.1, 10))
def test_gradients_are_those_of_eq_18_written_out(seed, c, d, spread):
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        inputs = spread * rng.normal(size=(7, 5))
        variables = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), SHAPES)
        for ours, naive in ((eq18, eq18_written_out), GRADIENTS):
            expected = naive(variables, inputs, c, d)
            largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected))
            for a, e in zip(jax.tree.leaves(ours(variables, inputs, c, d)), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12 * (1 + largest))


def test_eq_18_under_vmap_over_nets_and_strengths():
    with jax.enable_x64(True):
        inputs = np.random.default_rng(1).normal(size=(7, 5))
        initialize = jax.jit(jax.vmap(lambda key: EQ18.init(key, inputs)))
        variables = initialize(jax.random.split(jax.random.key(0), 4))
        variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) + 0.1, variables)
        c, d = np.array([0.0, 1.0, 0.1, 2.0]), np.array([0.0, 0.1, 1.0, 3.0])
        batched = jax.jit(jax.vmap(jax.grad(eq18), in_axes=(0, None, 0, 0)))(variables, inputs, c, d)
        for i in range(4):
            one = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
            expected = jax.tree.leaves(GRADIENTS[1](one, inputs, c[i], d[i]))
            for a, e in zip(jax.tree.leaves(batched), expected, strict=True):
                np.testing.assert_allclose(a[i], e, rtol=1e-10, atol=1e-12)


def test_training_mode_with_normalization_and_dropout():
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    model = Mixed()
    variables = jax.jit(model.init)(jax.random.key(0), images)
    options = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": jax.random.key(1)}}
    (outputs, scalars), updated = compiled(model, variables, images, **options)
    expected, expected_updated = jax.jit(lambda variables: model.apply(variables, images, **options))(variables)
    np.testing.assert_array_equal(outputs, expected)
    assert set(updated) == {"batch_stats"}
    for a, e in zip(jax.tree.leaves(updated), jax.tree.leaves(dict(expected_updated)), strict=True):
        np.testing.assert_array_equal(a, e)
    assert float(scalars["head"]) == pytest.approx(half_squares(outputs), rel=1e-5)


class Tagger(nn.Module):
    cell: nn.RNNCellBase

    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(2, name="head")(nn.RNN(self.cell, name="rnn")(nn.Dense(3, name="input")(inputs)))


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def walked(kind, params, inputs):
    """Return the pre-activations of a cell's gates, step by step in NumPy: (steps, b, gates, features)."""
    params = jax.tree.map(np.asarray, params)
    dense = lambda name, x: x @ params[name]["kernel"] + params[name].get("bias", 0)  # noqa: E731
    h = c = np.zeros((len(inputs), 4))
    steps, hidden = [], []
    for x in np.moveaxis(inputs, 1, 0):
        if kind in ("LSTMCell", "OptimizedLSTMCell"):
            gates = [dense(f"i{g}", x) + dense(f"h{g}", h) for g in "ifgo"]
            i, f, o = (sigmoid(gates[j]) for j in (0, 1, 3))
            c = f * c + i * np.tanh(gates[2])
            h = o * np.tanh(c)
        elif kind == "GRUCell":
            r, z = (dense(f"i{g}", x) + dense(f"h{g}", h) for g in "rz")
            n = dense("in", x) + sigmoid(r) * dense("hn", h)
            gates = [r, z, n]
            h = (1 - sigmoid(z)) * np.tanh(n) + sigmoid(z) * h
        else:
            gates = [dense("i", x) + dense("h", h)]
            h = np.tanh(gates[0])
        steps.append(gates)
        hidden.append(h)
    return np.asarray(steps), np.stack(hidden, axis=1)


@pytest.mark.parametrize(
    "cell", [nn.LSTMCell, nn.GRUCell, nn.SimpleCell, pytest.param(nn.OptimizedLSTMCell, marks=pytest.mark.slow)]
)
def test_recurrent_cells_are_seen_in_every_step(cell):
    sequences = np.random.default_rng(2).normal(size=(5, 6, 2)).astype(np.float32)
    model = Tagger(cell(4))
    variables = jax.jit(model.init)(jax.random.key(0), sequences)
    params = variables["params"]
    recurrent = params[next(name for name in params if name not in ("head", "input"))]
    recurrent = recurrent.get("cell", recurrent)
    first = sequences @ np.asarray(params["input"]["kernel"]) + np.asarray(params["input"]["bias"])
    gates, hidden = walked(cell.__name__, recurrent, first)
    outputs, scalars = compiled(model, variables, sequences)
    np.testing.assert_allclose(outputs, hidden @ params["head"]["kernel"] + params["head"]["bias"], atol=1e-5)
    assert len(scalars) == 3
    name = next(name for name in scalars if name not in ("head", "input"))
    assert float(scalars[name]) == pytest.approx(half_squares(np.moveaxis(gates, 2, 0)), rel=1e-4)
    assert float(scalars["head"]) == pytest.approx(half_squares(outputs), rel=1e-4)
    gradient = jax.jit(jax.grad(lambda v: apply_with_preactivations(model, v, sequences)[1][name]))(variables)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient["params"]["input"]))


def test_attention_is_seen():
    class Attending(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            return nn.Dense(2, name="head")(nn.MultiHeadDotProductAttention(2, name="attention")(inputs))

    sequences = np.ones((3, 4, 6), np.float32)
    variables = jax.jit(Attending().init)(jax.random.key(0), sequences)
    scalars = compiled(Attending(), variables, sequences)[1]
    assert set(scalars) == {"head", *(f"attention/{name}" for name in ("query", "key", "value", "out"))}


class Own(nn.Module):
    """A layer with its own multiplication."""

    sowing: bool

    @nn.compact
    def __call__(self, inputs):
        value = inputs @ self.param("kernel", nn.initializers.ones, (inputs.shape[1], 2))
        if self.sowing:
            sow_preactivation(self, value)
        return nn.relu(value)


class Scanned(nn.Module):
    """A linear layer in a scan that does not declare the collection."""

    @nn.compact
    def __call__(self, inputs):
        layers = nn.scan(
            lambda module, carry, _: (module(carry), None),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=3,
        )
        return layers(nn.Dense(inputs.shape[1], name="stack"), inputs, None)[0]


def test_what_cannot_be_seen_is_named():
    inputs = np.ones((4, 3), np.float32)
    model = nn.Sequential([nn.Dense(3), Own(sowing=False)])
    variables = jax.jit(model.init)(jax.random.key(0), inputs)
    with pytest.raises(ValueError, match="pre-activations of layers_1 are not observed"):
        compiled(model, variables, inputs)
    seen = compiled(model, variables, inputs, (*LINEAR_LAYERS, Own))[1]
    assert set(seen) == {"layers_0", "layers_1"}
    sowing = nn.Sequential([nn.Dense(3), Own(sowing=True)])
    assert float(compiled(sowing, variables, inputs)[1]["layers_1"]) == pytest.approx(float(seen["layers_1"]))
    with pytest.raises(ValueError, match="pre-activations of layers_0 are not observed"):
        compiled(model, variables, inputs, (Own,))
    variables = jax.jit(Scanned().init)(jax.random.key(0), inputs)
    with pytest.raises(ValueError, match="pre-activations of stack are not observed"):
        compiled(Scanned(), variables, inputs)


@pytest.mark.parametrize(
    "model", [lc.models.MLP((6,), 3), lc.models.LeNet((2, 3), 3), lc.models.Bottlenecked(lc.models.MLP((6,), 3), 4)]
)
def test_our_own_models_are_seen(model):
    images = np.random.default_rng(0).random((4, 28, 28)).astype(np.float32)
    options = {"bottleneck_width": 2} if isinstance(model, lc.models.Bottlenecked) else {}
    variables = jax.jit(model.init)(jax.random.key(0), images, **options)
    scalars = compiled(model, variables, images, **options)[1]
    assert {name.split("/")[0] for name in scalars} == set(variables["params"])
