"""Objectives and mistakes of sequence models, one number an example; padded targets are negative and never count."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int

from lcjax.models.losses import cross_entropy

__all__ = [
    "character_mistakes",
    "ctc",
    "ctc_feasible",
    "edit_distance",
    "token_cross_entropy",
    "token_mistakes",
    "tokens_of",
]

Array = jax.Array | np.ndarray
Outputs = Mapping[str, Any] | jax.Array | np.ndarray

BLANK = 0


def tokens_of(targets: Int[Array, "b t"]) -> Int[jax.Array, " b"]:
    """Targets of each example that are no padding: the units in which its loss and its mistakes are counted.

    Examples:
        >>> import jax.numpy as jnp
        >>> tokens_of(jnp.array([[4, 0, 2], [7, -1, -1]]))
        Array([3, 1], dtype=int32)
    """
    return jnp.sum(jnp.asarray(targets) >= 0, axis=-1, dtype=jnp.int32)


def token_cross_entropy(outputs: Outputs, targets: Int[Array, "b t"]) -> Float[jax.Array, " b"]:
    """Cross-entropy summed over the tokens of each example.

    Args:
        outputs: scores of each token, `(b, t, v)`, or a dictionary with them as "logits".
        targets: tokens, negative where padded.

    Returns:
        Losses in nats; divided by `tokens_of` and by log 2 they are bits per token.

    Examples:
        >>> import jax.numpy as jnp
        >>> token_cross_entropy(jnp.zeros((1, 3, 10)), jnp.array([[4, 2, -1]]))
        Array([4.6051702], dtype=float32)
    """
    each = cross_entropy(_logits(outputs), targets)
    return jnp.sum(jnp.where(jnp.asarray(targets) >= 0, each, 0), axis=-1)


def token_mistakes(outputs: Outputs, targets: Int[Array, "b t"]) -> Int[jax.Array, " b"]:
    """Tokens of each example that are not the likeliest one, given those before.

    Args:
        outputs: as of `token_cross_entropy`.
        targets: tokens, negative where padded.

    Examples:
        >>> import jax.numpy as jnp
        >>> token_mistakes(jnp.eye(3)[None], jnp.array([[0, 2, -1]]))
        Array([1], dtype=int32)
    """
    wrong = jnp.argmax(_logits(outputs), axis=-1) != jnp.asarray(targets)
    return jnp.sum(wrong & (jnp.asarray(targets) >= 0), axis=-1, dtype=jnp.int32)


def ctc_feasible(length: Int[Array, " b"], targets: Int[Array, "b l"]) -> Bool[jax.Array, " b"]:
    """Whether so many frames can spell the labels: one a label, one more between two equal ones.

    Args:
        length: frames that the loss sees, after subsampling.
        targets: labels, negative where padded.

    Examples:
        >>> import jax.numpy as jnp
        >>> ctc_feasible(jnp.array([3, 2, 2]), jnp.array([[1, 1], [1, 1], [1, 2]]))
        Array([ True, False,  True], dtype=bool)
    """
    targets = jnp.asarray(targets)
    repeats = jnp.sum((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] >= 0), axis=-1)
    return jnp.asarray(length) >= tokens_of(targets) + repeats


def ctc(outputs: Mapping[str, Any], targets: Int[Array, "b l"]) -> Float[jax.Array, " b"]:
    """Connectionist temporal classification (Graves et al., 2006): minus the log probability of the labels.

        loss = -log sum_a prod_t softmax(logits_t)[a_t]

    over all alignments a of the frames that give the labels when repeats and then blanks (class 0) are dropped. Where
    the frames are too few (`ctc_feasible`) no alignment exists; there, and where there are no labels, loss and gradient
    are zero. The targets still count as units: whoever makes the data leaves such utterances out, or masks all of their
    targets, and says how many.

    Args:
        outputs: "logits" `(b, f, v)` and "length" `(b,)`, the frames that count.
        targets: labels from 1 to v - 1, padding negative and at the end.

    Returns:
        Losses in nats.

    Examples:
        >>> import jax.numpy as jnp
        >>> outputs = {"logits": jnp.zeros((1, 2, 2)), "length": jnp.array([2])}
        >>> ctc(outputs, jnp.array([[1]]))  # three of four alignments: -log(3/4)
        Array([0.2876821], dtype=float32)
    """
    logits, length, targets = jnp.asarray(outputs["logits"]), jnp.asarray(outputs["length"]), jnp.asarray(targets)
    missing = (jnp.arange(logits.shape[1]) >= length[:, None]).astype(logits.dtype)
    unlabelled = (targets < 0).astype(logits.dtype)
    losses = optax.ctc_loss(logits, missing, jnp.maximum(targets, 0), unlabelled, blank_id=BLANK)
    return jnp.where(ctc_feasible(length, targets) & (tokens_of(targets) > 0), losses, 0)


def character_mistakes(outputs: Mapping[str, Any], targets: Int[Array, "b l"]) -> Int[jax.Array, " b"]:
    """Insertions, deletions and substitutions that turn what was decoded greedily into the labels.

    Decoded is "decoded" where a model gives it (`AttentionSpeech`; the end symbol counts as a label, in the targets
    too), else the likeliest class of each frame with repeats and then blanks dropped. Examples without labels have no
    mistakes. Divided by `tokens_of` this is the character error rate, which may exceed 1.

    Args:
        outputs: "decoded" `(b, t)`, negative after the end; or "logits" and "length" as of `ctc`.
        targets: labels, negative where padded.

    Examples:
        >>> import jax.numpy as jnp
        >>> frames = jnp.array([[1, 1, 0, 1, 2, 2]])  # spells 1, 1, 2
        >>> outputs = {"logits": jnp.eye(3)[frames], "length": jnp.array([6])}
        >>> character_mistakes(outputs, jnp.array([[1, 2, -1, -1]]))
        Array([1], dtype=int32)
    """
    decoded = outputs["decoded"] if "decoded" in outputs else _greedy(outputs)
    return jnp.where(tokens_of(targets) > 0, edit_distance(decoded, targets), 0)


def edit_distance(hypotheses: Int[Array, "b t"], references: Int[Array, "b l"]) -> Int[jax.Array, " b"]:
    """Levenshtein distance of two batches of sequences; negative entries are skipped, in references only at the end.

    Args:
        hypotheses: symbols; t steps of a loop.
        references: symbols, padded at the end.

    Examples:
        >>> import jax.numpy as jnp
        >>> edit_distance(jnp.array([[1, -1, 2, 3]]), jnp.array([[2, 3, 4, -1]]))
        Array([2], dtype=int32)
    """
    hypotheses, references = jnp.asarray(hypotheses), jnp.asarray(references)
    columns = jnp.arange(references.shape[1] + 1, dtype=jnp.int32)
    first = jnp.broadcast_to(columns, (len(references), len(columns)))

    def add(row: jax.Array, symbol: jax.Array) -> tuple[jax.Array, None]:
        replaced = row[:, :-1] + (symbol[:, None] != references)
        best = jnp.concatenate([row[:, :1] + 1, jnp.minimum(row[:, 1:] + 1, replaced)], axis=1)
        new = jax.lax.cummin(best - columns, axis=1) + columns  # the rest of the row by insertions
        return jnp.where(symbol[:, None] >= 0, new, row), None

    last, _ = jax.lax.scan(add, first, jnp.swapaxes(hypotheses, 0, 1))
    return jnp.sum(jnp.where(columns == tokens_of(references)[:, None], last, 0), axis=1, dtype=jnp.int32)


def _logits(outputs: Outputs) -> jax.Array:
    return jnp.asarray(outputs["logits"] if isinstance(outputs, Mapping) else outputs)


def _greedy(outputs: Mapping[str, Any]) -> jax.Array:
    """The likeliest class of each frame, -1 where it repeats the one before, is blank or beyond the length."""
    classes = jnp.argmax(outputs["logits"], axis=-1)
    repeated = jnp.concatenate([jnp.zeros((len(classes), 1), bool), classes[:, 1:] == classes[:, :-1]], axis=1)
    beyond = jnp.arange(classes.shape[1]) >= jnp.asarray(outputs["length"])[:, None]
    return jnp.where(repeated | beyond | (classes == BLANK), -1, classes)
