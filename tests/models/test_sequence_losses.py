"""Losses and mistakes of sequences against enumeration and plain Python."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.models.sequence_losses import (
    character_mistakes,
    ctc,
    ctc_feasible,
    edit_distance,
    token_cross_entropy,
    token_mistakes,
    tokens_of,
)

FRAMES, CLASSES = 5, 3
LABELS = np.array([[1, -1, -1], [1, 2, -1], [1, 1, -1], [2, 2, 2], [1, 2, 1], [2, 1, -1]])
LENGTHS = np.array([5, 4, 3, 5, 3, 2])
LOGITS = 2 * np.random.default_rng(0).normal(size=(6, FRAMES, CLASSES))

run_ctc = jax.jit(lambda logits, length, targets: ctc({"logits": logits, "length": length}, targets))
run_distance = jax.jit(edit_distance)
run_mistakes = jax.jit(character_mistakes)
run_feasible = jax.jit(ctc_feasible)


def spelled(alignment):
    return [label for label, _ in itertools.groupby(alignment) if label]


def ctc_by_enumeration(logits, labels):
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = 0.0
    for alignment in itertools.product(range(CLASSES), repeat=len(logits)):
        if spelled(alignment) == list(labels):
            total += np.prod(probabilities[np.arange(len(logits)), alignment])
    return -np.log(total)


def test_ctc_matches_all_alignments():
    with jax.enable_x64(True):
        losses = run_ctc(LOGITS, LENGTHS, LABELS)
        assert losses.dtype == jnp.float64
    expected = [
        ctc_by_enumeration(logits[:n], labels[labels >= 0])
        for logits, n, labels in zip(LOGITS, LENGTHS, LABELS, strict=True)
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    single = run_ctc(np.float32(LOGITS), LENGTHS, LABELS)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5)


def test_gradient_of_ctc_matches_differences():
    with jax.enable_x64(True):
        gradient = np.asarray(jax.jit(jax.grad(lambda logits: run_ctc(logits, LENGTHS, LABELS).sum()))(LOGITS))
        for place in np.ndindex(*LOGITS.shape):
            step = np.zeros_like(LOGITS)
            step[place] = 1e-5
            up, down = (run_ctc(LOGITS + s * step, LENGTHS, LABELS).sum() for s in (1, -1))
            assert gradient[place] == pytest.approx(float(up - down) / 2e-5, abs=1e-9)
    assert (gradient[np.arange(FRAMES) >= LENGTHS[:, None]] == 0).all()


def test_padding_does_not_change_ctc():
    longer = np.pad(LOGITS, ((0, 0), (0, 4), (0, 0)), constant_values=9.0)
    targets = np.pad(LABELS, ((0, 0), (0, 3)), constant_values=-1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(run_ctc(longer, LENGTHS, targets), run_ctc(LOGITS, LENGTHS, LABELS), rtol=1e-12)


def test_too_few_frames_are_masked():
    lengths = np.array([1, 1, 2, 4, 2, 0])
    feasible = ctc_feasible(lengths, LABELS)
    assert feasible.tolist() == [True] + 5 * [False]
    assert ctc_feasible(np.array([1, 2, 3, 5, 3, 2]), LABELS).all()
    losses, gradient = jax.jit(jax.value_and_grad(lambda x: run_ctc(x, lengths, LABELS).sum()))(jnp.float32(LOGITS))
    assert float(losses) == float(run_ctc(np.float32(LOGITS), lengths, LABELS)[0]) > 0
    assert np.abs(gradient[0]).max() > 0
    assert (np.asarray(gradient)[1:] == 0).all()
    nothing = np.full((6, 3), -1)
    assert (run_ctc(np.float32(LOGITS), LENGTHS, nothing) == 0).all()
    assert (tokens_of(nothing) == 0).all()
    assert (character_mistakes({"logits": LOGITS, "length": LENGTHS}, nothing) == 0).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_feasible_is_what_an_alignment_exists_for(seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(1, CLASSES, generator.integers(0, 4))
    targets = np.full((1, 3), -1)
    targets[0, : len(labels)] = labels
    length = generator.integers(0, FRAMES + 1)
    exists = any(spelled(a) == list(labels) for a in itertools.product(range(CLASSES), repeat=int(length)))
    assert bool(run_feasible(np.array([length]), targets)[0]) == exists


def distance_by_hand(first, second):
    table = np.add.outer(np.arange(len(first) + 1), np.arange(len(second) + 1))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1, j + 1] = min(table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (a != b))
    return table[-1, -1]


SYMBOLS = st.lists(st.integers(-1, 3), min_size=7, max_size=7)


@given(first=st.lists(SYMBOLS, min_size=4, max_size=4), second=st.lists(SYMBOLS, min_size=4, max_size=4))
def test_edit_distance_matches_the_plain_table(first, second):
    references = np.array([sorted(row, key=lambda symbol: symbol < 0) for row in second])  # padding at the end
    expected = [
        distance_by_hand([a for a in one if a >= 0], [b for b in other if b >= 0])
        for one, other in zip(first, references.tolist(), strict=True)
    ]
    assert run_distance(np.array(first), references).tolist() == expected


@given(frames=st.lists(st.integers(0, 2), min_size=9, max_size=9), length=st.integers(0, 9))
def test_character_mistakes_of_greedy_decoding(frames, length):
    outputs = {"logits": np.eye(3)[np.array([frames])], "length": np.array([length])}
    for labels in ([1, 2, 2], [2], [1, 1]):
        targets = np.array([labels + [-1] * (3 - len(labels))])
        assert int(run_mistakes(outputs, targets)[0]) == distance_by_hand(spelled(frames[:length]), labels)
    decoded = {**outputs, "decoded": np.array([[1, 2, -1]])}
    assert int(run_mistakes(decoded, np.array([[1, 2, 2]]))[0]) == 1


def test_tokens_match_numpy():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4, 6, 5)) * 10
    targets = generator.integers(-1, 5, (4, 6))
    with jax.enable_x64(True):
        losses = token_cross_entropy(logits, targets)
        again = token_cross_entropy({"logits": logits, "decoded": targets}, targets)
        mistakes = token_mistakes(logits, targets)
    shown = targets >= 0
    each = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(losses, np.where(shown, each, 0).sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(again, losses)
    assert mistakes.tolist() == ((logits.argmax(axis=-1) != targets) & shown).sum(axis=1).tolist()
    assert mistakes.dtype == tokens_of(targets).dtype == jnp.int32
    assert tokens_of(targets).tolist() == shown.sum(axis=1).tolist()
    gradient = jax.jit(jax.grad(lambda x: token_cross_entropy(x, targets).sum()))(jnp.float32(logits))
    assert (np.asarray(gradient)[~shown] == 0).all()
