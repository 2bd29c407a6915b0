"""Seeded mutations of files: truncated, with flipped bits, spliced, with other lengths and foreign tokens."""

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["mutate"]

Mutation = Callable[[np.random.Generator, bytearray, Sequence[bytes]], bytearray]
_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**64 - 1)


def mutate(rng: np.random.Generator, raw: bytes, tokens: Sequence[bytes] = (), *, keep: int = 0) -> bytes:
    """Return a file with one or two random changes.

    Args:
        rng: source of all choices.
        raw: a valid file.
        tokens: texts that are inserted or written over others, such as numbers out of range.
        keep: bytes at the beginning that stay as they are.
    """
    content = bytearray(raw[keep:])
    for _ in range(rng.integers(1, 3)):
        content = _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, content, tokens)
    return bytes(raw[:keep]) + bytes(content)


def _place(rng: np.random.Generator, content: bytearray) -> int:
    """Return a position, half of the time among the first 64 bytes, where headers are."""
    return int(rng.integers(min(len(content), 64 if rng.random() < 0.5 else len(content)) + 1))


def _truncate(rng: np.random.Generator, content: bytearray, _: Sequence[bytes]) -> bytearray:
    return content[: int(rng.integers(len(content) + 1))]


def _flip_bits(rng: np.random.Generator, content: bytearray, _: Sequence[bytes]) -> bytearray:
    for _flip in range(rng.integers(1, 4) if content else 0):
        content[min(_place(rng, content), len(content) - 1)] ^= 1 << int(rng.integers(8))
    return content


def _splice(rng: np.random.Generator, content: bytearray, _: Sequence[bytes]) -> bytearray:
    """Copy a stretch to another place, or move it there."""
    start, target = _place(rng, content), _place(rng, content)
    stretch = content[start : start + int(rng.integers(1, 200))]
    if rng.random() < 0.5:
        del content[start : start + len(stretch)]
    return content[:target] + stretch + content[target:]


def _write_length(rng: np.random.Generator, content: bytearray, _: Sequence[bytes]) -> bytearray:
    """Write an extreme integer of 1, 2, 4 or 8 bytes in either order."""
    width = int(2 ** rng.integers(4))
    value = _LENGTHS[rng.integers(len(_LENGTHS))] % 256**width
    start = _place(rng, content)
    content[start : start + width] = value.to_bytes(width, "big" if rng.random() < 0.5 else "little")
    return content


def _write_token(rng: np.random.Generator, content: bytearray, tokens: Sequence[bytes]) -> bytearray:
    """Insert a token, or write it over what is there."""
    if not tokens:
        return _flip_bits(rng, content, tokens)
    token, start = tokens[int(rng.integers(len(tokens)))], _place(rng, content)
    content[start : start + (len(token) if rng.random() < 0.5 else 0)] = token
    return content


_MUTATIONS: tuple[Mutation, ...] = (_truncate, _flip_bits, _splice, _write_length, _write_token)
