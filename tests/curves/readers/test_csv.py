"""Learning curves from CSV files: both layouts, repeats, and a one-line message for every bad file."""

import math

import numpy as np
import pytest

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
        ("size,accuracy\n10,0.9\n", "no column error.*1 - accuracy"),
        ("n,err\n10,0.9\n", "no column size and no column error"),
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
    path.write_bytes(b"\xff\xfe\x00size")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_curves(path)
