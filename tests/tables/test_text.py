"""Text files as tables: the same cells in every separator, encoding and frame."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.tables.text import parse_table

CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), max_size=8)


@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=6),
    separator=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_what_the_csv_module_writes_is_read_back(rows, separator, encoding):
    rows = [row for row in rows if "".join(row).strip() and not row[0].startswith("#")]
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows([["first name", "second"], *rows])
    table = parse_table(file.getvalue().encode(encoding), "a.csv")
    assert table.heading == ["first name", "second"]
    found = [[cell.lstrip(" ") for cell in row] for row in zip(*table.columns, strict=True)]
    assert found == [[cell.lstrip(" ") for cell in row] for row in rows]  # spaces behind a separator mean nothing


def test_comments_separator_lines_and_blank_lines():
    table = parse_table(b"sep=;\n# by hand\nsize;error\n\n100;0.3\n# again; with a separator\n200;0.2;\n", "a.csv")
    assert table.columns == [["100", "200"], ["0.3", "0.2"]]
    assert table.lines == [5, 7]


def test_a_cell_with_a_hash_is_data():
    assert parse_table(b"curve,size,error\n#1,100,0.3\n", "a.csv").columns[0] == ["#1"]


@pytest.mark.parametrize("heading", ["# size error", "#size error"])
def test_a_comment_above_numbers_is_their_heading(heading):
    table = parse_table(f"{heading}\n1.0e+02 3.0e-01\n".encode(), "a.txt")
    assert table.heading == ["size", "error"]
    assert table.columns == [["1.0e+02"], ["3.0e-01"]]


def test_a_table_in_markdown():
    table = parse_table(b"| size | error |\n|------|:-----:|\n| 100  | 0.3   |\n", "a.md")
    assert (table.heading, table.columns) == (["size", "error"], [["100"], ["0.3"]])


def test_without_a_heading_columns_are_numbered_on_request():
    table = parse_table(b"5.1,3.5,setosa\n4.9,3.0,virginica\n", "iris.data", heading=False)
    assert table.heading == ["1", "2", "3"]
    assert table.columns[2] == ["setosa", "virginica"]
    assert parse_table(b"100,0.3\n200,0.2\n", "a.csv").heading == ["", ""]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"PK\x03\x04....", "a.csv is a workbook of a spreadsheet"),
        (b"\x1f\x8b\x08", "a.csv is compressed by gzip; decompress it"),
        (b"SQLite format 3\x00", "export its runs as CSV"),
        (b'{"size": [1]}', "a.csv is JSON, not a table; write its numbers as CSV"),
        (b"size,error\n1,2,3\n", "a.csv, line 2: expected 2 cells as in the heading, got 3"),
        (b"size,error\n1\n", "a.csv, line 2: expected 2 cells as in the heading, got 1"),
        (b"size,\xff\n", "a.csv, line 1: byte 0xff is not UTF-8; save the file as UTF-8"),
    ],
)
def test_other_files_are_refused(raw, message):
    with pytest.raises(ValueError, match=message):
        parse_table(raw, "a.csv")
