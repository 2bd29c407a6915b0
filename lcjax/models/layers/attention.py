"""Attention over the unpadded positions of a sequence."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lcjax.typing import Array

__all__ = ["attend", "hybrid_scores", "masked_softmax"]


def masked_softmax(scores: Float[Array, "*b s"], mask: Bool[Array, "*b s"]) -> Float[jax.Array, "*b s"]:
    """Compute the softmax over unmasked positions; masked positions have weight zero, even if all are masked.

    Examples:
        >>> import jax.numpy as jnp
        >>> masked_softmax(jnp.zeros((1, 3)), jnp.array([[True, True, False]]))
        Array([[0.5, 0.5, 0. ]], dtype=float32)
    """
    scores = jnp.where(mask, scores, jnp.finfo(jnp.asarray(scores).dtype).min)
    weights = jnp.where(mask, jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))), 0)
    return weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), jnp.finfo(weights.dtype).tiny)


def attend(weights: Float[Array, "b s"], values: Float[Array, "b s d"]) -> Float[jax.Array, "b d"]:
    """Average values with attention weights.

    Examples:
        >>> import jax.numpy as jnp
        >>> attend(jnp.array([[0.25, 0.75]]), jnp.array([[[0.0], [4.0]]]))
        Array([[3.]], dtype=float32)
    """
    return jnp.einsum("bs,bsd->bd", weights, values)


def hybrid_scores(
    weights: Mapping[str, Float[Array, "..."]],
    query: Float[Array, "b d"],
    keys: Float[Array, "b s a"],
    before: Float[Array, "b s"],
) -> Float[jax.Array, "b s"]:
    """Compute scores from content and location, given the weights of the previous step (Chorowski et al., 2015).

        score_s = v . tanh(W_q query + key_s + sum_j F_j before_{s+j})

    Args:
        weights: "query" `(d, a)`, "location" `(2 r + 1, a)`, the filter F over offsets -r to r, and "score" `(a,)`.
        query: decoder states.
        keys: encoder states, already multiplied by their weights.
        before: attention weights of the previous step.

    Examples:
        >>> import jax.numpy as jnp
        >>> weights = {"query": jnp.zeros((2, 1)), "location": jnp.ones((3, 1)), "score": jnp.ones(1)}
        >>> hybrid_scores(weights, jnp.zeros((1, 2)), jnp.zeros((1, 4, 1)), jnp.array([[1.0, 0.0, 0.0, 0.0]]))
        Array([[0.7615942, 0.7615942, 0.       , 0.       ]], dtype=float32)
    """
    taps = weights["location"].shape[0]
    padded, s = jnp.pad(before, ((0, 0), (taps // 2, taps // 2))), keys.shape[1]
    near = jnp.stack([padded[:, i : i + s] for i in range(taps)], axis=-1)
    return jnp.tanh((query @ weights["query"])[:, None] + keys + near @ weights["location"]) @ weights["score"]
