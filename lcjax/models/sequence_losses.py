"""Losses and mistakes of sequence models, one number per example; padded targets are negative and do not count."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from lcjax.models.losses import cross_entropy
from lcjax.models.targets import check_targets
from lcjax.typing import Array

__all__ = [
    "character_mistakes",
    "ctc",
    "ctc_feasible",
    "edit_distance",
    "token_cross_entropy",
    "token_mistakes",
    "tokens_of",
]

Outputs = Mapping[str, Array] | Array

BLANK = 0


def tokens_of(targets: Int[Array, "b t"]) -> Int[jax.Array, " b"]:
    """Count the unpadded targets of each example, the units of its loss and its mistakes.

    Examples:
        >>> import jax.numpy as jnp
        >>> tokens_of(jnp.array([[4, 0, 2], [7, -1, -1]]))
        Array([3, 1], dtype=int32)
    """
    return jnp.sum(jnp.asarray(targets) >= 0, axis=-1, dtype=jnp.int32)


def token_cross_entropy(outputs: Outputs, targets: Int[Array, "b t"]) -> Float[jax.Array, " b"]:
    """Compute the cross-entropy summed over the tokens of each example, in nats.

    Divided by `tokens_of` and by log 2 it is in bits per token.

    Args:
        outputs: scores of each token, `(b, t, v)`, or a dictionary with the scores as "logits".
        targets: tokens, negative where padded; the loss of an example with a token of v or more is nan.

    Raises:
        ValueError: the targets do not have one entry for each row of scores.

    Examples:
        >>> import jax.numpy as jnp
        >>> token_cross_entropy(jnp.zeros((1, 3, 10)), jnp.array([[4, 2, -1]]))
        Array([4.6051702], dtype=float32)
    """
    logits, targets = _logits(outputs), jnp.asarray(targets)
    check_targets("token_cross_entropy", logits, targets)
    losses = cross_entropy(logits, jnp.maximum(targets, 0))
    return jnp.sum(jnp.where(targets >= 0, losses, 0), axis=-1)


def token_mistakes(outputs: Outputs, targets: Int[Array, "b t"]) -> Int[jax.Array, " b"]:
    """Count the tokens of each example that are not the most likely one, given the tokens before them.

    The arguments are those of `token_cross_entropy`.

    Examples:
        >>> import jax.numpy as jnp
        >>> token_mistakes(jnp.eye(3)[None], jnp.array([[0, 2, -1]]))
        Array([1], dtype=int32)
    """
    logits, targets = _logits(outputs), jnp.asarray(targets)
    check_targets("token_mistakes", logits, targets)
    wrong = jnp.argmax(logits, axis=-1) != targets
    return jnp.sum(wrong & (targets >= 0), axis=-1, dtype=jnp.int32)


def ctc_feasible(length: Int[Array, " b"], targets: Int[Array, "b l"]) -> Bool[jax.Array, " b"]:
    """Return True where the frames suffice for the labels: one for each label, one more between two equal labels.

    Args:
        length: frames that enter the loss, after subsampling.
        targets: labels, negative where padded.

    Examples:
        >>> import jax.numpy as jnp
        >>> ctc_feasible(jnp.array([3, 2, 2]), jnp.array([[1, 1], [1, 1], [1, 2]]))
        Array([ True, False,  True], dtype=bool)
    """
    targets = jnp.asarray(targets)
    repeats = jnp.sum((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] >= 0), axis=-1)
    return jnp.asarray(length) >= tokens_of(targets) + repeats


def ctc(outputs: Mapping[str, Array], targets: Int[Array, "b l"]) -> Float[jax.Array, " b"]:
    """Compute the loss of connectionist temporal classification (Graves et al., 2006), in nats.

        loss = -log sum_a prod_t softmax(logits_t)[a_t]

    over all alignments a of the frames that give the labels when repeats and then blanks (class 0) are removed. With
    too few frames (`ctc_feasible`) there is no alignment; in this case, and without labels, loss and gradient are zero.
    The targets still count as units: exclude such utterances from the data, or mask all of their targets, and report
    their number.

    Args:
        outputs: "logits" `(b, f, v)` and "length" `(b,)`, the number of valid frames.
        targets: labels from 1 to v - 1, negative where padded, at the end; the loss of other labels is nan.

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
    known = jnp.all((targets < logits.shape[-1]) & (targets != BLANK), axis=-1)
    losses = jnp.where(ctc_feasible(length, targets) & (tokens_of(targets) > 0), losses, 0)
    return jnp.where(known, losses, jnp.nan)


def character_mistakes(outputs: Mapping[str, Array], targets: Int[Array, "b l"]) -> Int[jax.Array, " b"]:
    """Count the insertions, deletions and substitutions between the greedily decoded labels and the targets.

    The decoded labels are "decoded" if the model returns it (`AttentionSpeech`; the end symbol counts as a label, also
    in the targets), otherwise the most likely class of each frame with repeats and then blanks removed. Examples with
    no labels have no mistakes. Divided by `tokens_of` this is the character error rate, which may exceed 1.

    Args:
        outputs: "decoded" `(b, t)`, negative after the end; or "logits" and "length" as for `ctc`.
        targets: labels, negative where padded.

    Examples:
        >>> import jax.numpy as jnp
        >>> frames = jnp.array([[1, 1, 0, 1, 2, 2]])  # spells 1, 1, 2
        >>> outputs = {"logits": jnp.eye(3)[frames], "length": jnp.array([6])}
        >>> character_mistakes(outputs, jnp.array([[1, 2, -1, -1]]))
        Array([1], dtype=int32)
    """
    decoded = outputs["decoded"] if "decoded" in outputs else _decode_greedily(outputs)
    return jnp.where(tokens_of(targets) > 0, edit_distance(decoded, targets), 0)


def edit_distance(hypotheses: Int[Array, "b t"], references: Int[Array, "b l"]) -> Int[jax.Array, " b"]:
    """Compute the Levenshtein distances of two batches of sequences; negative entries are padding.

    Args:
        hypotheses: symbols, padded anywhere; the loop has t steps.
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
        substituted = row[:, :-1] + (symbol[:, None] != references)
        best = jnp.concatenate([row[:, :1] + 1, jnp.minimum(row[:, 1:] + 1, substituted)], axis=1)
        new = jax.lax.cummin(best - columns, axis=1) + columns  # the rest of the row by insertions
        return jnp.where(symbol[:, None] >= 0, new, row), None

    last, _ = jax.lax.scan(add, first, jnp.swapaxes(hypotheses, 0, 1))
    return jnp.sum(jnp.where(columns == tokens_of(references)[:, None], last, 0), axis=1, dtype=jnp.int32)


def _logits(outputs: Outputs) -> Float[jax.Array, "b t v"]:
    return jnp.asarray(outputs["logits"] if isinstance(outputs, Mapping) else outputs)


def _decode_greedily(outputs: Mapping[str, Array]) -> Int[jax.Array, "b f"]:
    """Return the most likely class of each frame, -1 if it repeats the previous one, is blank or beyond the length."""
    classes = jnp.argmax(outputs["logits"], axis=-1)
    repeated = jnp.concatenate([jnp.zeros((len(classes), 1), bool), classes[:, 1:] == classes[:, :-1]], axis=1)
    beyond = jnp.arange(classes.shape[1]) >= jnp.asarray(outputs["length"])[:, None]
    return jnp.where(repeated | beyond | (classes == BLANK), -1, classes)
