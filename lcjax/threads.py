"""Calls side by side in threads, with the settings of JAX that the caller is within."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax

__all__ = ["cores", "in_threads"]

Item = TypeVar("Item")
Found = TypeVar("Found")


def cores() -> int:
    """Processors that this process may use.

    Examples:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[Item], Found], items: Iterable[Item], count: int) -> list[Found]:
    """`function` of every item, in the order of the items; `count` at once.

    Computations that one thread starts on a CPU device wait for each other, those of several threads do not.

    Examples:
        >>> in_threads(lambda x: x + 1, [1, 2, 3], 2)
        [2, 3, 4]
    """
    double: bool = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    precision: str | None = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    device: jax.Device | str | None = jax.config.jax_default_device  # type: ignore[attr-defined]

    def call(item: Item) -> Found:
        with jax.enable_x64(double), jax.default_matmul_precision(precision), jax.default_device(device):
            return function(item)  # a thread begins with none of them

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(call, items))
