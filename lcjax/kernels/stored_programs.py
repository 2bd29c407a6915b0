"""Traced programs stored on disk as StableHLO, so that later processes neither trace nor lower them again.

JAX's persistent cache stores machine code under a hash of the program, which is known only after the function has been
traced and lowered. For functions whose tracing takes longer than their computation, `jit_stored` stores the program
itself, serialized by `jax.export`, under a key of everything that it depends on. Nothing is stored until
`store_programs` is called.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import jax

from lcjax.files import atomic_path
from lcjax.kernels.compilation import is_tracing, jit_lean
from lcjax.kernels.program_key import UnidentifiableError, program_key
from lcjax.typing import PathLike

__all__ = ["jit_stored", "remove_damaged_code", "store_programs"]

P = ParamSpec("P")
R = TypeVar("R")
Names = str | Sequence[str]
Program = Callable[[dict[str, Any]], Any]  # a function of the arguments that are not static, by name

MOST = 32  # largest number of programs in a folder; older ones are removed
_CHECKED = ".checked"  # file whose time is that of the last check of JAX's cache
_ZSTANDARD = b"\x28\xb5\x2f\xfd"  # first bytes
_DIGEST = hashlib.sha256().digest_size  # bytes of the checksum at the beginning of a file


@dataclasses.dataclass(frozen=True)
class _Store:
    """Folder of stored programs (None to store none), and the programs that this process has opened."""

    folder: Path | None = None
    opened: dict[str, Program | None] = dataclasses.field(default_factory=dict)
    locks: dict[str, Any] = dataclasses.field(default_factory=dict)  # one per program, to open several concurrently


_STORE = _Store()


def store_programs(folder: PathLike | None) -> None:
    """Store the programs of `jit_stored` in a folder from now on, or nowhere if it is None.

    The folder need not exist, and it may be read-only: a program that cannot be read or written is compiled as usual.

    Args:
        folder: folder of the stored programs. JAX runs what it finds there, so only trusted users may write to it.

    Examples:
        >>> store_programs(None)
    """
    global _STORE
    _STORE = _Store(None if folder is None else Path(folder))


def remove_damaged_code(folder: PathLike) -> None:
    """Remove what JAX cannot read from the folder of its persistent cache, so that it is compiled and stored again.

    JAX neither writes its files atomically nor replaces one that a full disk or a kill cut short: without this, every
    later process would warn and compile again. Files are checked once, by the checksum of their compression.

    Args:
        folder: folder of the cache; one that cannot be written is left alone.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "jit_f-cache").write_bytes(b"")
        ...     remove_damaged_code(folder)
        ...     list(Path(folder).glob("*-cache"))
        []
    """
    mark, now = Path(folder, _CHECKED), time.time()
    with contextlib.suppress(OSError):
        last = mark.stat().st_mtime if mark.exists() else 0.0
        for path in Path(folder).glob("*-cache"):
            if path.stat().st_mtime > last - 1 and not _is_whole(path.read_bytes()):
                path.unlink(missing_ok=True)
        with atomic_path(mark):
            pass  # the time at which the check began is what counts
        os.utime(mark, (now, now))


def _is_whole(content: bytes) -> bool:
    """Return True if compressed content can be decompressed, or is of a kind that cannot be checked here."""
    try:
        if not content.startswith(_ZSTANDARD):
            zlib.decompress(content)
        elif importlib.util.find_spec("zstandard"):
            importlib.import_module("zstandard").ZstdDecompressor().decompress(content)
    except Exception:  # of two libraries
        return False
    return True


def jit_stored(*, static_argnames: Names = (), result: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like `jit_lean` that can store the programs of functions that take long to trace.

    A program is stored if `store_programs` has set a folder, the device is a CPU, and all static arguments can be
    identified: plain values, NumPy arrays, records of lcjax, and functions at the top level of its modules. Functions
    of a user cannot be identified, because they may depend on anything. In all other cases, and inside other
    transformations, the function is compiled as by `jit_lean`.

    Args:
        static_argnames: names of static arguments, as in `jax.jit`.
        result: structure of the result: a record class of arrays, whose optional fields are not set, a tuple of
            structures, or None for an array. A call that stores a program raises TypeError if the
            function returns another structure.

    Examples:
        >>> import jax.numpy as jnp
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
    """Return True if nothing is traced, all arguments and the default backend are on CPU, and debugging is off."""
    leaves = jax.tree.leaves(arguments)
    if jax.default_backend() != "cpu" or is_tracing(leaves):
        return False
    platforms = {device.platform for leaf in leaves if isinstance(leaf, jax.Array) for device in leaf.devices()}
    debugging = ("jax_disable_jit", "jax_debug_nans", "jax_debug_infs")
    return platforms <= {"cpu"} and not any(getattr(jax.config, name) for name in debugging)


def _find(
    function: Callable[..., object], result: object, varying: dict[str, Any], fixed: dict[str, Any]
) -> Program | None:
    """Return the program for these arguments: already open, read from the folder, or exported and stored.

    None if it cannot be identified or exported.
    """
    try:
        key = program_key(function, varying, fixed)
    except UnidentifiableError:
        return None
    store = _STORE
    if store.folder is None:
        return None
    with store.locks.setdefault(key, threading.Lock()):
        if key not in store.opened:
            path = store.folder / f"{function.__name__.strip('_')}-{key}.stablehlo"
            exported = _read(path) or _export(function, path, result, varying, fixed)
            store.opened[key] = _jit(function.__name__, exported, result) if exported else None
        return store.opened[key]


def _read(path: Path) -> jax.export.Exported | None:
    """Return a stored program; None if it is absent, damaged, or not readable by this version of JAX."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST], content[_DIGEST:]
    if digest != hashlib.sha256(payload).digest():
        return None
    try:
        return jax.export.deserialize(bytearray(payload))
    except Exception:  # jax.export does not document its errors, and flatbuffers raises errors of several types
        return None


def _export(
    function: Callable[..., object], path: Path, result: object, varying: dict[str, Any], fixed: dict[str, Any]
) -> jax.export.Exported | None:
    """Trace and lower a program, and store it if the folder can be written; None if it cannot be serialized.

    Arguments and results are flattened to lists of arrays, so that `jax.export` need not know their containers.
    """
    leaves, structure = jax.tree.flatten(varying)

    def flat(*leaves: object) -> list[Any]:
        value = function(**jax.tree.unflatten(structure, leaves), **fixed)
        if jax.tree.structure(value) != _structure(result):
            raise TypeError(f"{function.__name__} returns {jax.tree.structure(value)}, not {_structure(result)}.")
        return jax.tree.leaves(value)

    try:
        exported = jax.export.export(jax.jit(flat, keep_unused=True))(*leaves)
        payload = exported.serialize()
    except (ValueError, NotImplementedError):  # such as effects, or custom calls without a stable interface
        return None
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
        for old in sorted(path.parent.glob("*.stablehlo"), key=os.path.getmtime)[:-MOST]:
            old.unlink(missing_ok=True)
    except OSError:
        pass  # a full or read-only disk, or another process that removes old programs
    return exported


def _jit(name: str, exported: jax.export.Exported, result: object) -> Program:
    """Return a function that calls an exported program; it is compiled at the first call."""
    structure = _structure(result)

    def program(varying: dict[str, Any]) -> object:
        return jax.tree.unflatten(structure, exported.call(*jax.tree.leaves(varying)))

    program.__name__ = name  # shown in profiles and in the file names of JAX's cache
    return jit_lean()(program)


def _structure(result: object) -> jax.tree_util.PyTreeDef:
    """Return the pytree structure that `result` describes."""

    def fill(part: object) -> object:
        if isinstance(part, type):
            required = [field for field in dataclasses.fields(part) if field.default is dataclasses.MISSING]
            return part(*[0] * len(required))
        return tuple(map(fill, part)) if isinstance(part, tuple) else 0

    return jax.tree.structure(fill(result))
