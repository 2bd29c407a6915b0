"""Shapes of targets: one for each row of outputs."""

from jaxtyping import Num

from lcjax.typing import Array

__all__ = ["check_targets"]


def check_targets(name: str, outputs: Num[Array, "..."], targets: Num[Array, "..."]) -> None:
    """Raise ValueError unless there is one target for each row of outputs; broadcasting would pair them all.

    Examples:
        >>> import jax.numpy as jnp
        >>> check_targets("margins", jnp.zeros((3, 2)), jnp.zeros((3, 1)))
        Traceback (most recent call last):
        ValueError: margins needs targets of shape (3,) for outputs of shape (3, 2), got (3, 1): use targets[..., 0].
    """
    if targets.shape != outputs.shape[:-1]:
        is_column = targets.shape == (*outputs.shape[:-1], 1)
        is_one_hot = targets.shape == outputs.shape
        remedy = ": use targets[..., 0]" if is_column else ": use targets.argmax(-1)" if is_one_hot else ""
        raise ValueError(
            f"{name} needs targets of shape {outputs.shape[:-1]} for outputs of shape {outputs.shape}, "
            f"got {targets.shape}{remedy}."
        )
