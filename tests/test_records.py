import dataclasses
import functools
import hashlib
import importlib
import json
import math
import pkgutil
import random
import re
import sys
import types
import typing
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int

import lcjax as lc
from lcjax.curves.forms import Form
from lcjax.files import read_json
from lcjax.identities import find
from lcjax.records import canonical_hash, from_dict, parse_json, record, to_dict
from lcjax.training.concurrency import Execution


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
    with pytest.raises(ValueError, match="is code of a user, which cannot be restored from its name"):
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


@pytest.mark.parametrize(
    "name",
    ["os:system", "evil:x", "optax:__builtins__", "jax.nn:os.system", "numpy:f2py", "numpy:load", "jax.numpy:save",
     "jax:pure_callback", "numpy:set_printoptions", "flax.linen:disable_named_call", "optax:Callable", "a:b:c",
     "lcjax:MLP:x", "optax:adam:", ":", "", "jax.nn:relu ", "optax:" + "a" * 10_000, "\x1b[31m:x"],
)  # fmt: skip
def test_only_functions_of_the_registry_are_found(tmp_path, monkeypatch, name):
    (tmp_path / "evil.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for cls, fields in ((Outer, {"inner": {"value": 0}, "by_law": {}, "function": name}), (Inner, {"value": name})):
        with pytest.raises(ValueError, match=rf"^{cls.__name__}\.") as refusal:
            from_dict(cls, fields)
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 300
    assert not (tmp_path / "run").exists()


def test_optimizers_activations_layers_and_array_functions_are_found():
    for name in ("optax:adam", "optax:nadam", "jax.nn:gelu", "jax.nn.initializers:zeros", "flax.linen:Dense",
                 "jax.numpy:exp", "numpy:max", "jax.lax:top_k"):  # fmt: skip
        assert callable(find(name))


@record
class Typed:
    rate: float
    count: int
    flag: bool
    mode: Literal["a", "b"]
    label: str
    values: Float[np.ndarray, " n"]
    rows: Int[np.ndarray, "n m"]
    known: Bool[np.ndarray, " n"]
    either: Float[np.ndarray, " n"] | None
    pair: tuple[int, float]
    names: tuple[str, ...]
    by_name: dict[str, int]
    form: Form
    execution: Execution | None


GOOD = {
    "rate": 1, "count": 2, "flag": True, "mode": "a", "label": "x", "values": [1, None, "-inf"], "rows": [[1], [2]],
    "known": [True], "either": None, "pair": [1, 2.5], "names": [], "by_name": {"a": 1}, "form": "lcjax:power_law",
    "execution": {"type": "lcjax:Execution", "mode": "vmap", "width": 2},
}  # fmt: skip


def test_every_field_has_its_declared_type():
    back = from_dict(Typed, GOOD)
    assert (back.rate, type(back.rate), back.count, back.flag, back.pair) == (1.0, float, 2, True, (1, 2.5))
    np.testing.assert_array_equal(back.values, [1, np.nan, -np.inf])
    assert (back.rows.dtype, back.known.dtype, back.rows.shape) == (np.int64, bool, (2, 1))
    assert back.either is None
    assert back.form is lc.forms.power_law
    assert back.execution == Execution("vmap", 2)
    assert math.isnan(from_dict(Typed, {**GOOD, "rate": None}).rate)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rate", True, 'null, a number, "inf" or "-inf", got True'),
        ("rate", "1.5", "got '1.5'"),
        ("rate", "nan", "got 'nan'"),
        ("rate", {}, "got {}"),
        ("rate", 10**400, "got 1000"),
        ("count", 2.0, "an integer below 2^63, got 2.0"),
        ("count", 2**63, "an integer below 2^63"),
        ("count", False, "got False"),
        ("count", None, "got None"),
        ("flag", 1, "true or false, got 1"),
        ("mode", "c", "one of 'a', 'b', got 'c'"),
        ("label", 3, "a string, got 3"),
        ("values", 1.0, "1 axes or more, got shape ()"),
        ("values", [[1], [1, 2]], "lists of equal lengths"),
        ("values", {"0": 1}, "or lists of them, got {'0': 1}"),
        ("values", [True], "got True"),
        ("rows", [[1.5]], "an integer below 2^63, or lists of them, got 1.5"),
        ("rows", [[10**400]], "an integer below 2^63"),
        ("known", [1], "true or false, or lists of them, got 1"),
        ("pair", [1], "a list of length 2, got [1]"),
        ("names", "ab", "a list, got 'ab'"),
        ("by_name", None, "a mapping, got None"),
        ("by_name", [1], "a mapping, got [1]"),
        ("by_name", {"a": "b"}, "Typed.by_name.'a' must be an integer"),
        ("form", "lcjax:MLP", "the name of a Form, got 'lcjax:MLP'"),
        ("form", ["lcjax:power_law"], "the name of a function or class, got ['lcjax:power_law']"),
        ("execution", {"type": "lcjax:Budget", "mode": "vmap", "width": 2}, "Typed.execution.type must be"),
        ("execution", {"mode": "vmap", "width": -1}, "must divide its width"),
        ("execution", {"mode": "vmap"}, "Typed.execution lacks the field width"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_by_field(field, value, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        from_dict(Typed, {**GOOD, field: value})
    assert str(refusal.value).startswith(f"Typed.{field}")


def test_missing_fields_and_what_is_no_mapping_are_named():
    with pytest.raises(ValueError, match=r"Inner lacks the field value; its fields are name, value\."):
        from_dict(Inner, {})
    for fields in (None, [], "x", 3):
        with pytest.raises(ValueError, match="Inner must be a mapping"):
            from_dict(Inner, fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[NaN]", "NaN is not valid JSON"),
        ("[-Infinity]", "-Infinity is not valid JSON"),
        ("[1e999]", "1e999 exceeds"),
        ("1" * 5000, "4300 digits"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ("{", "Expecting property name"),
        (b"\xff\xfe{", "codec"),
    ],
)  # fmt: skip
def test_only_strict_json_is_read(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as refusal:
        read_json(path)
    assert str(refusal.value).startswith(str(path))


def test_deeply_nested_lists_are_refused():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ValueError, match="nested at most 32 deep"):
        from_dict(Inner, {"value": nested})


def records():
    """Yield every public record class of the library."""
    for found in pkgutil.walk_packages(lc.__path__, "lcjax."):
        if found.name != "lcjax.__main__":
            for value in vars(importlib.import_module(found.name)).values():
                is_public = isinstance(value, type) and value.__module__ == found.name and value.__name__[0] != "_"
                if is_public and vars(value).get("__no_type_check__", False) is True:
                    yield value


def plausible(rng, hint):
    """Return a form in JSON that a type may have."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return plausible(rng, rng.choice(arguments))
    if origin is dict:
        return {name: plausible(rng, arguments[1]) for name in "ab"}
    if origin is tuple:
        return [plausible(rng, one) for one in arguments if one is not ...]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return {field.name: plausible(rng, field.type) for field in dataclasses.fields(hint)}
    simple = {int: 3, bool: True, str: "a", float: 0.5, type(None): None}
    if hint in simple:
        return simple[hint]
    entry = 1 if "Int" in str(hint) else "Bool" not in str(hint) or 0.5
    for _ in range(getattr(hint, "dim_str", "").count(" ") + 1):
        entry = [entry, entry]
    return rng.choice([entry, "lcjax:power_law", "lcjax:hypercube"])


HOSTILE = (
    None, True, -1, 2**63, 10**400, 0.5, math.nan, "", "inf", "nan", "a:b:c", "os:system", "numpy:load", "optax:adam",
    "\x1b[2J", "=cmd()", [], {}, [[]], [[1], 2], [None, "x"], {"type": "os:system"}, {"a": {"b": []}}, [0] * 1000,
)  # fmt: skip


def poison(rng, value):
    """Replace a part of a value, at a random depth, or drop or add an entry."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {one: value[one] for one in value if one != name}
        if rng.random() < 0.1:
            return {**value, rng.choice(["type", "x", "__class__", "\n"]): rng.choice(HOSTILE)}
        return {**value, name: poison(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = rng.randrange(len(value))
        return [*value[:at], poison(rng, value[at]), *value[at + 1 :]]
    return rng.choice(HOSTILE)


@pytest.mark.slow
def test_hostile_records_are_refused_or_read():
    rng, classes, refusals = random.Random(0), list(records()), []
    assert len(classes) > 60
    for _ in range(300):
        cls = rng.choice(classes)
        fields = plausible(rng, cls)
        for _ in range(rng.randint(1, 3)):
            fields = poison(rng, fields)
        try:
            assert isinstance(from_dict(cls, fields), cls)
        except ValueError as error:
            refusals.append((cls.__name__, str(error)))
    assert len(refusals) > 100
    assert all(message.startswith(name) and len(message) < 2000 for name, message in refusals)
