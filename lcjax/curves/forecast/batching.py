"""Functions of one curve, applied to batches of curves without a new program for each number of curves."""

import contextlib
import contextvars
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import numpy as np

from lcjax.threads import cores, in_threads

__all__ = ["bucket_length", "is_traced", "map_curves", "observe_curves"]

R = TypeVar("R")

# Number of curves computed together on an accelerator.
_TOGETHER = 64
_observer: contextvars.ContextVar[Callable[[int, int], None] | None] = contextvars.ContextVar("_observer", default=None)


def bucket_length(count: int, *, least: int) -> int:
    """Return the smallest `least * 4^i` that is at least `count`, so that few lengths are compiled.

    Examples:
        >>> bucket_length(5, least=8), bucket_length(33, least=8)
        (8, 128)
    """
    length = least
    while length < count:
        length *= 4
    return length


def is_traced(*values: object) -> bool:
    """Return True if an array of the pytrees is being traced by JAX.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> is_traced(jnp.ones(2)), bool(jax.jit(lambda x: jnp.asarray(is_traced(x)))(1.0))
        (False, True)
    """
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


@contextlib.contextmanager
def observe_curves(observe: Callable[[int, int], None] | None) -> Iterator[None]:
    """Call a function after each curve that `map_curves` computes in the `with` block, on a CPU.

    Args:
        observe: function of the number of curves that are done, and of all; None for none.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> with observe_curves(lambda done, total: print(done, total)):
        ...     map_curves(jax.jit(jnp.sum), (1,), np.arange(3.0)[None]).tolist()
        1 1
        [3.0]
    """
    token = _observer.set(observe)
    try:
        yield
    finally:
        _observer.reset(token)


def map_curves(function: Callable[..., R], batch: tuple[int, ...], *arguments: object, traced: bool = False) -> R:
    """Apply a compiled function of one curve to every curve of a batch, and stack the results.

    On a CPU the curves are computed one by one in as many threads as there are cores, so that one program serves all
    batches, and the results are NumPy arrays. Inside other transformations and on accelerators the function is mapped
    by `jax.lax.map`.

    Args:
        function: jitted function of arrays without batch axes.
        batch: shape of the batch.
        arguments: pytrees of arrays whose first axes are `batch`.
        traced: True if anything else that the function uses is traced.

    Raises:
        ValueError: the batch is empty.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> map_curves(jax.jit(jnp.sum), (2,), np.arange(6.0).reshape(2, 3)).tolist()
        [3.0, 12.0]
    """
    count = int(np.prod(batch, dtype=int))
    if not count:
        raise ValueError(f"The batch of shape {batch} has no curve.")
    traced = traced or is_traced(*arguments)
    if traced and not batch:
        return function(*arguments)
    if traced or jax.default_backend() != "cpu":
        flat = jax.tree.map(lambda a: a.reshape(count, *a.shape[len(batch) :]), arguments)
        result = jax.lax.map(lambda row: function(*row), flat, batch_size=None if traced else min(_TOGETHER, count))
        mapped: R = jax.tree.map(lambda a: a.reshape((*batch, *a.shape[1:])), result)
        return mapped

    observe, lock, ended = _observer.get(), threading.Lock(), itertools.count(1)

    def one(index: tuple[int, ...]) -> R:
        own = jax.tree.map(lambda a: np.asarray(np.asarray(a)[index]), arguments)
        row: R = jax.tree.map(np.asarray, function(*own))
        if observe is not None:
            with lock:
                observe(next(ended), count)
        return row

    places = list(np.ndindex(*batch))
    rows = [one(places[0]), *in_threads(one, places[1:], cores())]
    stacked: R = jax.tree.map(lambda *leaves: np.stack(leaves).reshape((*batch, *leaves[0].shape)), *rows)
    return stacked
