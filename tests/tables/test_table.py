"""Tables: conversion of columns, and messages with the line."""

import numpy as np
import pytest

from lcjax.tables.table import Table


def table():
    return Table(
        "a.csv", ["size", "error", "name"], [["10", "2e1", "30"], ["0.5", "-", "x"], ["a", "a  b", "c"]], [2, 3, 5]
    )


def test_columns_are_converted_and_rows_are_taken():
    np.testing.assert_array_equal(table().numbers(0, "size"), [10, 20, 30])
    assert table().names(2) == ["a", "a b", "c"]
    assert [table().is_numeric(column) for column in range(3)] == [True, False, False]
    taken = table().take(np.array([True, False, True]))
    assert (taken.cells(0), list(taken.lines)) == (["10", "30"], [2, 5])


def test_messages_name_the_line():
    with pytest.raises(ValueError, match=r"a\.csv, line 5: error must be a number, got 'x'"):
        table().numbers(1, "error")
    with pytest.raises(ValueError, match=r"a\.csv, line 3: a size of '2e1' is odd\."):
        table().refuse(np.array([False, True, False]), "a size of {!r} is odd", 0)
