"""Records: frozen dataclasses that are JAX pytrees, and their JSON form."""

import dataclasses
import hashlib
import importlib
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

__all__ = ["canonical_hash", "from_dict", "record", "to_dict"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(jax.tree.static,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree.

    Fields are data (leaves or sub-trees) unless declared with `jax.tree.static()`. Records hold numbers and no
    validation, because JAX rebuilds them from placeholders; equality is identity, because arrays have none.

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
    cls.__no_type_check__ = True  # type: ignore[attr-defined]  # run-time type checks must leave the constructor alone
    return jax.tree_util.register_dataclass(cls)


def to_dict(value: Any) -> Any:
    """Plain Python form of a record, ready for `json.dumps`.

    Arrays become nested lists, nan becomes `None`, infinities become "inf" and "-inf"; functions and classes become
    "module:qualname"; other dataclasses (Flax modules among them) become their fields with a "type" entry.

    Args:
        value: a record, mapping, sequence, array, number, string, function, path or `None`.

    Raises:
        TypeError: `value` holds something that has no JSON form, a PRNG key for instance.

    Examples:
        >>> import numpy as np
        >>> to_dict({"error": np.array([0.5, np.nan])})
        {'error': [0.5, None]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray) or (
        isinstance(value, jax.Array) and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
    ):
        return to_dict(_as_python(np.asarray(value)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hidden = ("parent", "name") if _is_flax_module(value) else ()
        fields = {f.name: to_dict(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name not in hidden}
        return fields if _is_record(value) else {"type": _name_of(type(value)), **fields}
    if isinstance(value, Mapping):
        return {str(k): to_dict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_dict(v) for v in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return _name_of(value)
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")


def from_dict(cls: type[T], fields: Mapping[str, Any]) -> T:
    """Rebuild a record from `to_dict`'s form, by the types of its fields.

    Args:
        cls: a class made by `record`.
        fields: one entry per field; absent ones take their defaults.

    Returns:
        The record, with NumPy arrays.

    Raises:
        ValueError: `fields` has an entry that the record lacks.

    Examples:
        >>> import json, lcjax as lc
        >>> curve = lc.LearningCurve([10, 20], [0.5, float("nan")])
        >>> from_dict(lc.LearningCurve, json.loads(json.dumps(to_dict(curve)))).error
        array([0.5, nan])
    """
    hints = {f.name: f.type for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(fields) - set(hints))
    if unknown:
        raise ValueError(
            f"{cls.__name__} has no field {', '.join(unknown)}; its fields are {', '.join(sorted(hints))}."
        )
    return cls(**{name: _decode(hints[name], value) for name, value in fields.items()})


def canonical_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON form: the identity of a configuration.

    Functions and classes are known by their names, so that they must be at module level: two lambdas would be the same.

    Raises:
        ValueError: `value` holds a lambda, or a function or class defined inside a function.
        TypeError: `value` holds something that has no JSON form.

    Examples:
        >>> canonical_hash({"a": 1, "b": 2}) == canonical_hash({"b": 2, "a": 1})
        True
    """
    text = json.dumps(to_dict(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    local = re.search(r"[\w.]+:[^\"]*<(?:lambda|locals)>[^\"]*", text)
    if local:
        raise ValueError(f"{local[0]} is no lasting name: define it at module level.")
    return hashlib.sha256(text.encode()).hexdigest()


def _is_record(value: Any) -> bool:
    return getattr(type(value), "__no_type_check__", False) is True


def _is_flax_module(value: Any) -> bool:
    return any(base.__module__.startswith("flax.") for base in type(value).__mro__)


def _as_python(array: np.ndarray) -> Any:
    if array.dtype.kind not in "biufUS" and array.dtype.kind != "V":
        raise TypeError(f"An array of dtype {array.dtype} has no JSON form.")
    if array.dtype.kind == "V":  # bfloat16 and its kin
        array = array.astype(np.float32)
    return array.tolist()


def _name_of(function: Any) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _decode(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _decode(next(a for a in arguments if a is not type(None)), value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_dict(hint, value)
    if origin is dict:
        return {k: _decode(arguments[1], v) for k, v in value.items()}
    if origin is tuple:
        item = arguments[0]
        return tuple(_decode(item, v) for v in value)
    if hint in (int, float, str, bool, Any):
        return float(value) if hint is float else value
    if isinstance(value, str) and ":" in value:
        module, qualname = value.split(":")
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        return found
    return _decode_array(value)


def _decode_array(value: Any) -> np.ndarray:
    def number(item: Any) -> Any:
        if isinstance(item, list):
            return [number(i) for i in item]
        return math.nan if item is None else float(item) if isinstance(item, str) else item

    return np.asarray(number(value))
