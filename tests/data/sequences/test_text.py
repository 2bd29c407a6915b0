"""Words as a continuous stream, characters as separate sentences, and text in files."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.readers.files import read_lines
from lcjax.data.sequences.text import characters_task, cut_lines, find_splits, read_text, words_task
from tests.data.problems import TEXT


@given(text=TEXT, held_out=TEXT, unroll=st.integers(1, 12))
def test_every_token_of_a_stream_is_predicted_once_from_the_one_before(text, held_out, unroll):
    task = words_task({"train": text, "validation": held_out}, size=None, unroll=unroll)
    for part, lines in ((task.data.train, text), (task.data.validation, held_out)):
        expected = [token for line in lines for token in task.vocabulary.encode(line)]
        real = part.targets >= 0
        assert part.targets[real].tolist() == expected
        assert part.inputs[real].tolist() == [task.vocabulary.end, *expected[:-1]]
        assert real.sum() == len(expected) > unroll * (len(part.targets) - 1)
        assert np.all(np.diff(real.reshape(-1).astype(int)) <= 0)  # padding only at the very end
    assert task.data.test is None


@given(text=TEXT, longest=st.integers(1, 30))
def test_characters_are_separate_and_cut(text, longest):
    task = characters_task({"train": text, "validation": text}, longest=longest)
    inputs, targets = task.data.train.inputs, task.data.train.targets
    assert targets.shape[1] == min(longest, 1 + max(map(len, text)))
    for row, before, line in zip(targets, inputs, text, strict=True):
        full = task.vocabulary.encode(line)
        assert row[row >= 0].tolist() == full[:longest].tolist()
        assert before[: len(full)].tolist() == [task.vocabulary.end, *full[:-1]][:longest]
    assert inputs.min() >= 0
    cut = sum(len(line) + 1 > longest for line in text)
    assert bool(cut) == any(f"train: {cut} of {len(text)} sentences are longer than" in note for note in task.notes)


def test_the_most_frequent_words_are_kept_and_the_rest_is_unknown():
    task = words_task({"train": ["b a b c", "b a <unk>"], "validation": ["c b new"]}, size=4, unroll=4)
    assert task.vocabulary.symbols == ("<eos>", "<unk>", "b", "a")
    assert task.data.classes == 4
    assert task.vocabulary.decode(task.data.validation.targets[0]) == "<unk> b <unk>"
    assert task.notes == ("train: 2 of 9 tokens are unknown.", "validation: 2 of 4 tokens are unknown.")


def test_sentences_may_be_longer_than_the_unroll():
    task = words_task({"train": ["a b c d e f g"], "validation": ["a"]}, size=None, unroll=3)
    assert task.data.train.targets.shape == (3, 3)
    assert task.vocabulary.decode(task.data.train.targets) == "a b c d e f g"


def test_empty_lines_are_left_out_and_noted():
    splits = {"train": ["a b", "", "  ", "b"], "validation": ["a"], "test": ["", "b"]}
    for task in (words_task(splits, size=None, unroll=9), characters_task(splits)):
        assert task.notes[:2] == (
            "train: 2 of 4 lines are empty and left out.",
            "test: 1 of 2 lines are empty and left out.",
        )
        assert task.vocabulary.decode(task.data.train.targets) == "a b\nb"


@pytest.mark.parametrize("size", [2, 6, 10_000])
@pytest.mark.parametrize(("read", "line"), [(words_task, "x y z"), (characters_task, "xyz")])
def test_a_vocabulary_larger_than_the_data_is_refused(read, line, size):
    with pytest.raises(ValueError, match=rf"vocabulary of {size} symbols: the training text gives 5"):
        read({"train": [line], "validation": ["x"]}, size=size)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["", " "], "validation": ["a"]}, "train split holds no text"),
        ({"train": ["a"]}, r"no validation split, only \['train'\]"),
        ({"validation": ["a"]}, "no train split"),
    ],
)
def test_missing_text(splits, message):
    for read in (words_task, characters_task):
        with pytest.raises(ValueError, match=message):
            read(splits, size=None)


def test_defaults_are_those_of_the_paper():
    splits = {"train": ["a" * 200], "validation": ["a"]}
    task = characters_task(splits)
    assert task.data.train.targets.shape == (1, 150)
    assert task.notes == ("train: 1 of 1 sentences are longer than 150 tokens; 51 of 201 tokens are truncated.",)
    assert words_task(splits, size=None).data.train.targets.shape == (1, 80)
    with pytest.raises(ValueError, match="A vocabulary of 10000 symbols"):
        words_task(splits)


def test_lengths_below_one():
    splits = {"train": ["a"], "validation": ["a"]}
    with pytest.raises(ValueError, match="unroll must be at least 1, got 0"):
        words_task(splits, size=None, unroll=0)
    with pytest.raises(ValueError, match="longest must be at least 1, got -1"):
        characters_task(splits, longest=-1)


def test_files_are_found_by_split(tmp_path):
    for name in ("ptb.train.txt.gz", "ptb.valid.txt", "ptb.test.txt", "training-notes.txt", "train.csv"):
        (tmp_path / name).write_bytes(gzip.compress(b"a b\n") if name.endswith(".gz") else b"a\n")
    assert {split: path.name for split, path in find_splits(tmp_path).items()} == {
        "train": "ptb.train.txt.gz",
        "validation": "ptb.valid.txt",
        "test": "ptb.test.txt",
    }
    assert read_text(tmp_path) == {"train": ["a b"], "validation": ["a"], "test": ["a"]}
    with pytest.raises(
        FileNotFoundError, match=rf"No file of {tmp_path} has train in its name and ends in \.de or \.de.gz"
    ):
        find_splits(tmp_path, ending=".de")
    with pytest.raises(FileNotFoundError, match="No folder"):
        find_splits(tmp_path / "none")


def test_one_file_is_cut_in_its_own_order(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("".join(f"{i:02d}\n" for i in range(20)))
    splits = read_text(path, validation_fraction=0.1, test_fraction=0.2)
    expected = {"train": range(14), "validation": range(14, 16), "test": range(16, 20)}
    assert splits == {split: [f"{i:02d}" for i in numbers] for split, numbers in expected.items()}
    assert {split: len(lines) for split, lines in read_text(path).items()} == {"train": 18, "test": 1, "validation": 1}
    assert cut_lines({"train": list("abcd"), "test": ["e"]}, 0.25, 0.5) == {
        "train": ["a", "b", "c"], "test": ["e"], "validation": ["d"],
    }  # fmt: skip


def test_penn_treebank_is_a_stream_of_its_lines(shared_data):
    lines = read_lines(shared_data / "ptb/ptb.test.txt.gz")
    task = words_task({"train": lines, "validation": lines[:9]}, size=None)
    assert np.sum(task.data.train.targets >= 0) == 82_430
    assert task.data.train.inputs.shape[1] == 80
    assert task.vocabulary.decode(task.data.train.targets[0]).startswith(" ".join(lines[0].split()))


@pytest.mark.slow
def test_penn_treebank_has_the_published_counts(shared_data):
    splits = read_text(shared_data / "ptb")
    task = words_task(splits)
    tokens = [np.sum(part.targets >= 0) for part in (task.data.train, task.data.validation, task.data.test)]
    assert tokens == [929_589, 73_760, 82_430]
    assert task.data.classes == 10_000
    assert task.data.train.inputs.shape == (11_620, 80)
    with pytest.raises(ValueError, match="gives 10000"):
        words_task(splits, size=10_001)


@pytest.mark.slow
def test_tiny_shakespeare_has_65_characters(shared_data):
    path = shared_data / "tinyshakespeare/input.txt.gz"
    task = characters_task(read_text(path))
    assert task.data.classes == 65 - 1 + 2  # the line feed is the end of a sentence
    lines = [line for line in read_lines(path) if line]
    tokens = sum(np.sum(part.targets >= 0) for part in (task.data.train, task.data.validation, task.data.test))
    assert tokens == sum(len(line) + 1 for line in lines)
    assert not any("unknown" in note for note in task.notes)
