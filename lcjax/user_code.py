"""Hash of a user's function or class: its source, and everything of the user's that it refers to.

A value is described by nested lists that are equal in every process: functions and classes of the user by their source,
default arguments, closures, base classes and the globals that they name, at any depth; constants by value; what belongs
to Python, lcjax or an installed package by its name, because versions are compared separately.
"""

import argparse
import contextlib
import contextvars
import copyreg
import dataclasses
import functools
import hashlib
import inspect
import json
import os
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

__all__ = ["hash_user_code", "hash_value"]

_INSTALLED = {"site-packages", "dist-packages"}
_OWN = tuple(f"{path}/" for path in (Path(__file__).parent, sysconfig.get_path("stdlib")))
_LIBRARIES = {"flax", "jax", "jaxlib", "numpy", "optax", "orbax"}  # also where their sources lie elsewhere
_FLAX = ("parent", "name")  # fields of every Flax module, set by Flax


def hash_user_code(value: Callable[..., object]) -> str:
    """Return a SHA-256 over the source of a function or class and of everything of the user's that it refers to.

    This covers helper functions, modules of the user, default arguments, closures, decorators, base classes, class
    attributes and constants (numbers, strings, arrays and nestings of them). It does not see what is looked up only
    while the code runs: attributes of objects of other packages, files, `import` within a function, `getattr` by a
    computed name, and changes of a file since it was imported. Installed packages enter by name and version.

    Raises:
        OSError: the source is not available.
        TypeError: `value` has no source, such as a function written in C.

    Examples:
        >>> import textwrap
        >>> hash_user_code(textwrap.dedent) == hash_user_code(textwrap.dedent) != hash_user_code(textwrap.indent)
        True
    """
    source = inspect.getsource(value)
    return hashlib.sha256(json.dumps([source, _Description().describe(value)], sort_keys=True).encode()).hexdigest()


def hash_value(value: object) -> str:
    """Return a SHA-256 over any value: of functions and classes as `hash_user_code`, of objects with their members.

    Examples:
        >>> hash_value({"rate": 0.1}) == hash_value({"rate": 0.1}) != hash_value({"rate": 0.2})
        True
    """
    return hashlib.sha256(json.dumps(_Description().describe(value), sort_keys=True).encode()).hexdigest()


class _Description:
    """Descriptions of values; one that occurs again is described by its number, so that cycles end."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[int, object]] = {}  # number and value, which must not be collected meanwhile

    def describe(self, value: object) -> object:
        """Describe any value."""
        kind = _name(type(value))
        if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.dtype):
            return [kind, repr(value)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if id(value) in self._values:
            return ["above", self._values[id(value)][0]]
        self._values[id(value)] = len(self._values), value
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if hasattr(value, "__array__"):
            return [kind, *_array(value)]
        try:
            parts = [*self._parts(value)]
        except Exception:  # such as of an object that computes its attributes
            parts = []
        return [kind, *map(self.describe, parts)]

    def _parts(self, value: object) -> Iterator[object]:
        """Return what determines a value that is neither plain, a function, a class nor an array."""
        if isinstance(value, Mapping) and value is not os.environ:
            yield from ((repr(key), value[key]) for key in sorted(filter(_is_plain, value), key=repr))
        elif isinstance(value, set | frozenset):
            yield sorted(repr(item) for item in value if _is_plain(item))
        elif isinstance(value, list | tuple):
            yield from value
        elif isinstance(value, functools.partial):
            yield from (value.func, value.args, value.keywords)
        elif isinstance(value, property):
            yield from (value.fget, value.fset)
        elif isinstance(value, functools.cached_property):
            yield value.func
        elif isinstance(value, staticmethod | classmethod | types.MethodType):
            yield from (value.__func__, getattr(value, "__self__", None))
        elif dataclasses.is_dataclass(value):
            yield type(value)
            yield from (getattr(value, f.name, None) for f in dataclasses.fields(value) if f.name not in _FLAX)
        elif callable(value) or _is_user_class(type(value)):
            wrapped = getattr(value, "__wrapped__", None)  # such as by jax.jit, whose other members are its own
            members = {
                name: member
                for name, member in {**getattr(value, "__dict__", {}), **_slots(value)}.items()
                if not name.startswith("__") and (wrapped is None or isinstance(member, types.FunctionType))
            }
            yield from (type(value), getattr(value, "__name__", ""), wrapped, members)
        elif isinstance(value, contextvars.ContextVar):
            with contextlib.suppress(LookupError):
                yield value.get()
        else:  # an object of Python or a package, such as a deque or a fraction: what a copy is made from
            reducer = copyreg.dispatch_table.get(type(value))
            reduced = reducer(value) if reducer else value.__reduce_ex__(4)
            yield from [reduced] if isinstance(reduced, str) else reduced[:3]
            for items in [] if isinstance(reduced, str) else reduced[3:5]:
                yield [*(items or ())]

    def _function(self, value: types.FunctionType) -> object:
        """Describe a function by its source and what it refers to, and one of a package by name and closure."""
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        closure = [self.describe(content) for content in cells]
        if not _is_user_code(value.__code__, value.__module__):
            return ["function", _name(value), closure]
        defaults = [self.describe(value.__defaults__), self.describe(value.__kwdefaults__)]
        names = sorted(set(_names_in(value.__code__)))
        used = [[name, self._global(value.__globals__[name], names, ())] for name in names if name in value.__globals__]
        return ["function", value.__qualname__, _source(value.__code__), defaults, closure, used]

    def _global(self, value: object, names: list[str], outer: tuple[str, ...]) -> object:
        """Describe a global; a module of the user, or a namespace, by the attributes whose names the code mentions."""
        if isinstance(value, types.ModuleType):
            if not _is_user_module(value) or value.__name__ in outer:
                return self.describe(value)
            outer = (*outer, value.__name__)
        elif not isinstance(value, argparse.Namespace | types.SimpleNamespace):
            return self.describe(value)
        attributes = [name for name in names if name in vars(value)]
        return [[name, self._global(vars(value)[name], names, outer)] for name in attributes]

    def _class(self, value: type) -> object:
        if not _is_user_class(value):
            return ["class", _name(value)]
        members = {name: member for name, member in vars(value).items() if _is_own(name, member)}
        factories = [
            field.default_factory
            for field in (dataclasses.fields(value) if dataclasses.is_dataclass(value) else ())
            if field.default_factory is not dataclasses.MISSING
        ]
        try:
            source = inspect.getsource(value)
        except (OSError, TypeError):
            source = ""
        described = [[name, self.describe(member)] for name, member in sorted(members.items())]
        return ["class", value.__qualname__, source, [*map(self.describe, (*value.__bases__, *factories))], described]


def _name(value: type | types.FunctionType) -> str:
    """Return a name that stays when a file is moved; of other packages with their version."""
    package = (value.__module__ or "").partition(".")[0]
    module = sys.modules.get(value.__module__)
    if module is None or _is_user_module(module):
        return value.__qualname__
    version = "" if package in _LIBRARIES else getattr(sys.modules.get(package), "__version__", "")
    return f"{package}:{value.__qualname__} {version if package != 'lcjax' else ''}".rstrip()


def _slots(value: object) -> dict[str, object]:
    """Return the members of an object that its classes keep in `__slots__`."""
    names: list[str] = []
    for kind in type(value).__mro__:
        own = vars(kind).get("__slots__", ())
        names += [own] if isinstance(own, str) else own
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _is_plain(value: object) -> bool:
    """Return True for values whose text is the same in every process."""
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | complex | str | bytes)


def _array(value: object) -> tuple[object, ...]:
    """Describe an array; one without numbers, such as of random keys, by its text."""
    try:
        array = np.asarray(value)
        if array.dtype.hasobject:
            return str(array.dtype), array.shape
        return str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    except Exception:  # JAX raises errors of several types, for keys and traced values
        return (str(value.dtype), str(value.shape), str(value))  # type: ignore[attr-defined]


def _is_user_code(code: types.CodeType, module: str | None) -> bool:
    """Return True for code outside of Python, lcjax and installed packages, and not generated."""
    path = code.co_filename
    if path.startswith(("<frozen", *_OWN)) or (module or "").partition(".")[0] in _LIBRARIES:
        return False
    return not _INSTALLED.intersection(Path(path).parts)


def _is_user_module(module: types.ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if path is None:
        return module.__name__ == "__main__"
    library = module.__name__.partition(".")[0] in _LIBRARIES
    return not (library or path.startswith(_OWN) or _INSTALLED.intersection(Path(path).parts))


def _is_user_class(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return module is not None and _is_user_module(module)


def _is_own(name: str, member: object) -> bool:
    """Return True for members that the user has written: Python and Flax add some, such as a data class's methods."""
    function = inspect.unwrap(member) if callable(member) and not isinstance(member, type) else member
    if isinstance(function, types.FunctionType):
        return _is_user_code(function.__code__, function.__module__) and function.__code__.co_filename != "<string>"
    return not name.startswith("__")


def _is_filled(cell: types.CellType) -> bool:
    with contextlib.suppress(ValueError):
        return cell.cell_contents is not None
    return False


def _names_in(code: types.CodeType) -> Iterator[str]:
    """Return the names of globals and attributes in a function and the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)


def _source(code: types.CodeType) -> str:
    """Return the source of a function, or its instructions where the source is not available."""
    try:
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        constants = [constant for constant in code.co_consts if not isinstance(constant, types.CodeType)]
        return f"{code.co_code.hex()} {constants}"
