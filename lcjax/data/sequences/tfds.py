"""Text and parallel text from TensorFlow Datasets (LM1B, WMT), read without TensorFlow."""

from collections.abc import Sequence

import numpy as np

from lcjax.data.readers.tfds import open_tfds
from lcjax.data.sequences.parallel_text import Pairs
from lcjax.data.sequences.text import cut_lines
from lcjax.files import reading

__all__ = ["decode_text", "limit_rows", "read_tfds_parallel", "read_tfds_text"]

BATCH = 1000  # examples per read


def read_tfds_text(
    name: str, *, most: int | None = None, validation_fraction: float = 0.05, test_fraction: float = 0.05
) -> dict[str, Sequence[str]]:
    """Read a TFDS set with a feature "text", one sentence per example ("lm1b").

    Args:
        name: see `lcjax.data.readers.tfds.read_tfds`.
        most: largest number of examples per split, the first ones; all by default. LM1B has 30 million.
        validation_fraction: share of the training sentences for validation if the set has no such split: the last.
        test_fraction: share of the training sentences for testing if the set has no such split.

    Raises:
        ValueError: see `read_tfds`; or a text is not UTF-8.
        ConnectionError: the set is not on disk and its server does not answer.

    Examples:
        >>> read_tfds_text("no_such_set_anywhere")
        Traceback (most recent call last):
        ValueError: The TFDS set 'no_such_set_anywhere' does not exist, and there is no such folder.
    """
    splits = {split: columns["text"] for split, columns in _read_columns(name, ("text",), most).items()}
    return cut_lines(splits, validation_fraction, test_fraction)


def read_tfds_parallel(
    name: str, *, source: str = "de", target: str = "en", most: int | None = None
) -> dict[str, Pairs]:
    """Read a TFDS set of translations ("wmt16_translate/de-en", whose validation split is newstest2015).

    Args:
        name: see `lcjax.data.readers.tfds.read_tfds`.
        source: feature to translate.
        target: feature with the translation.
        most: see `read_tfds_text`.

    Raises:
        ValueError: see `read_tfds`; or a text is not UTF-8.
        ConnectionError: the set is not on disk and its server does not answer.
    """
    columns = _read_columns(name, (source, target), most)
    return {split: Pairs(texts[source], texts[target]) for split, texts in columns.items()}


def decode_text(value: bytes | str | np.generic | np.ndarray, place: str) -> str:
    """Return a stored text as one line; raise ValueError beginning with `place` if it is not UTF-8."""
    try:
        return " ".join((value.decode("utf-8") if isinstance(value, bytes) else str(value)).split())
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 ({error.reason} at byte {error.start}).") from None


def limit_rows(available: int, most: int | None) -> range:
    """Return the rows to read, at most `most`; raise ValueError if that is below 1."""
    if most is not None and most < 1:
        raise ValueError(f"most must be at least 1, got {most}.")
    return range(available if most is None else min(most, available))


def _read_columns(name: str, features: Sequence[str], most: int | None) -> dict[str, dict[str, list[str]]]:
    """Read the texts of the first examples of each split."""
    prepared = open_tfds(name)
    available = prepared.builder.info.features
    missing = sorted(set(features) - set(available))
    if missing:
        raise ValueError(f"{prepared.title} has no feature {', '.join(missing)}; it has {', '.join(available)}.")
    splits: dict[str, dict[str, list[str]]] = {}
    for split in prepared.splits:
        source = prepared.source(split)
        rows = limit_rows(len(source), most)
        columns: dict[str, list[str]] = {feature: [] for feature in features}
        for first in range(0, len(rows), BATCH):
            batch = rows[first : first + BATCH]
            with reading(prepared.title, f"{split}, examples from {first}"):
                examples = source.__getitems__(list(batch))
            for row, example in zip(batch, examples, strict=True):
                for feature in features:
                    place = f"{prepared.title}, {split}, example {row}: {feature}"
                    columns[feature].append(decode_text(example[feature], place))
        splits[split] = columns
    return splits
