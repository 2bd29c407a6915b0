import json

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.records import canonical_hash, from_dict, record, to_dict


@record
class Inner:
    value: jax.Array
    name: str = jax.tree.static(default="x")


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


def test_functions_are_named_by_home():
    assert to_dict(np.mean) == "numpy:mean"


def test_unknown_field_is_named():
    with pytest.raises(ValueError, match="no field errr"):
        from_dict(lc.LearningCurve, {"size": [1], "errr": [1]})


def test_keys_have_no_json_form():
    with pytest.raises(TypeError, match="no JSON form"):
        to_dict({"key": jax.random.key(0)})


def test_a_function_without_a_lasting_name_has_no_identity():
    def local():
        return None

    for function, name in ((lambda: None, "<lambda>"), (local, "<locals>.local")):
        with pytest.raises(ValueError, match=f"test_records:.*{name} is no lasting name"):
            canonical_hash([1, {"objective": function}])


def test_hash_depends_on_content_only():
    assert canonical_hash({"a": 1, "b": [2.0]}) == canonical_hash({"b": [2.0], "a": 1})
    assert canonical_hash({"a": 1}) != canonical_hash({"a": 2})
