"""`jax.jit` that keeps signatures for type checkers, and variants that compile small problems quickly."""

import functools
import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeVar, cast, overload

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["compile_ahead", "is_hashable", "is_tracing", "jit", "jit_by_size", "jit_lean", "namespace", "repeat"]

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
# The same with the newer emitter: small matrix products and what surrounds them run at full speed and compile in half
# the time.
_BRIEF: Options = {"xla_backend_optimization_level": 1}


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
        program: function decorated with `jit`, `jit_by_size` or `jit_lean`.
        arguments: its arguments, or their shapes (`jax.ShapeDtypeStruct`).
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
def _options(name: Literal["quick", "lean", "brief"]) -> Options:
    # Tests compile everything without optimization.
    unoptimized = jax.config.values.get("jax_disable_most_optimizations") and name != "quick"
    return {} if unoptimized else _known_options({"quick": _QUICK, "lean": _LEAN, "brief": _BRIEF}[name])


def jit_by_size(
    *,
    static_argnames: Names = (),
    donate_argnames: Names = (),
    most: int = SMALL,
    counted: Names = (),
    optimize: Literal["quick", "lean", "brief"] = "quick",
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator like `jit` that optimizes machine code less, or not at all, for small arguments on CPU.

    Small problems run for milliseconds but compile for tens of seconds. Inside other transformations, for large
    arguments and on accelerators this is `jax.jit`. Results agree up to rounding. The function must be pure and defined
    at module level or as a method.

    Args:
        static_argnames: names of static arguments, as in `jax.jit`.
        donate_argnames: names of donated arguments, as in `jax.jit`.
        most: largest total size of small arguments.
        counted: names of the arguments whose sizes count, those that are not static by default.
        optimize: "quick" for no optimization, "lean" for that of `jit_lean`, "brief" for less optimization with the
            default kernels, which suits small matrix products.

    Examples:
        >>> import jax.numpy as jnp
        >>> @jit_by_size()
        ... def double(x: jax.Array) -> jax.Array:
        ...     return 2 * x
        >>> float(double(jnp.array(1.5))), double(jnp.ones(2**16)).shape, float(jax.grad(double)(1.0))
        (3.0, (65536,), 2.0)
    """
    return functools.partial(_jit_in_context, static_argnames, donate_argnames, optimize, most, counted)


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
    return functools.partial(_jit_in_context, static_argnames, (), "lean", None, ())


def _jit_in_context(
    static: Names,
    donate: Names,
    optimize: Literal["quick", "lean", "brief"],
    most: int | None,
    counted: Names,
    function: Callable[P, R],
) -> Callable[P, R]:
    """Compile with fewer optimizations on CPU for concrete arguments of at most `most` numbers in total.

    Without `most` the size does not matter.
    """
    plain = _jit(static, donate, None, function)
    signature = inspect.signature(function)
    names = (counted,) if isinstance(counted, str) else tuple(counted)

    @functools.cache
    def special() -> Callable[P, R]:
        return _jit(static, donate, _options(optimize), function)

    def size(*arguments: P.args, **named: P.kwargs) -> int:
        bound = signature.bind(*arguments, **named).arguments if names else {}
        leaves = jax.tree.leaves([bound.get(name) for name in names] if names else (arguments, named))
        return sum(getattr(leaf, "size", 1) for leaf in leaves)

    def select(*arguments: P.args, **named: P.kwargs) -> Callable[P, R]:
        if jax.default_backend() != "cpu" or is_tracing(jax.tree.leaves((arguments, named))):
            return plain
        return special() if most is None or size(*arguments, **named) <= most else plain

    @functools.wraps(function)
    def in_context(*arguments: P.args, **named: P.kwargs) -> R:
        return select(*arguments, **named)(*arguments, **named)

    def lower(*arguments: P.args, **named: P.kwargs) -> Any:
        return cast(Any, select(*arguments, **named)).lower(*arguments, **named)

    in_context.lower = lower  # type: ignore[attr-defined]
    return in_context


def is_hashable(*functions: object) -> bool:
    """Return True if all functions can be static arguments of a compiled one.

    Examples:
        >>> is_hashable(max, len), is_hashable({})
        (True, False)
    """
    try:
        return bool([hash(function) for function in functions])
    except TypeError:
        return False


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
