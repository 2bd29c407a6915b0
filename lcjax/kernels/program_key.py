"""Keys of programs: hashes of everything that the compiled program of a function depends on."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

__all__ = ["UnidentifiableError", "program_key"]

PACKAGE = Path(__file__).parents[1]


class UnidentifiableError(Exception):
    """An argument cannot be identified across processes, or the sources of lcjax cannot be read."""


def program_key(function: Callable[..., object], varying: dict[str, Any], fixed: dict[str, Any]) -> str:
    """Return a hash of everything that the compiled program of a function depends on, the same in every process.

    Args:
        function: function at the top level of a module of lcjax.
        varying: arguments by name that are arrays, or records, tuples and lists of arrays; only their shapes, dtypes
            and structure enter the key.
        fixed: static arguments by name; their values enter the key.

    Returns:
        32 hexadecimal digits.

    Raises:
        UnidentifiableError: the function, an argument, or lcjax itself cannot be identified.

    Examples:
        >>> values = ({"x": np.ones(2)}, {"x": np.zeros(2)}, {"x": np.ones(3)})
        >>> keys = [program_key(program_key, varying, {"power": 2}) for varying in values]
        >>> keys[0] == keys[1], keys[0] == keys[2]
        (True, False)
    """
    settings = {
        name: repr(getattr(jax.config, name, value)) for name, value in jax.config.values.items() if "cache" not in name
    }
    try:
        code = {"sources": _hash_sources(PACKAGE), "versions": _versions()}
    except (OSError, importlib.metadata.PackageNotFoundError) as error:
        raise UnidentifiableError(str(error)) from None
    parts = {
        "function": _encode(function, static=True),
        "varying": {name: _encode(value, static=False) for name, value in varying.items()},
        "fixed": {name: _encode(value, static=True) for name, value in fixed.items()},
        "settings": settings,
        "flags": os.environ.get("XLA_FLAGS", ""),
        "code": code,
        "device": [jax.devices()[0].device_kind, jax.device_count()],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _encode(value: object, *, static: bool) -> object:
    """Describe a static argument by its value, and any other by its shape, dtype and structure."""
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if isinstance(value, tuple | list):
        return [name, *(_encode(part, static=static) for part in value)]
    if value is None:
        return name
    if dataclasses.is_dataclass(kind) and kind.__module__.startswith("lcjax."):
        fields = [(getattr(value, f.name), static or f.metadata.get("static", False)) for f in dataclasses.fields(kind)]
        return [name, *(_encode(part, static=fixed) for part, fixed in fields)]
    if not static:
        try:
            aval = jax.typeof(value)
        except TypeError:  # a container defined by the user
            raise UnidentifiableError(name) from None
        return [list(aval.shape), str(aval.dtype), aval.weak_type]
    if isinstance(value, str | bool | int | float):
        return [name, repr(value)]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        array = np.asarray(value)
        return [name, list(array.shape), str(array.dtype), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, types.FunctionType) and value.__module__.startswith("lcjax."):
        home = vars(sys.modules[value.__module__]).get(value.__qualname__)
        if callable(home) and inspect.unwrap(home, stop=lambda layer: layer is value) is value:
            return [name, value.__module__, value.__qualname__]
    raise UnidentifiableError(name)


@functools.cache
def _hash_sources(folder: Path) -> str:
    """Return a hash of all Python files in a folder.

    Raises:
        UnidentifiableError: there are none, such as when lcjax is imported from an archive.
    """
    digest = hashlib.sha256()
    for path in (files := sorted(folder.rglob("*.py"))):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    if not files:
        raise UnidentifiableError(str(folder))
    return digest.hexdigest()


@functools.cache
def _versions() -> list[str]:
    # NumPy and SciPy compute constants that become part of the programs.
    return [sys.version, *(importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "scipy"))]
