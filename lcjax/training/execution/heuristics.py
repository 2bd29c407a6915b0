"""Rules that choose an execution from a model's parameters, the budgets of its runs and the devices."""

import heapq
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.tree_util import KeyEntry

from lcjax.memory import device_memory
from lcjax.threads import cores
from lcjax.training.concurrency import Execution
from lcjax.training.program import Program
from lcjax.typing import ArrayTree

__all__ = ["check_memory", "choose_execution", "plausible_executions", "rounds_of"]

WIDEST = 64
WIDEST_ON_CPU = 16  # slots of each thread
CACHE_BYTES = 3 * 2**18  # parameters of a vectorized step that, with the rest, still fit a processor's own cache
LARGE_KERNEL = 50_000  # weights of a convolution from which XLA's own is faster on CPU: Caffe's quick net, not LeNet
MOST_THREADS = 16  # each has its own activations
RECURRENT = "recurrent_kernel"  # name of the weights of a time step in `lcjax.models.layers.recurrent`


def choose_execution(params: ArrayTree, budgets: Sequence[int], devices: int = 1) -> Execution:
    """Choose the execution of runs with these budgets by rule, without measuring.

    On CPU convolutional and recurrent networks train in turn, one per processor, with XLA's own convolutions where
    kernels are large. Other networks are vectorized on each processor, as many as fit its cache, in the width that
    leaves the fewest slots idle. Accelerators always vectorize. The width is that of each device.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
        devices: devices that share the runs, over all processes.
    """
    convolutions = _convolution_sizes(params)
    if jax.default_backend() == "cpu" and (convolutions or _has_recurrence(params)):
        threads = _threads(budgets, devices)
        return Execution("map", threads, threads, plain=max(convolutions, default=0) >= LARGE_KERNEL)
    return _vectorize(params, budgets, devices)


def check_memory(program: Program, params: ArrayTree, runs: int) -> None:
    """Refuse a program whose parameters, gradients and optimizer states exceed the memory of the device.

    Args:
        program: the program.
        params: its parameters, or their shapes.
        runs: number of its runs; at most one per processor is counted, because the others can wait.

    Raises:
        ValueError: there is too little memory; the message gives both amounts.
    """
    state = jax.eval_shape(lambda tree: program.optimizer(jnp.asarray(0.1)).init(tree), params)
    concurrent = min(runs, cores() if jax.default_backend() == "cpu" else 1)
    needed = concurrent * (2 * _size(params) + _size(state))
    if needed > (available := device_memory()):
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        raise ValueError(
            f"Training {type(program.model).__name__} with {count:,} parameters needs {needed / 1e9:.3g} GB for the "
            f"parameters, gradients and optimizer states (concurrent runs: {concurrent}), but {available / 1e9:.3g} GB "
            "are available. Use a smaller width."
        )


def plausible_executions(params: ArrayTree, budgets: Sequence[int]) -> tuple[Execution, ...]:
    """Return the executions on one device worth timing, that of `choose_execution` for these arguments first.

    * Convolutional networks on CPU: in turn or two concurrently per processor, as one program or a program of one step,
      and, where the convolutions are small, as banded products or as XLA's own.
    * Recurrent networks without convolutions on CPU: in turn or vectorized.
    * Other networks on CPU: as many slots per processor as the rule says, half and twice as many.
    * Accelerators: as wide as the rule says and half as wide, with both kinds of convolutions.
    """
    rule = choose_execution(params, budgets)
    width, threads = rule.width, rule.threads
    convolutional = bool(_convolution_sizes(params))
    others: list[Execution] = []
    if jax.default_backend() != "cpu":
        kinds = (False, True) if convolutional else (False,)
        others = [Execution("vmap", max(1, width // share), plain=plain) for share in (1, 2) for plain in kinds]
    elif convolutional:
        others = [Execution("step", width, plain=True)]
        if not rule.plain:
            others.append(Execution("map", width, threads, plain=True))
            if 2 * width <= len(budgets):
                others.append(Execution("vmap", 2 * width, threads))
    elif _has_recurrence(params):
        others = [_vectorize(params, budgets)] if len(budgets) > width else []
    else:
        each, most = width // threads, -(-len(budgets) // threads)
        others = [Execution("vmap", n * threads, threads) for n in (each // 2, 2 * each) if 1 <= n <= most]
    return tuple(dict.fromkeys([rule, *others]))


def rounds_of(budgets: Sequence[int], slots: int) -> int:
    """Return the steps of the busiest slot when runs, longest first, take the next free slot.

    Examples:
        >>> rounds_of([100, 10, 10], 2)
        100
    """
    ends = [0] * slots
    for budget in sorted(budgets, reverse=True):
        heapq.heapreplace(ends, ends[0] + budget)
    return max(ends)


def _vectorize(params: ArrayTree, budgets: Sequence[int], devices: int = 1) -> Execution:
    """Return the best width of one vectorized step per processor or accelerator."""
    widest, threads = min(-(-len(budgets) // devices), WIDEST), 1
    if jax.default_backend() == "cpu":
        threads = _threads(budgets, devices)
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
        widest = min(-(-widest // threads), WIDEST_ON_CPU, max(4, CACHE_BYTES // size))

    def work(width: int) -> int:
        return rounds_of(budgets, width * threads * devices) * (width + 4)  # a step has a cost independent of its width

    return Execution("vmap", threads * min(range(1, widest + 1), key=work), threads)


def _threads(budgets: Sequence[int], devices: int) -> int:
    return min(-(-len(budgets) // devices), cores(), MOST_THREADS) if devices == 1 else 1


def _convolution_sizes(params: ArrayTree) -> list[int]:
    """Return the number of weights of each convolution."""
    leaves = jax.tree.leaves_with_path(params)
    return [leaf.size for path, leaf in leaves if leaf.ndim > 2 and not _is_recurrent(path)]


def _has_recurrence(params: ArrayTree) -> bool:
    return any(_is_recurrent(path) for path, _ in jax.tree.leaves_with_path(params))


def _is_recurrent(path: Sequence[KeyEntry]) -> bool:
    return bool(path) and getattr(path[-1], "key", None) == RECURRENT


def _size(tree: ArrayTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
