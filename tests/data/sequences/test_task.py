"""Padding, teacher forcing, and units of prefixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.examples import Examples
from lcjax.data.sequences.task import (
    examples_for,
    make_task,
    order_splits,
    pad,
    teacher_forcing,
    token_counts,
    units_of_prefixes,
)
from lcjax.data.sequences.vocabulary import Vocabulary

UNITS = st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any)


@given(rows=st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=8), more=st.integers(0, 3))
def test_padding_changes_no_row_and_is_never_counted(rows, more):
    sequences = [np.array(row, np.int32) for row in rows]
    longest = max(map(len, rows))
    padded = pad(sequences, length=longest + more)
    assert padded.shape == (len(rows), longest + more)
    assert padded.dtype == np.int32
    assert [row[row >= 0].tolist() for row in padded] == rows
    assert token_counts(padded).tolist() == [len(row) for row in rows]
    assert all((row[len(one) :] == -1).all() for row, one in zip(padded, rows, strict=True))


def test_padding_of_frames_and_its_refusals():
    frames = pad([np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)], fill=0.0)
    assert frames.shape == (2, 2, 3)
    assert frames[1].sum() == 3
    with pytest.raises(ValueError, match="sequence of 2 is longer than the 1"):
        pad([np.zeros(2)], length=1)
    with pytest.raises(ValueError, match="no sequences"):
        pad([])
    with pytest.raises(
        ValueError, match=r"1000 sequences of 501998 steps .* 1\.86. GiB, more than 20 times .* 500999 steps"
    ):
        pad([np.zeros(500_999, np.float32), *[np.zeros(1, np.float32)] * 999])


@given(units=UNITS, data=st.data())
def test_examples_for_is_the_smallest_prefix_that_holds_enough(units, data):
    units = np.array(units)
    wanted = data.draw(st.lists(st.integers(1, int(units.sum())), min_size=1, max_size=5))
    sizes = examples_for(units, wanted)
    held = units_of_prefixes(units, sizes)
    assert np.all(held >= wanted)
    assert np.all(units_of_prefixes(units, sizes - 1) < wanted)


def test_units_may_be_hours_and_are_bounded():
    seconds = np.array([1.5, 2.5, 1.0])
    assert examples_for(seconds, [1.5, 1.6]).tolist() == [1, 2]
    assert units_of_prefixes(seconds, [0, 2]).tolist() == [0.0, 4.0]
    for wanted in ([0], [5.1]):
        with pytest.raises(ValueError, match=rf"{wanted[0]} units were asked for; the 3 examples hold 5.0"):
            examples_for(seconds, wanted)
    assert units_of_prefixes(seconds, [3]).tolist() == [5.0]
    assert examples_for(seconds, [5.0]).tolist() == [3]
    for sizes in ([1, 4], [-1]):
        with pytest.raises(ValueError, match=rf"\[0, 3\], the number of examples, got \[{sizes[-1]}\]"):
            units_of_prefixes(seconds, sizes)
    with pytest.raises(ValueError, match="1 units were asked for; the 0 examples hold 0"):
        examples_for(seconds[:0], [1])


def test_teacher_forcing_shifts_by_one_between_start_and_end():
    vocabulary = Vocabulary(tuple("_abc^$"), start=4, end=5, padding=0, words=False)
    labels = [np.array(row, np.int32) for row in ([1, 2], [], [3, 2, 1])]
    inputs, targets = teacher_forcing(labels, vocabulary, length=3, fill=0)
    assert inputs.tolist() == [[4, 1, 2], [4, 0, 0], [4, 3, 2]]
    assert targets.tolist() == [[1, 2, 5], [5, -1, -1], [3, 2, 1]]
    assert inputs.dtype == targets.dtype == np.int32


def test_splits_are_ordered_and_two_are_required():
    assert list(order_splits({"test": 0, "extra": 1, "validation": 2, "train": 3}, "text")) == [
        "train", "validation", "test",
    ]  # fmt: skip
    for splits, missing in (({"train": 1}, "validation"), ({"validation": 1}, "train")):
        with pytest.raises(ValueError, match=rf"The text has no {missing} split, only \['{next(iter(splits))}'\]"):
            order_splits(splits, "text")


def test_a_task_has_a_class_for_each_symbol():
    part = Examples(np.zeros((1, 2), np.int32), np.zeros((1, 2), np.int32))
    task = make_task({"train": part, "validation": part}, Vocabulary(tuple("abc")), "words", ["a note."], "set")
    assert (task.data.classes, task.data.name, task.data.test, task.unit, task.notes) == (
        3, "set", None, "words", ("a note.",),
    )  # fmt: skip
    assert (
        make_task({"train": part, "validation": part, "test": part}, Vocabulary(("a",)), "", [], "").data.test is part
    )
