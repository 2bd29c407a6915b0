"""`jax.jit` that keeps signatures for type checkers, and a variant that compiles small problems quickly."""

import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, cast, overload

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["compile_ahead", "jit", "jit_by_size", "namespace"]

P = ParamSpec("P")
R = TypeVar("R")
Names = str | Sequence[str]
Options = dict[str, bool | int | str]

SMALL = 2**15  # largest total size of the arguments for which optimization is skipped
# No optimization of machine code, and the older emitter of CPU kernels, which generates less of it.
_QUICK: Options = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


@overload
def jit(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def jit(*, static_argnames: Names = (), donate_argnames: Names = ()) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def jit(
    function: Callable[P, R] | None = None, /, *, static_argnames: Names = (), donate_argnames: Names = ()
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a pure function with `jax.jit`, keeping its signature for type checkers.

    The options are those of `jax.jit`; called with options only, return a decorator.

    Examples:
        >>> @jit(static_argnames="k")
        ... def power(x: float, *, k: int) -> jax.Array:
        ...     return x**k
        >>> float(power(3.0, k=2))
        9.0
    """
    decorate = functools.partial(_jit, static_argnames, donate_argnames, None)
    return decorate if function is None else decorate(function)


def _jit(static: Names, donate: Names, options: Options | None, function: Callable[P, R]) -> Callable[P, R]:
    program: Callable[P, R] = jax.jit(
        function, static_argnames=static or None, donate_argnames=donate or None, compiler_options=options
    )
    return program


def compile_ahead(program: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> None:
    """Trace and compile a function of `jit` for these arguments without running it; later calls reuse the program.

    Several functions can be compiled concurrently by threads and then run by one.

    Args:
        program: function decorated with `jit`.
        arguments: its arguments.
        named: its keyword arguments.

    Examples:
        >>> @jit
        ... def double(x: jax.Array) -> jax.Array:
        ...     print("traced")
        ...     return 2 * x
        >>> compile_ahead(double, jnp.ones(2))
        traced
        >>> double(jnp.ones(2)).tolist()
        [2.0, 2.0]
    """
    cast(Any, program).lower(*arguments, **named).compile()


@functools.cache
def _quick_options() -> Options:
    """Return the options among `_QUICK` that this version of XLA has."""
    known = {}
    for name, value in _QUICK.items():
        try:
            jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
        except (ValueError, RuntimeError):
            continue
        known[name] = value
    return known


def jit_by_size(
    *, static_argnames: Names = (), donate_argnames: Names = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like `jit` that skips the optimization of machine code for small arguments on CPU.

    Small problems run for milliseconds and compile for tens of seconds. Inside other transformations, for large
    arguments and on accelerators this is `jax.jit`. Results agree to rounding. The options are those of `jax.jit`, and
    the function is a pure one at module level or a method.

    Examples:
        >>> import jax.numpy as jnp
        >>> @jit_by_size()
        ... def double(x: jax.Array) -> jax.Array:
        ...     return 2 * x
        >>> float(double(jnp.array(1.5))), double(jnp.ones(2**16)).shape, float(jax.grad(double)(1.0))
        (3.0, (65536,), 2.0)
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        optimized = _jit(static_argnames, donate_argnames, None, function)

        @functools.cache
        def quick() -> Callable[P, R]:
            return _jit(static_argnames, donate_argnames, _quick_options(), function)

        @functools.wraps(function)
        def by_size(*arguments: P.args, **named: P.kwargs) -> R:
            leaves = jax.tree.leaves((arguments, named))
            few = sum(getattr(leaf, "size", 1) for leaf in leaves) <= SMALL
            traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
            program = quick() if few and not traced and jax.default_backend() == "cpu" else optimized
            return program(*arguments, **named)

        return by_size

    return decorate


def namespace(*arrays: object) -> ModuleType:
    """Return `jax.numpy` if an array is one of JAX's, else `numpy`, for functions that serve both.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> namespace(1.0, np.ones(2)).__name__, namespace(jnp.ones(2)).__name__
        ('numpy', 'jax.numpy')
    """
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np
