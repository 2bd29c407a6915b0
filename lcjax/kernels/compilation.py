"""Small problems are compiled quickly rather than well: they take milliseconds, and the compiler tens of seconds."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

__all__ = ["jit_by_size"]

Function = TypeVar("Function", bound=Callable[..., Any])
# Numbers in all arguments from which a program is worth the compiler's time.
_SMALL = 2**15
# No optimization of machine code, and the older way to write kernels, which gives less of it.
_QUICKLY: dict[str, bool | int | str] = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


@functools.cache
def _options() -> dict[str, bool | int | str]:
    """Those of the options that this version of XLA has."""
    known = {}
    for name, value in _QUICKLY.items():
        try:
            jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
        except (ValueError, RuntimeError):
            continue
        known[name] = value
    return known


def jit_by_size(function: Function, *, static_argnames: str | Sequence[str] = ()) -> Function:
    """`jax.jit` that leaves out the machine code's optimization where the arguments are few numbers, on CPU.

    Inside other transformations, for large arguments and on accelerators it is `jax.jit`. Results agree to rounding.

    Args:
        function: a pure function, at module level or a method.
        static_argnames: as for `jax.jit`.

    Returns:
        The compiled function.

    Examples:
        >>> import jax.numpy as jnp
        >>> double = jit_by_size(lambda x: 2 * x)
        >>> float(double(jnp.array(1.5))), double(jnp.ones(2**16)).shape, float(jax.grad(double)(1.0))
        (3.0, (65536,), 2.0)
    """
    well = jax.jit(function, static_argnames=static_argnames)

    @functools.cache
    def quickly() -> Callable[..., Any]:
        return jax.jit(function, static_argnames=static_argnames, compiler_options=_options())

    @functools.wraps(function)
    def compiled(*arguments: Any, **named: Any) -> Any:
        leaves = jax.tree.leaves((arguments, named))
        few = sum(getattr(leaf, "size", 1) for leaf in leaves) <= _SMALL
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        if few and not traced and jax.default_backend() == "cpu":
            return quickly()(*arguments, **named)
        return well(*arguments, **named)

    return compiled  # type: ignore[return-value]
