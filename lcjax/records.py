"""Records: frozen dataclasses that are JAX pytrees, and their JSON form.

All JSON of lcjax is strict (RFC 8259), by one convention: nan is null, infinities are the strings "inf" and "-inf", a
function or class is its permanent name (see `lcjax.identities`), an array is nested lists.
"""

import dataclasses
import functools
import hashlib
import json
import math
import reprlib
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, dataclass_transform, overload

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.decoding import decode
from lcjax.identities import Named, lasting_name, name_of
from lcjax.record_tables import record_table, record_text
from lcjax.typing import JSON

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["canonical_hash", "from_dict", "parse_json", "record", "to_dict"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(jax.tree.static,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree.

    Fields are data (leaves or sub-trees) unless declared with `jax.tree.static()`. Records hold no validation, because
    JAX rebuilds them from placeholders. They compare by identity, because comparing arrays gives an array. Notebooks
    show them as tables, and `print` shows the sentence of a method `headline()`, if there is one.

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
    setattr(cls, "_repr_html_", record_table)  # noqa: B010
    if hasattr(cls, "headline") and cls.__str__ is object.__str__:
        setattr(cls, "__str__", record_text)  # noqa: B010
    return jax.tree_util.register_dataclass(cls)


@overload
def to_dict(value: "Mapping[str, object] | DataclassInstance") -> dict[str, JSON]: ...


@overload
def to_dict(value: object) -> JSON: ...


def to_dict(value: object) -> JSON:
    """Convert a record, mapping, sequence, array, number, string, function, path or None to values for `json.dumps`.

    Arrays become nested lists, nan becomes None, infinities become "inf" and "-inf"; functions and classes become their
    names, such as "lcjax:MLP", "optax:adam" or "user:my_loss@SHA256" (see `lcjax.identities`); other dataclasses, such
    as Flax modules, become their fields with a "type" entry.

    A record with a method `json_fields()` chooses its own entries. Its class lists in `json_only` those that
    `from_dict` leaves out, because they follow from the others, or restores the fields by `fields_from_json(entries)`
    (see `SizeForError`).

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


def from_dict(cls: type[T], fields: JSON) -> T:
    """Rebuild a record, with NumPy arrays, from the form that `to_dict` returns, by the types of its fields.

    Entries may come from anyone: every one is checked against the type of its field, and the only functions and classes
    that it can name are those that `lcjax.identities.find` returns.

    Args:
        cls: a class made by `record`, or another dataclass.
        fields: a mapping with one entry for each field; absent ones take their defaults.

    Returns:
        The record. A null number is nan, and a field that may be None is None where it is null.

    Raises:
        ValueError: an entry is missing, unknown or not of the type of its field, or names a user's own function or an
            unknown one. The message gives the field, the value and the values allowed.

    Examples:
        >>> import lcjax as lc
        >>> curve = lc.LearningCurve([10, 20], [0.5, float("nan")])
        >>> from_dict(lc.LearningCurve, parse_json(json.dumps(to_dict(curve)))).error
        array([0.5, nan])
        >>> from_dict(lc.LearningCurve, {"size": [10, 20], "error": ["0.5", 0.4]})
        Traceback (most recent call last):
        ValueError: LearningCurve.error must be null, a number, "inf" or "-inf", or lists of them, got '0.5'.
    """
    value: T = decode(cls, fields, cls.__name__)
    return value


def parse_json(text: str | bytes) -> typing.Any:
    """Parse strict JSON: no literal NaN or Infinity, no name twice in one object.

    Raises:
        ValueError: the text is not strict JSON, or it is nested too deeply.

    Examples:
        >>> parse_json('{"error": [0.5, null]}')
        {'error': [0.5, None]}
        >>> parse_json('{"error": NaN}')
        Traceback (most recent call last):
        ValueError: NaN is not valid JSON: write nan as null, and infinities as "inf" and "-inf".
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def _refuse_constant(name: str) -> typing.NoReturn:
    raise ValueError(f'{name} is not valid JSON: write nan as null, and infinities as "inf" and "-inf".')


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:30]} exceeds the largest floating-point number, {sys.float_info.max:g}.")
    return value


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"The JSON has the name {reprlib.repr(twice)} twice in one object.")
    return entries


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
