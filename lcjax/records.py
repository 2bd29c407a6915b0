"""Records: frozen dataclasses that are JAX pytrees, and their JSON form."""

import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, dataclass_transform, overload

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.identities import Named, find, lasting_name, name_of
from lcjax.typing import JSON

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["canonical_hash", "from_dict", "record", "to_dict"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(jax.tree.static,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree.

    Fields are data (leaves or sub-trees) unless declared with `jax.tree.static()`. Records hold no validation, because
    JAX rebuilds them from placeholders. They compare by identity, because comparing arrays gives an array.

    Args:
        cls: a class with annotated fields.

    Returns:
        The class as a dataclass, registered with JAX.

    Examples:
        >>> import jax, lcjax.records
        >>> @lcjax.records.record
        ... class Point:
        ...     x: float
        ...     label: str = jax.tree.static(default="p")
        >>> jax.tree.map(lambda leaf: 2 * leaf, Point(3.0))
        Point(x=6.0, label='p')
    """
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    setattr(cls, "__no_type_check__", True)  # noqa: B010  # run-time type checks must leave the constructor alone
    return jax.tree_util.register_dataclass(cls)


@overload
def to_dict(value: "Mapping[str, object] | DataclassInstance") -> dict[str, JSON]: ...


@overload
def to_dict(value: object) -> JSON: ...


def to_dict(value: object) -> JSON:
    """Convert a record, mapping, sequence, array, number, string, function, path or None to values for `json.dumps`.

    A record with methods `json_fields()` and `fields_from_json(fields)` chooses its own entries (see `SizeForError`).
    Arrays become nested lists, nan becomes None, infinities become "inf" and "-inf"; functions and classes become their
    names, such as "lcjax:MLP", "optax:adam" or "user:my_loss@SHA256" (see `lcjax.identities`); other dataclasses, such
    as Flax modules, become their fields with a "type" entry.

    Args:
        value: a record or any nesting of the values above.

    Returns:
        Nested dicts and lists of strings, numbers, booleans and None; a record becomes a dict with an entry per field.

    Raises:
        TypeError: `value` holds something without a JSON form, a PRNG key for instance.
        ValueError: `value` holds a part of lcjax without a public name.

    Examples:
        >>> import numpy as np
        >>> to_dict({"error": np.array([0.5, np.nan])})
        {'error': [0.5, None]}
    """
    return _encode(value, name_of)


def _encode(value: object, name: Callable[[Named], str]) -> JSON:
    """Convert to plain values, with functions and classes named by `name`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray) or (
        isinstance(value, jax.Array) and not jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    ):
        return _encode(_to_lists(np.asarray(value)), name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        hidden = ("parent", "name") if any(base.__module__.startswith("flax.") for base in kind.__mro__) else ()
        entries = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name not in hidden}
        entries = value.json_fields() if hasattr(value, "json_fields") else entries
        fields = {field: _encode(part, name) for field, part in entries.items()}
        return fields if getattr(kind, "__no_type_check__", False) is True else {"type": name(kind), **fields}
    if isinstance(value, Mapping):
        return {str(k): _encode(v, name) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(v, name) for v in value]
    if isinstance(value, functools.partial):
        bound = {"arguments": value.args, "options": value.keywords}
        return {"partial": name(value.func), **{part: _encode(given, name) for part, given in bound.items()}}
    if callable(value) and hasattr(value, "__qualname__"):
        return name(value)
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def from_dict(cls: type[T], fields: Mapping[str, JSON]) -> T:
    """Rebuild a record, with NumPy arrays, from the form that `to_dict` returns, by the types of its fields.

    Functions are looked up in the table of `lcjax.identities`; nothing else is imported.

    Args:
        cls: a class made by `record`.
        fields: one entry for each field; absent ones take their defaults.

    Returns:
        The record; null entries of arrays become nan, and fields that are null become None.

    Raises:
        ValueError: `fields` has an entry that the record lacks, or names a user's own function or an unknown one.

    Examples:
        >>> import json, lcjax as lc
        >>> curve = lc.LearningCurve([10, 20], [0.5, float("nan")])
        >>> from_dict(lc.LearningCurve, json.loads(json.dumps(to_dict(curve)))).error
        array([0.5, nan])
    """
    hints = {f.name: f.type for f in dataclasses.fields(cast("type[DataclassInstance]", cls))}
    if adapt := getattr(cls, "fields_from_json", None):
        fields = adapt(fields)
    unknown = sorted(set(fields) - set(hints) - {"type"})  # the name of a dataclass that is not a record
    if unknown:
        raise ValueError(
            f"{cls.__name__} has no field {', '.join(unknown)}; its fields are {', '.join(sorted(hints))}."
        )
    return cls(**{name: _decode(hints[name], value) for name, value in fields.items() if name in hints})


def canonical_hash(value: object) -> str:
    """Return the SHA-256 of the canonical JSON form: the identity of a configuration.

    Library functions and classes enter by their public names, a user's own by name and source; the latter must be
    defined at module level, because two lambdas are indistinguishable.

    Raises:
        ValueError: `value` holds a lambda, or a function or class that is local or has no source.
        TypeError: `value` holds something without a JSON form.

    Examples:
        >>> canonical_hash({"a": 1, "b": 2}) == canonical_hash({"b": 2, "a": 1})
        True
    """
    text = json.dumps(_encode(value, lasting_name), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_lists(array: np.ndarray) -> JSON:
    if array.dtype.kind not in "biufUSV":
        raise TypeError(f"An array of dtype {array.dtype} has no JSON form.")
    if array.dtype.kind == "V":  # bfloat16 and its kin
        array = array.astype(np.float32)
    lists: JSON = array.tolist()
    return lists


def _decode(hint: object, value: JSON) -> object:
    if value is None:
        return None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _decode(next(a for a in arguments if a is not type(None)), value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(hint, value)
    if origin is dict and isinstance(value, Mapping):
        return {k: _decode(arguments[1], v) for k, v in value.items()}
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_decode(arguments[0], v) for v in value)
    if hint is float and isinstance(value, str | int | float):
        return float(value)
    if hint in (int, float, str, bool, typing.Any) or origin is typing.Literal:
        return value
    if isinstance(value, str) and ":" in value:
        return find(value)
    return np.asarray(_decode_numbers(value))


def _decode_numbers(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_decode_numbers(item) for item in value]
    return math.nan if value is None else float(value) if isinstance(value, str) else value
