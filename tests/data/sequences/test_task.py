import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.sequences.sources import load_sequences
from lcjax.data.sequences.task import examples_for, pad, token_counts, units_of_prefixes
from lcjax.data.shards import independent_orders
from lcjax.data.subsets import rotated_order, stratified_order

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
    with pytest.raises(ValueError, match=r"\[0, 3\], the number of examples, got \[4\]"):
        units_of_prefixes(seconds, [1, 4])


def test_independent_shards_are_drawn_each_for_itself():
    key = jax.random.key(0)
    orders = independent_orders(key, 400, [100, 200, 300])
    assert np.all(np.sort(orders, axis=1) == np.arange(400))
    # Two draws of 100 and 200 of 400 share 50 +- 5 on average (hypergeometric); nested ones would share 100.
    shared = len(set(orders[0, :100]) & set(orders[1, :200]))
    assert abs(shared - 50) < 5 * 5
    alone = independent_orders(key, 400, [200])
    np.testing.assert_array_equal(alone[0], orders[1])
    assert not np.array_equal(independent_orders(jax.random.key(1), 400, [200])[0], alone[0])


def test_independent_shards_by_another_order():
    labels = np.arange(60) % 3
    orders = independent_orders(jax.random.key(0), labels, [9, 30], order=stratified_order)
    for row, size in zip(orders, (9, 30), strict=True):
        assert np.bincount(labels[row[:size]]).tolist() == [size // 3] * 3
    for row in independent_orders(jax.random.key(0), 60, [9, 30], order=rotated_order):
        assert np.all(np.diff(row) % 60 == 1)


@pytest.mark.parametrize(
    ("sizes", "message"), [([0], r"\[1, 9\], got \[0\]"), ([10], "10"), ([], "none"), ([3, 3], "differ")]
)
def test_bad_shard_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        independent_orders(jax.random.key(0), 9, sizes)


def test_tasks_by_name(tmp_path):
    (tmp_path / "train.txt").write_text("a b c\nb c\n" * 9)
    (tmp_path / "valid.txt").write_text("c a\n")
    (tmp_path / "test.txt").write_text("b\n")
    task = load_sequences(f"ptb:{tmp_path}", size=None, unroll=5)
    assert (task.unit, task.data.classes, task.data.train.inputs.shape) == ("words", 5, (13, 5))
    assert task.data.name == f"ptb:{tmp_path}"
    task.data.check()
    task = load_sequences(f"characters:{tmp_path / 'train.txt'}", validation_fraction=0.2, test_fraction=0.2)
    assert (task.unit, len(task.data.train.targets)) == ("characters", 10)
    for name in ("ptb", "ptb:", "poems:x"):
        with pytest.raises(ValueError, match=r"Unknown sequence task .*known are ptb:, words:"):
            load_sequences(name)
    with pytest.raises(ValueError, match="characters: knows no option unroll; its options are longest, "):
        load_sequences("characters:x", unroll=3)
