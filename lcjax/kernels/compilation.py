"""`jax.jit` that keeps signatures for type checkers, and variants that compile small problems quickly."""

import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, cast, overload

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["compile_ahead", "is_tracing", "jit", "jit_by_size", "jit_lean", "namespace", "repeat"]

P = ParamSpec("P")
R = TypeVar("R")
State = TypeVar("State")
Names = str | Sequence[str]
Options = dict[str, bool | int | str]

SMALL = 2**15  # largest total size of the arguments for which optimization is skipped
# No optimization of machine code, and the older emitter of CPU kernels, which generates less code.
_QUICK: Options = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
# Less optimization: loops over small arrays run as fast as with full optimization and compile in a third of the time.
_LEAN: Options = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}


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


def _known_options(options: Options) -> Options:
    """Return those of the options that this version of XLA knows."""
    trials = [options, *({name: value} for name, value in options.items())]
    known: Options = {}
    for trial in trials:
        try:
            jax.jit(lambda: 0, compiler_options=trial).lower().compile()
        except (ValueError, RuntimeError):
            continue
        known |= trial
        if known == options:
            break
    return known


@functools.cache
def _quick_options() -> Options:
    return _known_options(_QUICK)


@functools.cache
def _lean_options() -> Options:
    # Tests compile everything without optimization.
    return {} if jax.config.values.get("jax_disable_most_optimizations") else _known_options(_LEAN)


def jit_by_size(
    *, static_argnames: Names = (), donate_argnames: Names = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like `jit` that skips the optimization of machine code for small arguments on CPU.

    Small problems run for milliseconds but compile for tens of seconds. Inside other transformations, for large
    arguments and on accelerators this is `jax.jit`. Results agree up to rounding. The options are those of `jax.jit`;
    the function must be pure and defined at module level or as a method.

    Examples:
        >>> import jax.numpy as jnp
        >>> @jit_by_size()
        ... def double(x: jax.Array) -> jax.Array:
        ...     return 2 * x
        >>> float(double(jnp.array(1.5))), double(jnp.ones(2**16)).shape, float(jax.grad(double)(1.0))
        (3.0, (65536,), 2.0)
    """
    return functools.partial(_jit_in_context, static_argnames, donate_argnames, lambda: _quick_options(), SMALL)


def jit_lean(*, static_argnames: Names = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like `jit` that optimizes machine code less on CPU.

    It is meant for functions that are called once per process and loop over arrays of a few thousand numbers: they run
    as fast as when fully optimized, and compile in a third of the time. Inside other transformations and on
    accelerators this is `jax.jit`. Results agree up to rounding.

    Args:
        static_argnames: names of static arguments, as in `jax.jit`.

    Examples:
        >>> @jit_lean()
        ... def double(x: jax.Array) -> jax.Array:
        ...     return 2 * x
        >>> float(double(1.5)), float(jax.grad(double)(1.0))
        (3.0, 2.0)
    """
    return functools.partial(_jit_in_context, static_argnames, (), lambda: _lean_options(), None)


def _jit_in_context(
    static: Names, donate: Names, options: Callable[[], Options], most: int | None, function: Callable[P, R]
) -> Callable[P, R]:
    """Compile with `options` on CPU for concrete arguments of at most `most` numbers in total, else without them.

    Without `most` the size does not matter.
    """
    plain = _jit(static, donate, None, function)

    @functools.cache
    def special() -> Callable[P, R]:
        return _jit(static, donate, options(), function)

    @functools.wraps(function)
    def in_context(*arguments: P.args, **named: P.kwargs) -> R:
        leaves = jax.tree.leaves((arguments, named))
        few = most is None or sum(getattr(leaf, "size", 1) for leaf in leaves) <= most
        program = special() if few and jax.default_backend() == "cpu" and not is_tracing(leaves) else plain
        return program(*arguments, **named)

    return in_context


def is_tracing(leaves: Sequence[object]) -> bool:
    """Return True if an argument is traced by JAX, or if the caller itself is being traced, with constant arguments.

    Examples:
        >>> is_tracing([1.0]), bool(jax.jit(lambda x: jnp.asarray(is_tracing([1.0])))(1.0))
        (False, True)
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return True
    return isinstance(jax.device_put(np.zeros((), np.int32)), jax.core.Tracer)


def namespace(*arrays: object) -> ModuleType:
    """Return `jax.numpy` if an array is one of JAX's, else `numpy`, for functions that serve both.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> namespace(1.0, np.ones(2)).__name__, namespace(jnp.ones(2)).__name__
        ('numpy', 'jax.numpy')
    """
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def repeat(
    count: int, body: Callable[[State], State], state: State, *, settled: Callable[[State, State], bool] | None = None
) -> State:
    """Apply a function of a state `count` times: to JAX arrays by `jax.lax.fori_loop`, to others by Python.

    Args:
        count: number of times.
        body: returns the next state.
        state: a pytree of arrays.
        settled: return True if two successive states agree well enough for Python to stop early; JAX does not.

    Examples:
        >>> import numpy as np
        >>> repeat(3, lambda state: (2 * state[0],), (np.ones(()),))
        (np.float64(8.0),)
    """
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state)):
        looped: State = jax.lax.fori_loop(0, count, lambda _, state: body(state), state)
        return looped
    for _ in range(count):
        before, state = state, body(state)
        if settled is not None and settled(before, state):
            break
    return state
