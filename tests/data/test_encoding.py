"""Inputs from columns of a table: fitted to the training rows alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.data.encoding import encode_columns
from lcjax.tables.table import Table


def encode(columns, train, test=(), **headings):
    table = Table("a.csv", [f"c{i}" for i in range(len(columns))], columns, range(2, 2 + len(columns[0])))
    rows = {"train": np.array(train), "test": np.array(test, int)}
    return encode_columns(table, range(len(columns)), rows)


def test_missing_numbers_become_the_training_median_and_are_marked():
    inputs, notes = encode([["1", "", "3", "100", "?"]], [0, 1, 2], [3, 4])
    np.testing.assert_array_equal(inputs["train"], [[1, 0], [2, 1], [3, 0]])
    np.testing.assert_array_equal(inputs["test"], [[100, 0], [2, 1]])
    assert notes == ("Missing values of 'c0' (2) are replaced by the training median and marked in a column.",)


def test_numbers_missing_beside_training_only_are_imputed_without_a_mark():
    inputs, _ = encode([["1", "2", "3", ""]], [0, 1, 2], [3])
    np.testing.assert_array_equal(inputs["test"], [[2]])


def test_text_has_a_column_for_each_training_value():
    inputs, notes = encode([["b", "a", "b", "c", "a", "c", "new", ""]], range(6), [6, 7])
    np.testing.assert_array_equal(inputs["train"][:3], [[0, 1, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(inputs["test"], np.zeros((2, 3)))
    assert notes == ("Text is encoded by columns of 0 and 1: 'c0' (3).",)
    two, _ = encode([["yes", "no", "yes", "no"]], range(4))
    np.testing.assert_array_equal(two["train"], [[1], [0], [1], [0]])


def test_rare_values_share_a_column_beyond_one_hundred():
    texts = [f"v{i % 150:03d}" for i in range(600)]
    inputs, _ = encode([texts], range(600))
    assert inputs["train"].shape == (600, 101)
    np.testing.assert_array_equal(inputs["train"].sum(axis=1), 1)


def test_columns_that_are_constant_or_identify_rows_are_left_out():
    columns = [["5"] * 6, [f"name {i}" for i in range(6)], ["x"] * 6, list("121212")]
    inputs, notes = encode(columns, range(6))
    assert inputs["train"].shape == (6, 1)
    assert notes == ("Left out, because they are constant or identify rows: 'c0', 'c1', 'c2'.",)
    with pytest.raises(ValueError, match=r"a\.csv has no column of inputs: 'c0', 'c1' are constant or identify rows"):
        encode(columns[:2], range(6))
    table = Table("a.csv", ["id", "x"], [["1", "2", "3"], ["3", "1", "2"]], [2, 3, 4])
    assert encode_columns(table, [0, 1], {"train": np.arange(3)})[0]["train"].shape == (3, 1)


def test_infinite_numbers_are_refused_with_their_line():
    with pytest.raises(ValueError, match=r"a\.csv, line 3: c0 must be finite, got '1e999'"):
        encode([["1", "1e999"]], [0, 1])


@given(seed=st.integers(0, 2**32 - 1))
def test_other_rows_do_not_change_the_encoding_of_training_rows(seed):
    rng = np.random.default_rng(seed)
    numbers = [repr(value) for value in rng.normal(size=30)]
    words = [("red", "green", "blue", "")[i] for i in rng.integers(0, 4, 30)]
    rows = rng.permutation(30)
    first, _ = encode([numbers, words], rows[:20])
    changed = [list(numbers), list(words)]
    for row in rows[20:]:
        changed[0][row], changed[1][row] = "1e6", "violet"
    second, _ = encode(changed, rows[:20])
    np.testing.assert_array_equal(first["train"], second["train"])
