"""Layouts of tables of curves: each the same curve, and what may be another one is refused with the options."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcjax.curves.readers.csv import read_curves

SIZES = [100, 200, 400]
LONG = """size,repeat,metric,value,seconds,class,standard_error
100,0,accuracy,0.6,1.5,,0.01
100,0,accuracy,0.5,1.5,cat,0.02
100,0,auc,0.8,1.5,,
100,1,accuracy,0.64,1.4,,0.01
100,1,auc,0.82,1.4,,
200,0,accuracy,0.7,2.5,,0.01
200,0,accuracy,0.66,2.5,cat,0.02
200,0,auc,0.9,2.5,,
"""


@pytest.fixture
def read(tmp_path):
    def read(text, *arguments, **options):
        path = tmp_path / "curve.csv"
        path.write_text(text)
        return read_curves(path, *arguments, **options)

    return read


def test_a_long_table_has_one_metric_at_a_time(read, tmp_path):
    (tmp_path / "measurements.csv").write_text(LONG)
    table = read(LONG)
    assert table.metric.name == "accuracy"
    np.testing.assert_allclose(table.curve.replicates, [[[0.4, 0.3], [0.36, math.nan]]])
    assert "The metric accuracy is read; pass --metric for one of auc." in table.notes
    assert "Rows of one class are left out; --curve-column class reads a curve for each." in table.notes
    np.testing.assert_allclose(table.curve.sampling_error, [[0.01, 0.01]])
    assert "Used as known standard errors beside the noise of trainings: 'standard_error'." in table.notes
    auc = read(LONG, "auc")
    np.testing.assert_allclose(auc.curve.error, [[0.19, 0.1]])
    assert not any("is read; pass --metric" in note for note in auc.notes)
    assert auc.is_named
    assert read_curves(tmp_path).metric.name == "accuracy"  # the folder of a collection
    classes = read(LONG, curve_column="class")
    assert classes.names == ("all", "cat")
    np.testing.assert_allclose(classes.curve.error, [[0.38, 0.3], [0.5, 0.34]])
    with pytest.raises(ValueError, match="it has no metric rmse; its metrics are accuracy, auc"):
        read(LONG, "rmse")


def test_a_table_with_the_sizes_across(read):
    one = read("size,100,200,400\nerror,0.4,0.3,0.2\nstd,0.1,0.1,0.1\n")
    np.testing.assert_array_equal(one.curve.error, [[0.4, 0.3, 0.2]])
    several = read("model,100,200,400\nmlp,0.4,0.3,0.2\nvgg,0.3,0.2,0.1\n")
    assert several.names == ("mlp", "vgg")
    seeds = read(",100,200,400\nseed 0,0.4,0.3,0.2\nseed 1,0.3,0.2,0.1\n", "error")
    assert seeds.curve.replicates.shape == (1, 2, 3)


def test_columns_of_runs_of_one_size_each_are_repeats(read):
    table = read(
        "n_train,fox - test_error,fox - test_error__MIN,owl - test_error\n100,0.4,0.3,\n100,,,0.5\n200,0.2,,\n"
    )
    assert table.names == ("fox", "owl")  # fox has two sizes
    table = read("n_train,fox - test_error,owl - test_error\n100,0.4,\n200,,0.2\n")
    assert (table.names, table.absent) == (("",), 0)
    np.testing.assert_array_equal(table.curve.error, [[0.4, 0.2]])


@pytest.mark.parametrize("column", ["arch", "dropout", "fold"])
def test_rows_of_one_size_are_repeats_only_if_nothing_else_is_meant(read, column):
    values = ("a", "b") if column == "arch" else ("1", "2")
    rows = [f"{n},{1 / n + i / 10:.3f},{value}" for i, value in enumerate(values) for n in SIZES]
    text = "\n".join([f"n_train,test_error,{column}", *rows])
    if column == "fold":
        assert read(text).curve.replicates.shape == (1, 2, 3)
        return
    with pytest.raises(
        ValueError, match=rf"its column '{column}' \({values[0]}, {values[1]}\) may name several curves"
    ):
        read(text)
    assert read(text, curve_column=column).names == values
    assert read(text, repeat_column=column).curve.replicates.shape == (1, 2, 3)
    assert read(text, select={column: values[1]}).curve.error[0, 0] == pytest.approx(0.11)
    with pytest.raises(ValueError, match=rf"no row has {column}=z; its values are {values[0]}, {values[1]}"):
        read(text, select={column: "z"})


def test_a_column_named_model_has_a_curve_for_each(read):
    rows = [f"{n},{1 / n:.3f},{model}" for model in "ab" for n in SIZES]
    table = read("\n".join(["size,error,model", *rows]))
    assert table.names == ("a", "b")
    assert table.notes == ("A curve is read for each 'model'.",)
    assert read("\n".join(["size,error,model", *rows]), repeat_column="model").names == ("",)


def test_several_columns_together_number_the_repeats_or_name_the_curves(read):
    rows = [f"{n},{1 / n:.3f},{seed},{fold}" for n in SIZES for seed in "01" for fold in "012"]
    assert read("\n".join(["size,error,seed,fold", *rows])).curve.replicates.shape == (1, 6, 3)
    table = read("\n".join(["size,error,net,data", *rows]), curve_column=("net", "data"))
    assert table.names == ("0 0", "0 1", "0 2", "1 0", "1 1", "1 2")


def test_columns_are_chosen_by_name(read):
    text = "points,score,other,who\n100,0.6,1,a\n200,0.7,2,a\n"
    table = read(text, "accuracy", size_column="points", metric_column="Score")
    np.testing.assert_allclose(table.curve.error, [[0.4, 0.3]])
    with pytest.raises(ValueError, match="--metric-column score: pass --metric too, such as error"):
        read(text, size_column="points", metric_column="score")
    with pytest.raises(
        ValueError, match="--size-column: it has no column 'n'; its columns are points, score, other, who"
    ):
        read(text, size_column="n")


def test_a_spread_with_its_number_of_repeats_is_the_noise(read):
    mean, deviation = np.array([0.4, 0.3, 0.2]), np.array([0.04, 0.02, 0.01])
    rows = [f"{n},{m},{d},5" for n, m, d in zip(SIZES, mean, deviation, strict=True)]
    table = read("\n".join(["size,error,error_std,n_seeds", *rows]))
    np.testing.assert_allclose(table.curve.replicates[0].mean(axis=0), mean)
    np.testing.assert_allclose(table.curve.replicates[0].std(axis=0, ddof=1), deviation)
    assert table.notes == ("Used as the spread of the repeats: 'error_std'.",)
    rows = [f"{n},{m} ± {d},5" for n, m, d in zip(SIZES, mean, deviation, strict=True)]
    same = read("\n".join(["size,error,n_seeds", *rows]))
    np.testing.assert_array_equal(same.curve.replicates, table.curve.replicates)
    rows = [f"{n},{m},{d / math.sqrt(5)},5" for n, m, d in zip(SIZES, mean, deviation, strict=True)]
    same = read("\n".join(["size,error,sem,n_seeds", *rows]))
    np.testing.assert_allclose(same.curve.replicates, table.curve.replicates)
    wide = read("\n".join(["size,error,sem,n_seeds", *(f"{n},{m},{m},9" for n, m in zip(SIZES, mean, strict=True))]))
    assert wide.curve.replicates is None
    assert "as large as the errors" in wide.notes[-1]


@settings(max_examples=15)
@given(
    errors=st.lists(st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=2), min_size=2, max_size=6),
    separator=st.sampled_from(",;\t|"),
    names=st.sampled_from([("mlp", "vgg"), ("ResNet-50", "VGG 16"), ("a b", "ü"), ("R50", "R101")]),
)
def test_every_layout_of_the_same_curves_is_the_same_table(tmp_path_factory, errors, separator, names):
    sizes = [100 * 2**i for i in range(len(errors))]
    rows = [(str(n), *map(repr, pair)) for n, pair in zip(sizes, errors, strict=True)]
    long = [["size", "curve", "error"], *([n, name, pair[i]] for i, name in enumerate(names) for n, *pair in rows)]
    wide = [["n_train", *(f"{name} - test_error" for name in names)], *map(list, rows)]
    across = [["model", *map(str, sizes)], *([name, *(row[i + 1] for row in rows)] for i, name in enumerate(names))]
    metric = [["n_train", "curve", "metric", "value"], *([n, name, "error", value] for n, name, value in long[1:])]
    frame = {heading: list(cells) for heading, *cells in zip(*long, strict=True)}
    path = tmp_path_factory.mktemp("layouts") / "curve.csv"
    tables = [read_curves(frame)]
    for layout in (long, wide, across, metric):
        path.write_text("\n".join(separator.join(row) for row in layout), "utf-8")
        tables.append(read_curves(path))
    for table in tables:
        assert table.names == names
        np.testing.assert_array_equal(table.curve.size, [sizes] * 2)
        np.testing.assert_array_equal(table.curve.error.T, errors)


def test_data_frames_standard_input_and_mappings(monkeypatch, tmp_path):
    table = read_curves({"n_train": np.array([100, 200]), "val_accuracy": [0.6, 0.7]})
    np.testing.assert_allclose(table.curve.error, [[0.4, 0.3]])
    (tmp_path / "in").write_text("size,error\n100,0.4\n")
    with (tmp_path / "in").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert read_curves("-").curve.error == 0.4
    with pytest.raises(ValueError, match="data frame, row 1: a size must be a positive number of examples, got '0'"):
        read_curves({"size": [0], "error": [0.5]})


def test_a_parquet_file(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"n_train": [100.5, 200], "error": [0.4, None]}), tmp_path / "a.parquet")
    table = read_curves(tmp_path / "a.parquet")
    assert (table.curve.size.tolist(), table.absent) == ([[100.5]], 1)
