import functools
import hashlib
import json
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.records import canonical_hash, from_dict, record, to_dict


@record
class Inner:
    value: jax.Array
    name: str = jax.tree.static(default="x")

    def method(self):
        return self.value


@record
class Outer:
    inner: Inner
    by_law: dict[str, Inner]
    function: object = jax.tree.static(default=None)


def test_record_is_frozen_and_a_pytree():
    inner = Inner(np.ones(2))
    with pytest.raises(AttributeError):
        inner.value = 1
    doubled = jax.vmap(lambda r: Inner(2 * r.value))(inner)
    np.testing.assert_array_equal(doubled.value, [2, 2])


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1))
def test_json_round_trip_keeps_every_float(values):
    outer = Outer(Inner(np.array(values)), {"a": Inner(np.array(values), "b")})
    text = json.dumps(to_dict(outer), allow_nan=False)
    back = from_dict(Outer, json.loads(text))
    np.testing.assert_array_equal(back.inner.value, np.array(values))
    assert back.by_law["a"].name == "b"


def test_library_objects_are_named_by_public_name():
    values = [lc.models.MLP, lc.laws.hypercube, lc.forms.power_law, jax.nn.relu, np.mean, optax.adam]
    names = ["lcjax:MLP", "lcjax:hypercube", "lcjax:power_law", "jax.nn:relu", "numpy:mean", "optax:adam"]
    assert to_dict(values) == names
    assert [from_dict(Outer, {"inner": {"value": 0}, "by_law": {}, "function": n}).function for n in names] == values


def test_unknown_field_is_named():
    with pytest.raises(ValueError, match="no field errr"):
        from_dict(lc.LearningCurve, {"size": [1], "errr": [1]})


def test_keys_have_no_json_form():
    with pytest.raises(TypeError, match="no JSON form"):
        to_dict({"key": jax.random.key(0)})


def test_a_partial_function_is_identified_by_its_function_and_arguments():
    decay = functools.partial(optax.adamw, weight_decay=1e-4)
    assert to_dict(decay) == {"partial": "optax:adamw", "arguments": [], "options": {"weight_decay": 1e-4}}
    assert canonical_hash(decay) == canonical_hash(functools.partial(optax.adamw, weight_decay=1e-4))
    assert canonical_hash(decay) != canonical_hash(functools.partial(optax.adamw, weight_decay=1e-3))


def test_a_function_without_a_lasting_name_has_no_identity():
    def local():
        return None

    unnamed = {"<lambda>": lambda: None, "<locals>.local": local, "Inner.method": Inner(1).method}
    for name, function in unnamed.items():
        with pytest.raises(ValueError, match=f"test_records:.*{name} is no lasting name"):
            canonical_hash([1, {"objective": function}])
        assert to_dict(function).startswith("user:")
    with pytest.raises(ValueError, match="<lambda> is no lasting name"):
        canonical_hash(functools.partial(lambda rate: None, 1))
    namespace = {"__name__": "typed"}
    exec("def function(): pass", namespace)
    with pytest.raises(ValueError, match="typed:function is no lasting name: its source is not available"):
        canonical_hash(namespace["function"])


def of_the_user(progress):
    return 1.0


def test_a_user_s_own_object_is_named_by_source_and_never_decoded():
    name = to_dict(of_the_user)
    assert re.fullmatch(r"user:of_the_user@[0-9a-f]{64}", name)
    with pytest.raises(ValueError, match="a user's own: its name is compared, never looked up"):
        from_dict(Outer, {"inner": {"value": 0}, "by_law": {}, "function": name})
    imposter = types.FunctionType(of_the_user.__code__, {}, "hypercube")
    imposter.__module__, imposter.__qualname__ = lc.laws.hypercube.__module__, "hypercube"
    assert to_dict(imposter).startswith("user:hypercube@")


@pytest.mark.parametrize(
    "name", ["antigravity:fly", "os:system", "lcjax:no_such", "lcjax.models.vision.mlp:MLP", "numpy:_x"]
)
def test_decoding_imports_nothing_that_is_named(name):
    with pytest.raises(ValueError, match="There is no function or class"):
        from_dict(Outer, {"inner": {"value": 0}, "by_law": {}, "function": name})
    assert "antigravity" not in sys.modules


def test_hash_depends_on_content_only():
    assert canonical_hash({"a": 1, "b": [2.0]}) == canonical_hash({"b": [2.0], "a": 1})
    assert canonical_hash({"a": 1}) != canonical_hash({"a": 2})


def test_hashes_are_permanent():
    configuration = {"model": lc.models.MLP, "rate": np.float32(0.5), "none": [None, float("nan"), float("-inf")]}
    text = '{"model":"lcjax:MLP","none":[null,null,"-inf"],"rate":0.5}'
    assert canonical_hash(configuration) == hashlib.sha256(text.encode()).hexdigest()


def test_arrays_of_every_kind_become_lists():
    arrays = [np.array(True), jnp.arange(2), jnp.ones(1, jnp.bfloat16), np.array(["a"]), np.zeros((1, 0))]
    assert to_dict(arrays) == [True, [0, 1], [1.0], ["a"], [[]]]
    with pytest.raises(TypeError, match="dtype complex64"):
        to_dict(np.ones(1, np.complex64))


def test_dataclasses_that_are_no_records_name_their_type():
    assert to_dict(lc.models.MLP((3,), 2))["type"] == "lcjax:MLP"
    assert "parent" not in to_dict(lc.models.MLP((3,), 2))
    assert to_dict(Path("a", "b")) == "a/b"


@record
class Fields:
    number: float
    count: int = jax.tree.static(default=1)
    pair: tuple[Inner, ...] = ()
    maybe: Inner | None = None


def test_fields_are_decoded_by_their_types():
    back = from_dict(Fields, {"number": "inf", "pair": [{"value": [1, None]}], "maybe": {"value": ["-inf"]}})
    assert (back.number, back.count) == (np.inf, 1)
    np.testing.assert_array_equal(back.pair[0].value, [1, np.nan])
    np.testing.assert_array_equal(back.maybe.value, [-np.inf])
    assert from_dict(Fields, {"number": 2, "maybe": None}).maybe is None
