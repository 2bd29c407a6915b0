"""Memory that the training of a network takes, compared with what there is."""

import jax
import jax.numpy as jnp

from lcjax.memory import device_memory
from lcjax.threads import cores
from lcjax.training.program import Program
from lcjax.typing import ArrayTree

__all__ = ["check_memory"]


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


def _size(tree: ArrayTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
