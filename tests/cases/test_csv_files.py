"""CSV files as users have them, from spreadsheets and experiment trackers: read, or refused with what to do."""

import json

import numpy as np
import pytest

from lcjax.curves.metrics import METRICS
from lcjax.curves.readers.csv import read_curves

SIZES = [500, 1000, 2000, 4000, 8000, 16000]
ERRORS = [0.312, 0.241, 0.187, 0.146, 0.115, 0.0912]
REPEATS = [[0.312, 0.3182, 0.3073], [0.241, 0.2458, 0.2374], [0.187, 0.1907, 0.1842]]


def table(heading, separator=",", sizes=SIZES, errors=ERRORS, row="{size}{separator}{error}"):
    rows = (row.format(size=s, error=e, separator=separator) for s, e in zip(sizes, errors, strict=True))
    return "\n".join([heading, *rows]) + "\n"


def tracker(heading, row, repeats):
    return table(heading, sizes=np.repeat(SIZES[:3], repeats), errors=np.ravel([r[:repeats] for r in REPEATS]), row=row)


PLAIN = table("size,error")
PERCENT = [f"{100 * error:.4g}" for error in ERRORS]
SAME = {  # read as the sizes and errors above
    "bom": "\ufeff" + PLAIN,
    "comments": "# measured on the laptop\n# second try\n" + PLAIN,
    "decimal_comma": table("size;error", ";").replace(".", ","),
    "decimal_comma_tabs": table("size\terror", "\t").replace(".", ","),
    "k_suffix": table("size,error", sizes=["0.5k", "1k", "2k", "4k", "8k", "16k"]),
    "k_suffix_mixed": table("size,error", sizes=["500", "1 K", "2K", "0.004M", "8e3", "0.000016B"]),
    "percent_sign": table("size,error", errors=[f"{error}%" for error in PERCENT]),
    "percent_sign_space": table("size,error", errors=[f"{error} %" for error in PERCENT]),
    "percent_sign_decimal_comma": table("size;error", ";", errors=[f"{error} %" for error in PERCENT]).replace(
        ".", ","
    ),
    "quoted_thousands": table("size,error", sizes=["500", *(f'"{size:,}"' for size in SIZES[1:])]),
    "quoted_decimal_comma": table("size,error", errors=[f'"{error}"'.replace(".", ",") for error in ERRORS]),
    "ragged_trailing": PLAIN.replace("0.146\n", "0.146,\n"),
    "sep_line": "sep=;\n" + table("size;error", ";"),
    "sep_line_comma_decimals": "sep=;\n" + table("size;error", ";").replace(".", ","),
    "spaces": table("size error", " ", row="  {size:<8}{error}  "),
    "tabs": table("size\terror", "\t"),
    "trailing_comma": table("size,error,", row="{size},{error},"),
    "thin_spaces": table("size,error", sizes=["500", *(f"{size:,}".replace(",", "\u2009") for size in SIZES[1:])]),
    "underscores": table("size,error", sizes=["500", *(f"{size:_}" for size in SIZES[1:])]),
    "apostrophes": table("size,error", sizes=["500", *(f"{size:,}".replace(",", "'") for size in SIZES[1:])]),
    "upper_semicolon_crlf": table("SIZE;ERROR", ";").replace("\n", "\r\n"),
    "old_line_ends": PLAIN.replace("\n", "\r"),
}
HEADINGS = [
    "n_train,test_error", "train_size,test_error", "Training size,Error rate", "num_examples,val_loss", "N,error",
    "samples,err", "dataset_size,mse", "config.n_train,summary.test_error", "params.train_size,metrics.test_error",
]  # fmt: skip
MISSING = ["", "nan", "NaN", "NA", "n/a", "-", "–", "—", "null", "None", "?"]
ANNOUNCED = {  # read as the sizes and errors above, with a note
    "accuracy_column": (
        table("size,test_accuracy", errors=[1 - error for error in ERRORS]),
        "'test_accuracy' is used as accuracy",
    ),
    "transposed": (
        "\n".join([",".join(map(str, ["size", *SIZES])), ",".join(map(str, ["error", *ERRORS]))]),
        "The sizes are read from the first line",
    ),
    "no_heading": (PLAIN.removeprefix("size,error\n"), "no header row; its first column is used as size, the"),
    "plus_minus": (table("size,error", row="{size},{error} ± 0.01"), "Not used: the spreads beside the values"),
    "std_column": (table("size,error,std", row="{size},{error},0.01"), "Not used: 'std'. The noise is estimated"),
    "heading_in_a_comment": (table("# size,error"), "The comment 'size,error' is used as the header row"),
    "percent_in_the_heading": (table("size,Error (%)", errors=PERCENT), "'Error (%)' is used as error"),
}
STEPS = "'Step' counts steps of a training, not training examples.*--size-column 'Step' --unit steps"
REFUSED = {
    "tracker_history": (
        table('"Step","lively-1 - test_error","lively-1 - test_error__MIN"', row='"{size}","{error}","{error}"'),
        f"no column size; its columns are Step, lively-1 - test_error, .*{STEPS}",
    ),
    "scalars_step_value": (
        table("Wall time,Step,Value", row="1706781600.05,{size},{error}"),
        f"no column size and no column error; its columns are Wall time, Step, Value.*{STEPS} and name the values",
    ),
    "size_zero": (table("size,error\n0,0.9"), "line 2: a size must be a positive number.*got '0'; correct or remove"),
    "duplicate_marks": (
        table("size,error,training", row="{size},{error},1") + "4000,0.1475,0\n",
        "line 8: the size '4000' is both to be fitted and held out in one curve; remove one of the rows, or give both",
    ),
    "no_heading_three_columns": (
        table("400,0.35,0.01", row="{size},{error},0.01"), "its first line, 400, 0.35, 0.01, holds numbers; put a"
    ),
    "repeat_twice": (
        table("size,error,repeat", row="{size},{error},0\n{size},{error},0"),
        "line 3: its size occurs twice for the repeat '0' of one curve; number the repeats .* or leave the column out",
    ),
    "total_row": (PLAIN + "total,0.182\n", "line 8: size must be a number, got 'total'"),
    "two_errors": (
        table("size,test_error,val_error", row="{size},{error},{error}"),
        "may each be the error; pass --metric-column test_error or --metric-column val_error",
    ),
    "two_metrics": (
        table("size,accuracy,auc", row="{size},0.5,0.6"), "the metrics accuracy, auc; pass --metric accuracy or --met"
    ),
    "curves_or_repeats": (
        table("size,error,dropout", row="{size},{error},0.1\n{size},{error},0.5"),
        r"its column 'dropout' \(0.1, 0.5\) may name several curves. Pass --curve-column dropout .* --select dropout=0",
    ),
    "workbook": ("PK\x03\x04", "a workbook of a spreadsheet or another ZIP archive; export it as CSV"),
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def read(content, *options, encoding="utf-8"):
        path = tmp_path / "curve.csv"
        path.write_bytes(content.encode(encoding))
        return read_curves(path, *options)

    return read


@pytest.mark.parametrize("case", SAME)
def test_the_same_numbers_in_other_clothes(read, case):
    curves = read(SAME[case])
    np.testing.assert_array_equal(curves.curve.size, [SIZES])
    np.testing.assert_allclose(curves.curve.error, [ERRORS], rtol=1e-12)
    assert (curves.absent, curves.notes, curves.curve.replicates) == (0, (), None)


@pytest.mark.parametrize("heading", HEADINGS)
def test_other_headings_are_taken_and_announced(read, heading):
    curves = read(table(heading))
    np.testing.assert_array_equal(curves.curve.size, [SIZES])
    np.testing.assert_array_equal(curves.curve.error, [ERRORS])
    size, error = heading.split(",")
    notes = [f"The column {size!r} is used as size.", f"The column {error!r} is used as error."]
    assert list(curves.notes) == notes[: 1 if error == "error" else 2]


@pytest.mark.parametrize("mark", MISSING)
def test_a_row_without_an_error_is_left_out_and_counted(read, mark):
    curves = read(PLAIN.replace("0.187", mark))
    np.testing.assert_array_equal(curves.curve.size, [SIZES[:2] + SIZES[3:]])
    assert curves.absent == 1


def test_runs_of_a_tracker(read):
    heading = '"Name","State","Created","Runtime","config.n_train","seed","summary.test_error"'
    row = '"lively-0","finished","2024-02-01T10:00:00.000Z","300","{size}",,"{error}"'
    curves = read(tracker(heading, row, 2))
    np.testing.assert_allclose(curves.curve.replicates[0].T, [errors[:2] for errors in REPEATS])
    heading = "Start Time,Duration,Run ID,Name,Status,params.train_size,params.seed,metrics.test_error"
    rows = [f"2024-03-01T08:00:00Z,2.0min,a1b2{i},able,FINISHED,{s},{i % 2},{ERRORS[i]}" for i, s in enumerate(SIZES)]
    curves = read("\n".join([heading, *rows]))
    np.testing.assert_array_equal(curves.curve.error, [ERRORS])
    assert [note.split("'")[1] for note in curves.notes] == ["params.train_size", "metrics.test_error", "params.seed"]


@pytest.mark.parametrize("case", ANNOUNCED)
def test_other_layouts_are_read_and_announced(read, case):
    content, note = ANNOUNCED[case]
    curves = read(content)
    np.testing.assert_array_equal(curves.curve.size, [SIZES])
    np.testing.assert_allclose(curves.curve.error, [ERRORS], rtol=1e-9)
    assert note in curves.notes[-1]


def test_a_column_for_each_seed_or_model(read):
    seeds = read(
        table("size,seed0,seed1,seed2", sizes=SIZES[:3], errors=REPEATS, row="{size},{error[0]},{error[1]},{error[2]}")
    )
    np.testing.assert_allclose(seeds.curve.replicates[0].T, REPEATS)
    assert "are read as repeats of the error" in seeds.notes[0]
    for heading in ("size,mlp,lenet", "size,error_mlp,error_lenet", "n,mlp test_error,lenet test_error"):
        models = read(table(heading, row="{size},{error},0.5"))
        assert models.names == ("mlp", "lenet")
        np.testing.assert_array_equal(models.curve.error, [ERRORS, [0.5] * 6])
    both = read(table("size,mlp_seed0,mlp_seed1,vgg_seed0,vgg_seed1", row="{size},{error},{error},0.5,0.6"))
    assert both.names == ("mlp", "vgg")
    np.testing.assert_allclose(both.curve.error[1], 0.55)


def test_an_accuracy_by_another_name(read):
    curves = read(table("size,test_accuracy", errors=[1 - error for error in ERRORS]), METRICS["accuracy"])
    np.testing.assert_allclose(curves.curve.error, [ERRORS])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_are_read_by_their_mark(read, encoding):
    assert read(table("size,error,curve", row="{size},{error},Prüfung"), encoding=encoding).names == ("Prüfung",)


def test_latin_1_is_refused_with_its_line(read):
    with pytest.raises(ValueError, match="line 2: byte 0xfc is not UTF-8; save the file as UTF-8"):
        read(table("size,error,curve", row="{size},{error},Prüfung"), encoding="latin-1")


@pytest.mark.parametrize("case", REFUSED)
def test_other_tables_are_refused_in_one_line_with_the_remedy(read, case):
    content, message = REFUSED[case]
    with pytest.raises(ValueError, match=rf"^\S+curve\.csv.*{message}.*\.$") as refusal:
        read(content)
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_columns_that_are_taken_or_not_used_are_printed_and_stored(lcjax, tmp_path):
    path = tmp_path / "curve.csv"
    sizes = 100 * np.arange(1, 62)
    path.write_text(table("n_train,error,std", sizes=sizes, errors=sizes**-0.3, row="{size},{error},0.01"))
    options = ("--form", "last_value", "--draws", "20", "--output", tmp_path / "out")
    code, out, err = lcjax("fit", path, *options)
    assert (code, err) == (0, "")
    assert "The column 'n_train' is used as size." in out
    assert "Not used: 'std'." in out
    assert "Read a curve of the metric error: 61 sizes, 100 to 6,100 examples." in out
    assert "31 of 61 sizes are shown; fit.json contains all of them." in out
    assert out.count("\n") < 61
    (only,) = json.loads((tmp_path / "out" / "fit.json").read_text())["curves"]
    assert len(only["size"]) == 61
    assert only["notes"][0] == "The column 'n_train' is used as size."
