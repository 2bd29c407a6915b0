"""Vocabularies: round trips, sizes, and unknown symbols."""

import ast
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

from lcjax.data.sequences.vocabulary import Vocabulary, learn_pieces, most_frequent
from tests.data.problems import TEXT


@given(text=TEXT)
def test_words_and_characters_decode_to_what_was_encoded(text):
    for words in (True, False):
        vocabulary = most_frequent([line.split() if words else line for line in text], words=words)
        assert vocabulary.decode(np.concatenate([vocabulary.encode(line) for line in text])) == "\n".join(text)


def test_numbers_and_symbols_that_are_not_there():
    vocabulary = Vocabulary(("<eos>", "a"), unknown=-1)
    with pytest.raises(ValueError, match="'b' is not among the 2 symbols"):
        vocabulary.encode("a b")
    with pytest.raises(ValueError, match="Token 2 is not one of the 2 symbols"):
        vocabulary.decode([0, 2])
    assert vocabulary.decode([]) == vocabulary.decode([-1]) == ""


def test_symbols_by_frequency_then_alphabetically():
    sentences = [["b", "a", "c"], ["c", "<unk>", "<eos>"]]
    assert most_frequent(sentences).symbols == ("<eos>", "<unk>", "c", "a", "b")
    assert most_frequent(sentences, size=3).symbols == ("<eos>", "<unk>", "c")
    assert most_frequent(sentences).words
    assert not most_frequent(["abc"], words=False).words
    for size in (2, 6):
        with pytest.raises(ValueError, match=f"vocabulary of {size} symbols: the training text gives 5"):
            most_frequent(sentences, size=size)


def test_roles_of_special_numbers():
    vocabulary = Vocabulary(tuple("_ab^$"), end=4, start=3, unknown=-1, padding=0, words=False)
    assert len(vocabulary) == 5
    assert vocabulary.encode("ba").tolist() == [2, 1, 4]
    assert vocabulary.decode(np.array([[3, 1, 2, 4], [0, 2, 4, -1]])) == "ab\nb"
    assert vocabulary.decode([1, 4, 2]) == "a\nb"
    assert vocabulary.decode([4, 1]) == "\na"
    default = Vocabulary(("<eos>", "<unk>", "a"))
    assert (default.end, default.start, default.unknown, default.padding) == (0, 0, 1, -1)
    assert (default.words, default.tokenizer) == (True, "")
    assert Vocabulary(("-", "a"), end=-1, unknown=-1).encode("a a").tolist() == [1, 1]


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
    assert 0 not in vocabulary.encode("<pad> ab")  # a text cannot contain padding
    composed, decomposed = vocabulary.encode("é"), vocabulary.encode("e\u0301")
    assert composed.tolist() == decomposed.tolist()


def test_pieces_are_the_same_in_another_process():
    code = (
        "from lcjax.data.sequences.vocabulary import learn_pieces; "
        f"print(learn_pieces({PIECES_FROM!r}, size=34).symbols)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ast.literal_eval(process.stdout) == learn_pieces(PIECES_FROM, size=34).symbols


@pytest.mark.parametrize("size", [4, 400])
def test_a_number_of_pieces_that_does_not_fit_is_refused(size):
    why = "characters alone" if size == 4 else "no more than"
    with pytest.raises(ValueError, match=rf"vocabulary of {size} pieces does not fit the training text: .*{why}"):
        learn_pieces(PIECES_FROM, size=size)
