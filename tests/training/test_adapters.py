"""Models from other libraries in sweeps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lcjax as lc
from lcjax.models.adapters import adapter_for, from_equinox, from_functions, from_nnx
from lcjax.records import canonical_hash

INPUTS = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


def init_layers(key, inputs):
    """Return a pytree of lists and tuples."""
    first, second = jax.random.split(key)
    return [(jax.random.normal(first, (inputs.shape[1], 7)), jnp.zeros(7)), {"head": jax.random.normal(second, (7, 3))}]


def apply_layers(params, inputs):
    (kernel, bias), last = params
    return jnp.tanh(inputs @ kernel + bias) @ last["head"]


class Net(nnx.Module):
    """A network with BatchNorm, dropout and a list of layers."""

    def __init__(self, features, classes=3, *, rngs):
        self.norm = nnx.BatchNorm(features, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(features, 40, rngs=rngs), nnx.Linear(40, classes, rngs=rngs)])

    def __call__(self, inputs):
        value = nnx.relu(self.layers[0](self.norm(inputs)))
        return self.layers[1](self.dropout(value))


def test_functions():
    model = from_functions(init_layers, apply_layers)
    variables = model.init(jax.random.key(0), INPUTS)
    assert set(variables) == {"params"}
    nested = variables["params"]["model"]
    assert lc.models.parameter_count(model, INPUTS) == 5 * 7 + 7 + 21
    expected = apply_layers([(nested["0"]["0"], nested["0"]["1"]), nested["1"]], INPUTS)
    np.testing.assert_array_equal(model.apply(variables, INPUTS), expected)
    other = model.init(jax.random.key(1), INPUTS)
    assert not np.array_equal(other["params"]["model"]["0"]["0"], nested["0"]["0"])
    bare = from_functions(lambda key, inputs: jnp.full(5, 2.0), lambda params, inputs: inputs @ params)
    variables = bare.init(jax.random.key(0), INPUTS)
    np.testing.assert_allclose(bare.apply(variables, INPUTS), 2 * INPUTS.sum(axis=1), rtol=1e-5)


def test_functions_of_several_arrays():
    inputs = {"left": INPUTS, "right": 2 * INPUTS}
    model = from_functions(
        lambda key, inputs: jnp.full(inputs["left"].shape[1], 0.5),
        lambda params, inputs: (inputs["left"] + inputs["right"]) @ params,
    )
    variables = model.init(jax.random.key(0), inputs)
    np.testing.assert_allclose(model.apply(variables, inputs), 1.5 * INPUTS.sum(axis=1), rtol=1e-5)


def test_nnx():
    model = from_nnx(Net, 5, classes=2)
    variables = model.init(jax.random.key(0), INPUTS)
    assert set(variables) == {"params", "batch_stats"}
    assert lc.models.parameter_count(variables) == 2 * 5 + 5 * 40 + 40 + 80 + 2
    layers = variables["params"]["model"]["layers"]
    hidden = np.maximum(INPUTS / np.sqrt(1 + 1e-5) @ layers["0"]["kernel"], 0)
    expected = hidden @ np.asarray(layers["1"]["kernel"])
    np.testing.assert_allclose(model.apply(variables, INPUTS), expected, atol=1e-5)
    run = jax.jit(
        lambda key: model.apply(variables, INPUTS, train=True, mutable=["batch_stats"], rngs={"dropout": key})
    )
    (first, updated), (second, _), (again, _) = (run(jax.random.key(i)) for i in (1, 2, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    statistics = updated["batch_stats"]["model"]["norm"]
    np.testing.assert_allclose(statistics["mean"], 0.01 * INPUTS.mean(axis=0), rtol=1e-4)


def test_equinox():
    equinox = pytest.importorskip("equinox", reason="equinox is not installed")
    model = from_equinox(equinox.nn.MLP, 5, 3, 8, depth=1)
    variables = model.init(jax.random.key(0), INPUTS)
    first, second = (variables["params"]["model"]["layers"][name] for name in ("0", "1"))
    hidden = np.maximum(INPUTS @ np.asarray(first["weight"]).T + first["bias"], 0)
    expected = hidden @ np.asarray(second["weight"]).T + second["bias"]
    np.testing.assert_allclose(model.apply(variables, INPUTS), expected, atol=1e-5)


def equinox_model():
    equinox = pytest.importorskip("equinox", reason="equinox is not installed")
    return from_equinox(equinox.nn.MLP, 5, 3, 16, depth=1)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: from_functions(init_layers, apply_layers), marks=pytest.mark.slow),
        lambda: from_nnx(Net, 5),
        equinox_model,
    ],
    ids=["functions", "nnx", "equinox"],
)
def test_adapted_models_in_a_sweep(data, program, table, key, build):
    other = dataclasses.replace(program, model=build())
    runs = lc.Runs((other,), table.program[:2], {name: column[[2, 5]] for name, column in table.columns.items()})
    result = lc.sweep(key, data, runs, keep=np.ones(2, bool))
    assert (result.status == 0).all()
    assert result.validation_error[:, -1].max() < 0.3
    assert len(canonical_hash(other)) == 64
    different = [np.asarray(leaf) for leaf in jax.tree.leaves(result.params[0]["params"])]
    assert not np.array_equal(different[0], jax.tree.leaves(result.params[1]["params"])[0])


def test_a_module_of_another_kind_is_refused_with_its_adapter(data, program, table, key):
    wrong = dataclasses.replace(program)
    object.__setattr__(wrong, "model", Net(5, rngs=nnx.Rngs(0)))  # past the type checks of the tests
    with pytest.raises(ValueError, match=r"model Net, which is not a Linen module: pass lcjax.models.from_nnx"):
        lc.sweep(key, data, lc.Runs((wrong,), table.program, table.columns))
    assert adapter_for((init_layers, apply_layers)) == "lcjax.models.from_functions(init, apply)"
    with pytest.raises(ValueError, match=r"from_nnx\(Net, \.\.\.\), because .* got an instance of Net"):
        from_nnx(Net(5, rngs=nnx.Rngs(0)))


def test_the_adapter_of_equinox_is_named():
    base = type("Module", (), {"__module__": "equinox._module"})
    assert adapter_for(type("Own", (base,), {})()) == "lcjax.models.from_equinox(Own, ...)"
