"""Learning curves from CSV files: both layouts, repeats, and a one-line message for every bad file."""

import math
import os
import time

import numpy as np
import pytest

from lcjax.curves.metrics import METRICS
from lcjax.curves.readers.csv import read_curves


def written(tmp_path, text, name="curve.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_order_of_rows_and_columns_and_the_separator_do_not_matter(tmp_path, separator):
    text = "note,Error,SIZE\nlast,0.1,400\nfirst,0.4,100\nmiddle,0.2,2e2\n".replace(",", separator)
    table = read_curves(written(tmp_path, text))
    np.testing.assert_array_equal(table.curve.size, [[100, 200, 400]])
    np.testing.assert_array_equal(table.curve.error, [[0.4, 0.2, 0.1]])
    assert table.curve.replicates is None
    assert table.fitted.all()


def test_repeats_are_kept_by_seed_and_their_mean_is_the_error(tmp_path):
    text = "size,error,repeat,test_count\n100,0.4,a,500\n200,0.3,a,500\n200,0.2,b,500\n100,0.6,b,500\n400,0.1,b,500\n"
    table = read_curves(written(tmp_path, text))
    np.testing.assert_allclose(table.curve.error, [[0.5, 0.25, 0.1]])
    np.testing.assert_allclose(table.curve.replicates, [[[0.4, 0.3, math.nan], [0.6, 0.2, 0.1]]])
    np.testing.assert_array_equal(table.curve.test_count, [500])


def test_a_size_that_occurs_again_is_a_repeat(tmp_path):
    table = read_curves(written(tmp_path, "size,error\n100,0.4\n200,0.2\n100,0.5\n"))
    np.testing.assert_allclose(table.curve.error, [[0.45, 0.2]])
    np.testing.assert_allclose(table.curve.replicates, [[[0.4, 0.2], [0.5, math.nan]]])


def test_several_curves_are_padded_and_empty_errors_left_out(tmp_path):
    text = "curve,size,error\nb,10,0.5\na,10,0.4\na,20,nan\na,40,0.2\nb,20,\nb,40,0.3\nb,80,0.25\n"
    table = read_curves(written(tmp_path, text))
    assert table.names == ("b", "a")
    assert table.absent == 2
    np.testing.assert_array_equal(table.curve.size, [[10, 40, 80], [10, 40, math.nan]])
    np.testing.assert_array_equal(table.curve.error, [[0.5, 0.3, 0.25], [0.4, 0.2, math.nan]])


def test_the_benchmark_layout_holds_out_rows_and_names_domains(tmp_path):
    text = (
        "Domain,Task,Model,Seen Examples,Loss,Training\n"
        "IC,caltech_10,BiT,1e6,0.5,1\nIC,caltech_10,BiT,2e6,0.4,1\nIC,caltech_10,BiT,4e6,0.33,0\n"
        "NMT,de-en,6L,1e6,2.5,1\nNMT,de-en,6L,2e6,2.2,0\n"
    )
    table = read_curves(written(tmp_path, text))
    assert table.names == ("IC caltech_10 BiT", "NMT de-en 6L")
    assert table.groups == ("IC", "NMT")
    np.testing.assert_array_equal(table.fitted, [[True, True, False], [True, False, False]])
    np.testing.assert_array_equal(table.curve.error, [[0.5, 0.4, 0.33], [2.5, 2.2, math.nan]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no row of data"),
        ("size,error\n", "no row of data"),
        ("a,b\n10,0.9\n", "no column size and no column error.*Rename"),
        ("size,error,Error\n10,0.5,0.4\n", "2 of its columns are named error"),
        ("size,error,training\n10,0.5,0.5\n", "line 2: Training must be 1 .fitted. or 0 .held out., got '0.5'"),
        ('size,error,note\n10,0.5,"a\n20,0.4,b\n', "line 3: unexpected end of data"),
        ("size,error\n10,0.5\n20," + "5" * 140_000, r"line 3: field larger than field limit \(131072\)"),
        ("size,error\n10," + "x" * 9999, "line 2: error must be a number, got 'x{40}…'"),
        ("# only comments\n\n", "no row of data"),
        ("size,error\n10,zero\n", "line 2.*'zero'"),
        ("size,error\n10,0.5\n0,0.4\n", "line 3.*positive.*'0'"),
        ("size,error\n-5,0.5\n", "'-5'"),
        ("size,error\n,0.5\n", "line 2.*positive"),
        ("size,error\n10,-0.1\n", "0 or positive.*'-0.1'"),
        ("size,error\n10,inf\n", "'inf'"),
        ("size,error\n10,0.5,3\n", "expected 2 cells.*got 3"),
        ("size,error\n10,nan\n20,\n", "no row with an error"),
        ("size,error,repeat\n10,0.5,1\n10,0.4,1\n", "occurs twice.*'1'"),
        ("size,error,test_count\n10,0.5,100\n20,0.4,200\n", "one test_count"),
        ("size,error,test_count\n10,0.5,0\n", "at least 1"),
        ("size,loss,training\n10,0.5,1\n10,0.4,0\n", "both to be fitted and held out"),
        ("size,loss,training\n10,0.5,0\n", "no row with an error to fit"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_curves(written(tmp_path, text))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_bytes(b"size,error\n10,0.5\n20,\xff")
    with pytest.raises(ValueError, match=r"curve\.csv, line 3: byte 0xff is not UTF-8; save the file as UTF-8\."):
        read_curves(path)
    path.write_bytes(b"\xff\xfe\x00size")
    with pytest.raises(ValueError, match="line 1: byte 0x65 is not UTF-16"):
        read_curves(path)


@pytest.mark.parametrize("space", ["  ", "\t", "\x0b", "\x0c", "\x85", "\xa0", "\u2028", "\n", "\r\n"], ids=ascii)
def test_white_space_in_names_is_one_space_and_ends_no_row(tmp_path, space):
    text = f'curve;size;error\n"a{space}b";10;0.5\n"a b";20;0.4\n'
    assert read_curves(written(tmp_path, text)).names == ("a b",)


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\x07", "\x7f", "\x9b", "\u202e", "\u200b", "\ufeff"], ids=ascii)
@pytest.mark.parametrize("column", ["curve", "repeat", "other"])
def test_control_characters_are_refused_by_number_and_line(tmp_path, character, column):
    text = f"size,error,{column}\n10,0.5,red\n20,0.4,{character}[31m\n"
    if column == "other":
        text = f"size,error,{column}{character}\n10,0.5,red\n"
    place = "line 3: the name" if column != "other" else "the name"
    with pytest.raises(ValueError, match=rf"{place} '.*' contains the control character U\+{ord(character):04X}"):
        read_curves(written(tmp_path, text))


def test_printable_names_are_kept(tmp_path):
    name = "Größe ½ → [bold] <b> =1+1 👩‍💻 नेटवर्क"
    assert read_curves(written(tmp_path, f"curve,size,error\n{name},10,0.5\n")).names == (name,)


AMBIGUOUS = [
    "1_0",
    "10_00",
    "1__000",
    "_1",
    "1_",
    "１０",
    "١٠",
    "1 0",
    "0x10",
    "1e",
    "1.2.3",
    "1,00,000",
    "--1",
    "infinite",
]


@pytest.mark.parametrize("number", AMBIGUOUS, ids=ascii)
@pytest.mark.parametrize("column", ["size", "error", "test_count"])
def test_other_spellings_of_numbers_are_refused(tmp_path, number, column):
    cells = {"size": "10", "error": "0.5", "test_count": "100"} | {column: number}
    text = ";".join(cells) + "\n" + ";".join(cells.values()) + "\n"
    with pytest.raises(ValueError, match=rf"line 2: {column} must be a number, got {number!r}"):
        read_curves(written(tmp_path, text))


@pytest.mark.parametrize(
    ("separator", "size", "error", "message"),
    [
        (";", "1,000", "0,3", "the comma in the size '1,000' may separate thousands. Write 1000"),
        (",", "1000", '"1,234"', "the comma in the error '1,234' may separate thousands. Write 1234"),
        (",", "1.000", "0.3", "the dot in the size '1.000' may separate thousands. Write 1000"),
        (",", "10%", "0.3", "size must be a number, got '10%'; write the number of examples"),
        (",", "10", "0.3k", "error must be a number, got '0.3k'"),
        (",", "10", "%", "error must be a number"),
    ],
)
def test_numbers_with_two_readings_are_refused(tmp_path, separator, size, error, message):
    with pytest.raises(ValueError, match=message):
        read_curves(written(tmp_path, f"size{separator}error\n{size}{separator}{error}\n"))


def test_a_column_is_used_by_another_name_only_if_it_is_the_only_one(tmp_path):
    table = read_curves(written(tmp_path, "N,val_loss,params.seed,std\n10,0.5,a,0.1\n10,0.3,b,0.1\n"))
    assert table.curve.replicates.shape == (1, 2, 1)
    assert table.notes == (
        "The column 'N' is used as size.",
        "The column 'val_loss' is used as error.",
        "The column 'params.seed' is used as repeat.",
        "Not used: 'std'. The noise is estimated from the errors; give repeats as rows, or their number in a column "
        "n_repeats.",
    )
    with pytest.raises(
        ValueError,
        match="'test_error', 'val_error' may each be the error; pass --metric-column test_error or --metric-column val",
    ):
        read_curves(written(tmp_path, "size,test_error,val_error\n10,0.5,0.4\n"))
    assert read_curves(written(tmp_path, "size,error,test_error\n10,0.5,0.4\n")).curve.error == 0.5
    accuracy = read_curves(written(tmp_path, "size,test_accuracy\n10,75%\n"), METRICS["accuracy"])
    assert accuracy.curve.error == 0.25
    with pytest.raises(ValueError, match=r"no column accuracy.*It has values of loss: pass --metric loss"):
        read_curves(written(tmp_path, "size,val_loss\n10,0.5\n"), METRICS["accuracy"])


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("size,error", lambda i: f"{i + 1},0.5"),
        ("size,error,seed", lambda i: f"{i % 300 + 1},0.5,{i // 300}"),
        ("size,error,curve", lambda i: f"{i % 10 + 1},{0.5 + i},c{i // 10}"),
    ],
    ids=["sizes", "seeds", "curves"],
)
@pytest.mark.slow
def test_the_time_is_linear_in_the_number_of_rows(tmp_path, heading, row):
    path = written(tmp_path, "\n".join([heading, *map(row, range(300_000))]))
    start = time.process_time()
    table = read_curves(path)
    assert time.process_time() - start < 4
    values = table.curve.error if table.curve.replicates is None else table.curve.replicates
    assert values.size == 300_000


def test_a_table_that_would_need_much_memory_is_refused_with_both_numbers(tmp_path):
    rows = (f"{i % 9000 + 1},0.5,run{i}" for i in range(9000))
    with pytest.raises(
        ValueError, match=r"1 curves, 9,000 repeats and 9,000 sizes .* 81,000,000 numbers, more than 67,"
    ):
        read_curves(written(tmp_path, "\n".join(["size,error,repeat", *rows])))


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = written(tmp_path, "size,error\n")
    os.truncate(path, 2**28 + 1)
    with pytest.raises(ValueError, match="it has 268,435,457 bytes, more than 268,435,456"):
        read_curves(path)
