"""Traced programs stored on disk as StableHLO, so that a later process neither traces nor lowers them again.

JAX's persistent cache stores machine code under a hash of the program, which is known only after the function has been
traced and lowered. Where that takes longer than the computation, `jit_stored` stores the program itself: the module of
`jax.export`, under a key of everything that it depends on. Nothing is stored unless `store_programs` is called.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import sys
import threading
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.files import atomic_path
from lcjax.kernels.compilation import is_tracing, jit_lean
from lcjax.typing import PathLike

__all__ = ["jit_stored", "store_programs"]

P = ParamSpec("P")
R = TypeVar("R")
Names = str | Sequence[str]
Program = Callable[[dict[str, Any]], Any]  # a function of the arguments that are not static, by name

PACKAGE = Path(__file__).parents[1]
MOST = 32  # programs kept in a folder, the newest ones
_MARK = b"lcjax program 1\n"


class _UnidentifiableError(Exception):
    """An argument has no name that is the same in every process."""


@dataclasses.dataclass
class _Store:
    """Folder of stored programs, None to store none, and the programs that this process has opened."""

    folder: Path | None = None
    opened: dict[str, Program | None] = dataclasses.field(default_factory=dict)
    lock: "threading.RLock" = dataclasses.field(default_factory=threading.RLock)  # a program may call another


_STORE = _Store()


def store_programs(folder: PathLike | None) -> None:
    """Store the programs of `jit_stored` in a folder from now on, or nowhere if it is None.

    The folder need not exist, and it may be read-only: what cannot be read or written is compiled as usual.

    Examples:
        >>> store_programs(None)
    """
    with _STORE.lock:
        _STORE.folder = None if folder is None else Path(folder)
        _STORE.opened.clear()


def jit_stored(*, static_argnames: Names = (), result: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like `jit_lean` for functions that take long to trace: their programs can be stored.

    A program is stored if `store_programs` named a folder, on CPU, and if all static arguments can be identified: plain
    values, NumPy arrays, records of lcjax and functions at the top level of its modules. Otherwise, and inside other
    transformations, the function is compiled as usual; a user's own function may depend on anything.

    Args:
        static_argnames: names of static arguments, as in `jax.jit`.
        result: structure of the result: a record class of arrays, a tuple of structures, or None for an array.

    Examples:
        >>> @jit_stored(static_argnames="power", result=None)
        ... def total(x: jax.Array, *, power: int) -> jax.Array:
        ...     return jnp.sum(x**power)
        >>> float(total(jnp.arange(3.0), power=2)), float(jax.grad(lambda x: total(x, power=2))(jnp.ones(1))[0])
        (5.0, 2.0)
    """
    static = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        compiled = jit_lean(static_argnames=static)(function)

        @functools.wraps(function)
        def call(*arguments: P.args, **named: P.kwargs) -> R:
            if _STORE.folder is None or not _is_concrete((arguments, named)):
                return compiled(*arguments, **named)
            bound = signature.bind(*arguments, **named)
            bound.apply_defaults()
            varying = {name: value for name, value in bound.arguments.items() if name not in static}
            fixed = {name: value for name, value in bound.arguments.items() if name in static}
            program = _find(function, result, varying, fixed)
            if program is None:
                return compiled(*arguments, **named)
            value: R = program(varying)
            return value

        return call

    return decorate


def _is_concrete(arguments: object) -> bool:
    """Return True if no argument is traced and all are on the CPU, the only device, and nothing is being debugged."""
    leaves = jax.tree.leaves(arguments)
    if jax.default_backend() != "cpu" or is_tracing(leaves):
        return False
    platforms = {device.platform for leaf in leaves if isinstance(leaf, jax.Array) for device in leaf.devices()}
    debugging = ("jax_disable_jit", "jax_debug_nans", "jax_debug_infs")
    return platforms <= {"cpu"} and not any(getattr(jax.config, name) for name in debugging)


def _find(
    function: Callable[..., object], result: object, varying: dict[str, Any], fixed: dict[str, Any]
) -> Program | None:
    """Return the program for some arguments: opened before, from the folder, or exported and then stored."""
    try:
        key = _key(function, varying, fixed)
    except (_UnidentifiableError, OSError, importlib.metadata.PackageNotFoundError):
        return None
    with _STORE.lock:
        if key not in _STORE.opened and _STORE.folder is not None:
            path = _STORE.folder / f"{function.__name__.strip('_')}-{key}.stablehlo"
            program = _open(function.__name__, path, result, varying)
            _STORE.opened[key] = program or _export(function, path, result, varying, fixed)
        return _STORE.opened.get(key)


def _export(
    function: Callable[..., object], path: Path, result: object, varying: dict[str, Any], fixed: dict[str, Any]
) -> Program | None:
    """Trace and lower a program, and store it if the disk allows; None if it has no form that can be stored."""
    leaves, structure = jax.tree.flatten(varying)

    def flat(*leaves: object) -> list[Any]:
        value = function(**jax.tree.unflatten(structure, leaves), **fixed)
        if jax.tree.structure(value) != _structure(result):
            raise TypeError(f"{function.__name__} returns {jax.tree.structure(value)}, not {_structure(result)}.")
        return jax.tree.leaves(value)

    try:
        exported = jax.export.export(jax.jit(flat, keep_unused=True))(*leaves)
    except (ValueError, NotImplementedError):  # as for effects, and calls of libraries without a stable interface
        return None
    head = [[list(map(int, aval.shape)), str(aval.dtype)] for aval in exported.out_avals]
    payload = json.dumps(head).encode() + b"\n" + exported.mlir_module_serialized
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(_MARK + hashlib.sha256(payload).digest() + payload)
        for old in sorted(path.parent.glob("*.stablehlo"), key=os.path.getmtime)[:-MOST]:
            old.unlink(missing_ok=True)
    except OSError:
        pass  # a full or read-only disk, or another process that removes old programs
    return _open_bytes(function.__name__, payload, result, varying)


def _open(name: str, path: Path, result: object, varying: dict[str, Any]) -> Program | None:
    """Read a stored program; None if there is none or its file is incomplete or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = len(_MARK) + hashlib.sha256().digest_size
    payload = content[size:]
    if content[:size] != _MARK + hashlib.sha256(payload).digest():
        return None
    return _open_bytes(name, payload, result, varying)


def _open_bytes(name: str, payload: bytes, result: object, varying: dict[str, Any]) -> Program:
    """Return the program in a file without its mark and checksum.

    `jax.export.deserialize` needs the package flatbuffers, and only to describe arguments and results, which are known:
    they are those of a trivial program of the same signature, whose module is replaced.
    """
    head, _, module = payload.partition(b"\n")
    outputs = [(tuple(shape), dtype) for shape, dtype in json.loads(head)]

    def zeros(*leaves: object) -> list[jax.Array]:
        return [jnp.zeros(shape, dtype) for shape, dtype in outputs]

    # The platform is only a name, which JAX is told not to compare. Programs named for the CPU load LAPACK from SciPy
    # before they are called, whose import takes longer than everything else here.
    platform = "cpu" if b"lapack" in module else "tpu"
    checks = [jax.export.DisabledSafetyCheck.platform()]
    export = jax.export.export(jax.jit(zeros, keep_unused=True), platforms=[platform], disabled_checks=checks)
    trivial = export(*jax.tree.leaves(varying))
    exported = dataclasses.replace(trivial, mlir_module_serialized=module)
    structure = _structure(result)

    def program(varying: dict[str, Any]) -> object:
        return jax.tree.unflatten(structure, exported.call(*jax.tree.leaves(varying)))

    program.__name__ = name  # in profiles, and in the names of files in JAX's cache
    return jit_lean()(program)


def _structure(result: object) -> jax.tree_util.PyTreeDef:
    """Return the pytree structure that `result` describes."""

    def fill(part: object) -> object:
        if isinstance(part, type):
            return part(*[0] * len(dataclasses.fields(part)))
        return tuple(map(fill, part)) if isinstance(part, tuple) else 0

    return jax.tree.structure(fill(result))


def _key(function: Callable[..., object], varying: dict[str, Any], fixed: dict[str, Any]) -> str:
    """Return a hash of everything on which a program depends.

    Raises:
        _UnidentifiableError: a static argument, or lcjax itself, cannot be identified.
    """
    settings = {
        name: repr(getattr(jax.config, name, value)) for name, value in jax.config.values.items() if "cache" not in name
    }
    parts = {
        "function": _encode(function, static=True),
        "varying": {name: _encode(value, static=False) for name, value in varying.items()},
        "fixed": {name: _encode(value, static=True) for name, value in fixed.items()},
        "settings": settings,
        "flags": os.environ.get("XLA_FLAGS", ""),
        "sources": _hash_sources(PACKAGE),
        "versions": _versions(),
        "device": [jax.devices()[0].device_kind, jax.device_count()],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _encode(value: object, *, static: bool) -> object:
    """Describe an argument: a static one by its value, another one by shape, dtype and structure."""
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if isinstance(value, tuple | list):
        return [name, *(_encode(part, static=static) for part in value)]
    if value is None:
        return name
    if dataclasses.is_dataclass(kind) and kind.__module__.startswith("lcjax."):
        fields = dataclasses.fields(kind)
        return [name, *(_encode(getattr(value, f.name), static=static or _is_static(f)) for f in fields)]
    if not static:
        try:
            aval = jax.typeof(value)
        except TypeError:  # a pytree of the user
            raise _UnidentifiableError(name) from None
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
    raise _UnidentifiableError(name)


def _is_static(field: "dataclasses.Field[Any]") -> bool:
    return bool(field.metadata.get("static", False))


@functools.cache
def _hash_sources(folder: Path) -> str:
    """Return a hash of all Python files in a folder.

    Raises:
        _UnidentifiableError: there are none, as in an archive.
    """
    digest = hashlib.sha256()
    for path in (files := sorted(folder.rglob("*.py"))):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    if not files:
        raise _UnidentifiableError(str(folder))
    return digest.hexdigest()


@functools.cache
def _versions() -> list[str]:
    # Functions of NumPy and SciPy compute constants of the programs.
    return [sys.version, *(importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "scipy"))]
