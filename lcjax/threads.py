"""Threads that inherit the caller's JAX settings."""

import contextlib
import importlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import jax

__all__ = ["ThreadPool", "cores", "import_ahead", "in_threads", "refuse_forked_process"]

ANSWER = 20.0  # seconds within which JAX adds two numbers

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")

# Settings that a `with` block changes for the current thread only.
_SETTINGS = (
    ("jax_enable_x64", jax.enable_x64),
    ("jax_default_matmul_precision", jax.default_matmul_precision),
    ("jax_default_device", jax.default_device),
    ("jax_default_prng_impl", jax.default_prng_impl),
    ("jax_disable_jit", jax.disable_jit),
    ("jax_debug_nans", jax.debug_nans),
    ("jax_debug_infs", jax.debug_infs),
    ("jax_numpy_rank_promotion", jax.numpy_rank_promotion),
    ("jax_numpy_dtype_promotion", jax.numpy_dtype_promotion),
    ("jax_log_compiles", jax.log_compiles),
    ("jax_transfer_guard", jax.transfer_guard),
)


class ThreadPool(ThreadPoolExecutor):
    """`ThreadPoolExecutor` whose calls run under the JAX settings of the thread that submits them.

    JAX keeps `jax.enable_x64`, `jax.default_device` and similar settings per thread, and a new thread starts with the
    process-wide defaults.

    Examples:
        >>> import jax.numpy as jnp
        >>> with jax.enable_x64(True), ThreadPool(1) as pool:
        ...     print(pool.submit(jnp.ones, 2).result().dtype)
        float64
    """

    def submit(self, function: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> Future[R]:
        """Schedule a call under the submitting thread's JAX settings."""
        settings = [(context, getattr(jax.config, name)) for name, context in _SETTINGS]

        def call() -> R:
            with contextlib.ExitStack() as stack:
                for context, value in settings:
                    stack.enter_context(context(value))
                return function(*arguments, **named)

        return super().submit(call)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the calls; after an error, discard pending calls, and do not wait for running ones."""
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def cores() -> int:
    """Return the number of processors that this process may use.

    Examples:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_ahead(*modules: str) -> None:
    """Import modules in a background thread, while the calling thread waits for XLA.

    Import errors are ignored here; they are raised where the module is used.

    Args:
        modules: full names of the modules.

    Examples:
        >>> import_ahead("colorsys")
    """

    def load() -> None:
        with contextlib.suppress(ImportError):
            for module in modules:
                importlib.import_module(module)

    threading.Thread(target=load).start()


def in_threads(function: Callable[[Item], R], items: Iterable[Item], count: int) -> list[R]:
    """Apply a function to every item, `count` at a time, and return the results in the order of the items.

    On a CPU device, computations started by one thread run sequentially, and those of several threads concurrently.

    The function must not factorize batches of matrices on a CPU (`jnp.linalg`, `jax.scipy.linalg`): XLA distributes
    large batches over the threads of its own pool and waits for them inside that pool, so that the computations of two
    threads can wait for each other forever. Compile such functions in several threads, with
    `lcjax.kernels.compilation.compile_ahead`, and run them in one thread.

    Args:
        function: called with every item, under the caller's JAX settings.
        items: the items.
        count: largest number of concurrent calls.

    Returns:
        The results, in the order of the items.

    Examples:
        >>> in_threads(lambda x: x + 1, [1, 2, 3], 2)
        [2, 3, 4]
    """
    with ThreadPool(count) as pool:
        return list(pool.map(function, items))


_forked = threading.Event()  # set in a child of a process that had imported this module
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked.set)


def refuse_forked_process() -> None:
    """Raise RuntimeError in a forked child in which JAX does not respond, because its parent had used JAX.

    The threads of XLA do not survive `os.fork`: computations of such a child wait for them forever.

    Raises:
        RuntimeError: JAX does not respond.

    Examples:
        >>> refuse_forked_process()
    """
    if not _forked.is_set():
        return
    answered = threading.Event()

    def compute() -> None:
        jax.block_until_ready(jax.numpy.ones(1) + 1)
        answered.set()

    threading.Thread(target=compute, daemon=True).start()
    if not answered.wait(ANSWER):
        raise RuntimeError(
            "JAX does not respond in this process, which was forked after its parent had used JAX. Start processes "
            'with multiprocessing.get_context("spawn"), or fork before the first computation.'
        )
    _forked.clear()
