"""Sets of TensorFlow Datasets with text and translations, on small examples on disk."""

import sys

import numpy as np
import pytest

from lcjax.data.sequences.parallel_text import Pairs
from lcjax.data.sequences.sources import load_sequences
from lcjax.data.sequences.tfds import decode_text, limit_rows, read_tfds_parallel, read_tfds_text


def test_text_with_a_test_split_of_its_own(tfds_on_disk):
    splits = read_tfds_text("tiny_text")
    assert {split: len(lines) for split, lines in splits.items()} == {"train": 38, "test": 6, "validation": 2}
    # Without a validation split, the last sentences are used for validation; stored order is TFDS's.
    lines = [*splits["train"], *splits["validation"]]
    assert sorted(lines) == sorted("" if i == 3 else f"train line {i % 4}" for i in range(40))
    few = read_tfds_text("tiny_text", most=8, validation_fraction=0.25)
    assert few["train"] == lines[:6]
    assert few["validation"] == lines[6:8]
    assert few["test"] == splits["test"]


def test_words_and_characters(tfds_on_disk):
    task = load_sequences("tfds-words:tiny_text", size=None, unroll=100)
    assert sum("1 of 38 lines" in note or "1 of 2 lines" in note for note in task.notes) == 1
    assert task.vocabulary.decode(task.data.test.targets).count("<unk> line") == 5
    assert "tensorflow" not in sys.modules
    characters = load_sequences("tfds-characters:tiny_text", longest=8)
    assert {characters.vocabulary.decode(row) for row in characters.data.train.targets} == {"train li"}


def test_translation(tfds_on_disk):
    splits = read_tfds_parallel("tiny_pairs")
    assert list(splits) == ["train", "validation", "test"]
    assert set(zip(*splits["train"], strict=True)) == {(f"zwölf train {i}", f"twelve train {i}") for i in range(9)}
    assert read_tfds_parallel("tiny_pairs", source="en", target="de", most=2)["test"] == Pairs(
        splits["test"].target[:2], splits["test"].source[:2]
    )
    task = load_sequences("tfds-parallel:tiny_pairs", size=45)
    assert task.vocabulary.decode(task.data.train.targets[0]) == splits["train"].target[0]
    with pytest.raises(ValueError, match=r"has no feature fr; it has .*de"):
        load_sequences("tfds-parallel:tiny_pairs", source="fr")


def test_long_sets_are_read_in_batches(tfds_on_disk, monkeypatch):
    expected = read_tfds_text("tiny_text")
    monkeypatch.setattr("lcjax.data.sequences.tfds.BATCH", 7)
    assert read_tfds_text("tiny_text") == expected


def test_text_that_is_not_utf8_and_other_refusals(tfds_on_disk):
    with pytest.raises(ValueError, match=r"'latin', train, example \d: text is not UTF-8 \(invalid .* byte 2"):
        load_sequences("tfds-words:latin")
    with pytest.raises(ValueError, match="has no feature text; it has"):
        load_sequences("tfds-words:tiny_pairs")
    with pytest.raises(ValueError, match="'no_train' has no split train, only test"):
        load_sequences("tfds-words:no_train")
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        load_sequences("tfds-words:tiny_text", most=0)


def test_rows_and_texts():
    assert [len(limit_rows(5, most)) for most in (None, 1, 5, 6)] == [5, 1, 5, 5]
    assert decode_text(" grün\n  Gras ".encode(), "here") == decode_text(np.str_("grün Gras"), "here") == "grün Gras"
