"""Data frames of every library that is installed, and Parquet files."""

import importlib

import numpy as np
import pytest

from lcjax.tables.frames import is_frame, read_parquet, table_from_frame

VALUES = {"n_train": [100, 200, None], "model": ["a", None, "b"], "error": [0.3, 0.25, 0.2]}


def frame(library):
    module = importlib.import_module(library) if library == "builtins" else pytest.importorskip(library)
    if library == "pyarrow":
        return module.table(VALUES)
    if library == "narwhals":
        return module.from_native(pytest.importorskip("pyarrow").table(VALUES))
    return module.dict(VALUES) if library == "builtins" else module.DataFrame(VALUES)


@pytest.mark.parametrize("library", ["builtins", "pandas", "polars", "pyarrow", "narwhals"])
def test_frames_of_every_library_have_the_same_cells(library):
    value = frame(library)
    assert is_frame(value)
    table = table_from_frame(value)
    assert table.heading == list(VALUES)
    assert table.cells(0) == ["100", "200", ""]
    assert table.cells(1) == ["a", "", "b"]
    np.testing.assert_array_equal(table.numbers(2, "error"), VALUES["error"])


def test_numbers_keep_every_digit_and_their_point():
    numbers = np.array([2.125, 1000.0, 1 / 3])
    table = table_from_frame({"size": numbers})
    np.testing.assert_array_equal(table.numbers(0, "size"), numbers)
    assert table.cells(0) == ["2.125", "1000", repr(1 / 3)]


def test_other_frames_are_refused():
    with pytest.raises(ValueError, match=r"columns of the data frame differ in length: \[1, 2\]"):
        table_from_frame({"size": [1], "error": [1, 2]})
    with pytest.raises(ValueError, match="must have one value in each row"):
        table_from_frame({"size": [[1, 2], [3, 4]]})
    assert not is_frame("curve.csv")
    assert not is_frame(np.zeros((2, 2)))


def test_a_parquet_file_is_read_within_the_limit(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(frame("pyarrow"), path)
    needed = []
    table = read_parquet(path, needed.append)
    assert table.cells(1) == ["a", "", "b"]
    assert needed[0] > 9 * 64

    def refuse(size):
        raise ValueError(f"it takes {size} bytes")

    with pytest.raises(ValueError, match=r"a\.parquet cannot be read: it takes \d+ bytes"):
        read_parquet(path, refuse)


def test_a_parquet_file_without_a_library_names_the_remedy(tmp_path, monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr("lcjax.tables.frames.importlib.import_module", refuse)
    with pytest.raises(ValueError, match=r"needs pyarrow, polars or pandas: pip install pyarrow, or save"):
        read_parquet(tmp_path / "a.parquet", print)
