import ast
import gzip
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.sequences.text import characters_task, find_splits, read_characters, read_lines, read_words, words_task
from lcjax.data.sequences.vocabulary import Vocabulary, learn_pieces, most_frequent

WORD = st.text("abcdé→", min_size=1, max_size=4)
SENTENCE = st.lists(WORD, min_size=1, max_size=9).map(" ".join)
TEXT = st.lists(SENTENCE, min_size=1, max_size=8)


@given(text=TEXT)
def test_words_and_characters_decode_to_what_was_encoded(text):
    for words in (True, False):
        vocabulary = most_frequent([line.split() if words else line for line in text], words=words)
        assert vocabulary.decode(np.concatenate([vocabulary.encode(line) for line in text])) == "\n".join(text)


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
    assert bool(cut) == any(f"train: {cut} of {len(text)} sentences are longer" in note for note in task.notes)


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


def test_empty_lines_are_left_out_and_told():
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


def test_lengths_below_one():
    splits = {"train": ["a"], "validation": ["a"]}
    with pytest.raises(ValueError, match="unroll must be at least 1, got 0"):
        words_task(splits, size=None, unroll=0)
    with pytest.raises(ValueError, match="longest must be at least 1, got -1"):
        characters_task(splits, longest=-1)


def test_numbers_and_symbols_that_are_not_there():
    vocabulary = Vocabulary(("<eos>", "a"), unknown=-1)
    with pytest.raises(ValueError, match="'b' is not among the 2 symbols"):
        vocabulary.encode("a b")
    with pytest.raises(ValueError, match="Token 2 is not one of the 2 symbols"):
        vocabulary.decode([0, 2])


@pytest.mark.parametrize(("name", "pack"), [("a.txt", bytes), ("a.txt.gz", gzip.compress)])
def test_lines_of_a_file(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack("\ufeffgrün\r\n\na\u2028b\x0bc\nlast".encode()))
    assert read_lines(path) == ["grün", "", "a\u2028b\x0bc", "last"]


def test_a_file_that_is_not_utf8_is_named_with_line_and_byte(tmp_path):
    path = tmp_path / "latin.txt.gz"
    path.write_bytes(gzip.compress("eins\nzwölf\n".encode("latin-1")))
    with pytest.raises(ValueError, match=r"latin\.txt\.gz, line 2: byte 0xf6 at offset 7 is not UTF-8"):
        read_words(path)


def test_other_bad_files(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(bytes(range(97, 120)) * 50)[:-20])
    (tmp_path / "not.gz").write_bytes(b"text")
    (tmp_path / "empty.txt").write_text("\n \n")
    for name in ("cut.gz", "not.gz"):
        with pytest.raises(ValueError, match=f"{name} is truncated or not compressed"):
            read_lines(tmp_path / name)
    with pytest.raises(ValueError, match=r"empty\.txt holds no text"):
        read_characters(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"No file .*train in its name"):
        read_words(tmp_path)


def test_files_are_found_by_split(tmp_path):
    for name in ("ptb.train.txt.gz", "ptb.valid.txt", "ptb.test.txt", "training-notes.txt", "train.csv"):
        (tmp_path / name).write_bytes(gzip.compress(b"a b\n") if name.endswith(".gz") else b"a\n")
    found = find_splits(tmp_path)
    assert {split: path.name for split, path in found.items()} == {
        "train": "ptb.train.txt.gz",
        "validation": "ptb.valid.txt",
        "test": "ptb.test.txt",
    }
    task = read_words(tmp_path, size=None, unroll=2)
    assert [len(part.targets) for part in (task.data.train, task.data.validation, task.data.test)] == [2, 1, 1]


def test_one_file_is_cut_in_its_own_order(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("".join(f"{i:02d}\n" for i in range(20)))
    task = read_characters(path, validation_fraction=0.1, test_fraction=0.2)
    decoded = [task.vocabulary.decode(part.targets) for part in (task.data.train, task.data.validation, task.data.test)]
    assert "\n".join(decoded).split() == [f"{i:02d}" for i in range(20)]
    assert [len(part.split()) for part in decoded] == [14, 2, 4]


@given(text=TEXT)
def test_pieces_decode_to_what_was_encoded(text):
    vocabulary = learn_pieces(PIECES_FROM, size=34)
    assert [vocabulary.decode(vocabulary.encode(line)) for line in text] == text


PIECES_FROM = ["ab abc abcd dcba é → éé →→ ab bc cd, da.", "abab cdcd é→ (abc) abcd abc ab"]


def test_pieces_are_joined_by_frequency_and_the_unknown_is_one_symbol():
    vocabulary = learn_pieces(PIECES_FROM, size=30)
    assert vocabulary.symbols[:2] == ("<pad>", "<unk>")
    assert vocabulary.symbols[-2:] == ("<sos>", "<eos>")
    assert "ab" in vocabulary.symbols
    assert vocabulary.encode("abz").tolist()[-2:] == [1, vocabulary.end]
    assert 0 not in vocabulary.encode("<pad> ab")  # a text cannot hold padding
    composed, decomposed = vocabulary.encode("é"), vocabulary.encode("e\u0301")
    assert composed.tolist() == decomposed.tolist()


def test_pieces_are_the_same_in_another_process():
    code = (
        "from lcjax.data.sequences.vocabulary import learn_pieces; "
        f"print(learn_pieces({PIECES_FROM!r}, size=34).symbols)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ast.literal_eval(done.stdout) == learn_pieces(PIECES_FROM, size=34).symbols


@pytest.mark.parametrize("size", [4, 400])
def test_a_number_of_pieces_that_does_not_fit_is_refused(size):
    why = "characters alone" if size == 4 else "no more than"
    with pytest.raises(ValueError, match=rf"vocabulary of {size} pieces does not fit the training text: .*{why}"):
        learn_pieces(PIECES_FROM, size=size)


def test_penn_treebank_has_the_published_counts(shared_data):
    task = read_words(shared_data / "ptb")
    tokens = [np.sum(part.targets >= 0) for part in (task.data.train, task.data.validation, task.data.test)]
    assert tokens == [929_589, 73_760, 82_430]
    assert task.data.classes == 10_000
    assert task.data.train.inputs.shape == (11_620, 80)
    first = read_lines(shared_data / "ptb/ptb.test.txt.gz")[0]
    assert task.vocabulary.decode(task.data.test.targets[0]).startswith(" ".join(first.split()))
    with pytest.raises(ValueError, match="gives 10000"):
        read_words(shared_data / "ptb", size=10_001)


def test_tiny_shakespeare_has_65_characters(shared_data):
    task = read_characters(shared_data / "tinyshakespeare/input.txt.gz")
    assert task.data.classes == 65 - 1 + 2  # the line feed is the end of a sentence
    lines = [line for line in read_lines(shared_data / "tinyshakespeare/input.txt.gz") if line]
    tokens = sum(np.sum(part.targets >= 0) for part in (task.data.train, task.data.validation, task.data.test))
    assert tokens == sum(len(line) + 1 for line in lines)
    assert not any("unknown" in note for note in task.notes)
