"""Decoding of JSON values by the declared types of the fields of records."""

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jaxtyping import AbstractArray

from lcjax.identities import find, name_of

__all__ = ["decode"]

T = TypeVar("T")

_WORDS = {"bool": "true or false", "int": "an integer below 2^63", "float": 'null, a number, "inf" or "-inf"'}
_DTYPES = {"bool": np.bool_, "int": np.int64, "float": np.float64}
_NOT_FINITE = {None: math.nan, "inf": math.inf, "-inf": -math.inf}
_DEEPEST = 32  # axes of an array


def decode(hint: Any, value: object, place: str) -> Any:
    """Return a value of a declared type from its form in JSON.

    Args:
        hint: the type, such as `float`, `tuple[str, ...]`, `Float[Array, " n"]` or the class of a record.
        value: entry of parsed JSON.
        place: name of the entry for messages, such as "LearningCurve.error".

    Raises:
        ValueError: the value is not of this type.

    Examples:
        >>> decode(float, None, "level"), decode(dict[str, int], {"a": 1}, "counts")
        (nan, {'a': 1})
        >>> decode(int, True, "count")
        Traceback (most recent call last):
        ValueError: count must be an integer below 2^63, got True.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return value
    if origin in (types.UnionType, typing.Union):
        return _decode_union(arguments, value, place)
    if origin is typing.Literal:
        for one in arguments:
            if type(value) is type(one) and value == one:  # 1 == True
                return one
        _refuse(place, f"one of {', '.join(map(repr, arguments))}", value)
    if origin is dict:
        entries = _take(Mapping, "a mapping", value, place)
        return {key: decode(arguments[1], one, f"{place}.{_shorten(key)}") for key, one in entries.items()}
    if origin is tuple:
        parts = _take(list | tuple, "a list", value, place)
        kinds = arguments[:1] * len(parts) if arguments[1:] == (...,) else arguments
        if len(kinds) != len(parts):
            _refuse(place, f"a list of length {len(kinds)}", value)
        return tuple(
            decode(kind, part, f"{place}[{i}]") for i, (kind, part) in enumerate(zip(kinds, parts, strict=True))
        )
    if hint in (bool, int, float):
        return _decode_scalar({hint.__name__}, value, place)
    if hint is str:
        return _take(str, "a string", value, place)
    if isinstance(hint, type) and issubclass(hint, AbstractArray | np.ndarray | np.generic | jax.Array):
        return _decode_array(hint, value, place)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, place)
    return _decode_named(hint, value, place)


def _decode_union(kinds: Collection[Any], value: object, place: str) -> Any:
    """Return None where it is allowed, else the value as the first type of the union that takes it."""
    if value is None and type(None) in kinds:
        return None
    *first, last = (kind for kind in kinds if kind is not type(None))
    for kind in first:
        try:
            return decode(kind, value, place)
        except ValueError:
            continue
    return decode(last, value, place)


def _decode_dataclass(cls: type[Any], value: object, place: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    listed = f"its fields are {', '.join(sorted(fields))}"
    entries = dict(_take(Mapping, f"a mapping ({listed})", value, place))
    for name in getattr(cls, "json_only", ()):
        entries.pop(name, None)
    if adapt := getattr(cls, "fields_from_json", None):
        try:
            entries = adapt(entries)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{place} is not a {cls.__name__} in JSON: {error}.") from None
    is_record = getattr(cls, "__no_type_check__", False) is True  # others are written with their "type"
    if not is_record and "type" in entries and (kind := entries.pop("type")) != name_of(cls):
        _refuse(f"{place}.type", repr(name_of(cls)), kind)
    if unknown := [_shorten(name).strip("'") for name in entries if name not in fields]:
        raise ValueError(f"{place} has no field {', '.join(unknown)}; {listed}.")
    required = [
        name for name, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    if missing := [name for name in required if name not in entries]:
        raise ValueError(f"{place} lacks the field {', '.join(missing)}; {listed}.")
    values = {name: decode(fields[name].type, one, f"{place}.{name}") for name, one in entries.items()}
    try:
        return cls(**values)
    except Exception as error:  # of a class that checks its values
        raise ValueError(f"{place}: {error}") from None


def _decode_array(hint: type[Any], value: object, place: str) -> np.ndarray:
    """Return an array of the declared kind, with at least the axes that the type names, because `vmap` adds axes."""
    names = getattr(hint, "dtypes", None)
    known = isinstance(names, tuple | list)  # not so for `Shaped` and plain arrays, which take any kind
    kinds = {kind for kind in _WORDS if not known or any(name.startswith(kind) for name in names or ())}

    def read(one: object, depth: int) -> object:
        if not isinstance(one, list | tuple):
            return _decode_scalar(kinds, one, place, ", or lists of them")
        if depth == _DEEPEST:
            raise ValueError(f"{place} must be nested at most {_DEEPEST} deep.")
        return [read(part, depth + 1) for part in one]

    nested = read(value, 0)
    (only,) = kinds if len(kinds) == 1 else (None,)
    try:
        array = np.array(nested, None if only is None else _DTYPES[only])
    except ValueError:
        raise ValueError(f"{place} must be nested lists of equal lengths, got {_shorten(value)}.") from None
    least = sum(not axis.startswith(("*", "...")) for axis in getattr(hint, "dim_str", "").split())
    if array.ndim < least:
        raise ValueError(f"{place} must have {least} axes or more, got shape {array.shape}.")
    return array


def _decode_scalar(kinds: Collection[str], value: object, place: str, more: str = "") -> bool | int | float:
    if isinstance(value, bool):
        if "bool" in kinds:
            return value
    elif isinstance(value, int) and abs(value) < 2**63:
        if "int" in kinds:
            return value
        if "float" in kinds:
            return float(value)
    elif "float" in kinds:
        if isinstance(value, float):
            return value
        if value is None or (isinstance(value, str) and value in _NOT_FINITE):
            return _NOT_FINITE[value]
    words = [_WORDS[kind] for kind in _WORDS if kind in kinds and not (kind == "int" and "float" in kinds)]
    return _refuse(place, (" or ".join(words) + more) if words else "left out: it has no JSON form", value)


def _decode_named(hint: Any, value: object, place: str) -> Any:
    """Return the function or class that a string names; a class as the type admits its instances only."""
    if hint is object and value is None:
        return None
    name = _take(str, "the name of a function or class", value, place)
    try:
        named = find(name)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    if isinstance(hint, type) and not getattr(hint, "_is_protocol", False) and not isinstance(named, hint):
        _refuse(place, f"the name of a {hint.__name__}", value)
    return named


def _take(kind: Any, words: str, value: object, place: str) -> Any:
    """Return the value if it is of this kind."""
    if not isinstance(value, kind):
        _refuse(place, words, value)
    return value


def _refuse(place: str, allowed: str, value: object) -> NoReturn:
    raise ValueError(f"{place} must be {allowed}, got {_shorten(value)}.")


def _shorten(value: object) -> str:
    return reprlib.repr(value)
