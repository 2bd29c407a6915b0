"""The long table of measurements and its curves."""

import csv

import numpy as np
import pytest

from lcjax.curves.metrics import METRICS, Metric
from lcjax.curves.readers.csv import read_curves
from lcjax.studies.collection.measurements import Measurements, Training, gather, write_measurements


def trainings(**values):
    return [
        Training(size, repeat, {name: value(size) + 0.001 * repeat for name, value in values.items()}, 0.5)
        for size in (400, 100, 200)
        for repeat in (1, 0)
    ]


def test_rows_are_in_order_and_metrics_that_are_absent_are_nan():
    table = gather([*trainings(error=lambda n: n**-0.5), Training(800, 0, {"auc": 0.9}, 1.0)], ["size 800: lost"])
    assert table.size.tolist() == [100, 100, 200, 200, 400, 400, 800]
    assert table.repeat.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert table.metrics == ("auc", "error")
    assert np.isnan(table.value[:-1, 0]).all()
    assert np.isnan(table.value[-1, 1])
    assert table.failures == ("size 800: lost",)


def test_a_curve_has_the_mean_and_the_repeats():
    table = gather([*trainings(error=lambda n: n**-0.5), Training(800, 0, {"error": 0.02}, 1.0)]).curves()
    np.testing.assert_array_equal(table.curve.size, [[100, 200, 400, 800]])
    np.testing.assert_allclose(table.curve.error[0, :3], np.array([100, 200, 400]) ** -0.5 + 0.0005)
    assert table.curve.replicates.shape == (1, 2, 4)
    assert np.isnan(table.curve.replicates[0, 1, 3])
    assert table.metric.name == "error"


def test_metrics_become_errors_by_their_direction():
    table = gather(trainings(auc=lambda n: 1 - 2 / n, rmse=lambda n: 3 * n**-0.5, score=lambda n: 50 - 100 / n))
    assert table.main_metric() == "auc"
    np.testing.assert_allclose(table.curves("auc").curve.replicates[0, 0], [0.02, 0.01, 0.005])
    np.testing.assert_allclose(table.curves("rmse").curve.replicates[0, 0], 9 / np.array([100, 200, 400]))
    own = table.curves(Metric("score", "maximize", (0.0, 60.0)))
    np.testing.assert_allclose(own.curve.replicates[0, 0], [11, 10.5, 10.25])
    assert own.metric.from_error(own.curve.replicates[0, 0, 0]) == pytest.approx(49)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("score", "'score' is not a known metric: give its best possible"),
        ("f1", "No training reports 'f1'; the metrics are accuracy, score"),
        ("accuracy", "The accuracy 51.* is better than the best possible value, 1"),
    ],
)
def test_metrics_that_cannot_be_meant_are_refused(metric, message):
    table = gather(trainings(score=lambda n: n / 400, accuracy=lambda n: 50 + n / 400))
    with pytest.raises(ValueError, match=message):
        table.curves(metric)


def test_several_unknown_metrics_need_a_choice():
    table = gather(trainings(a=lambda n: n / 400, b=lambda n: n / 400))
    with pytest.raises(ValueError, match=r"Name the metric to forecast.*a, b"):
        table.curves()
    assert gather(trainings(a=lambda n: n / 400)).main_metric() == "a"
    assert isinstance(gather([]), Measurements)


def test_the_table_is_written_without_formulas_and_read_as_curves(tmp_path):
    table = gather(trainings(**{"=cmd()": lambda n: 0.5, "error": lambda n: n**-0.5}))
    write_measurements(tmp_path / "m.csv", table)
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert len(rows) == 12
    assert {row["metric"] for row in rows} == {"'=cmd()", "error"}
    again, curves = read_curves(tmp_path / "m.csv"), table.curves(METRICS["error"])
    assert again.notes == ("The metric error is read; pass --metric for one of =cmd().",)
    np.testing.assert_array_equal(again.curve.error, curves.curve.error)
    np.testing.assert_array_equal(again.curve.replicates, curves.curve.replicates)


def test_the_table_of_classes_is_read_as_a_curve_for_each(tmp_path):
    values = {"error": 0.3, "error.standard_error": 0.01, "classes.cat": 0.4, "classes.cat.count": 50.0}
    write_measurements(tmp_path / "m.csv", gather(Training(size, 0, values, 1.0) for size in (100, 200)))
    whole = read_curves(tmp_path / "m.csv")
    assert whole.curve.error.tolist() == [[0.3, 0.3]]
    assert any("--curve-column class" in note for note in whole.notes)
    assert read_curves(tmp_path / "m.csv", curve_column="class").names == ("all", "cat")
    cat = read_curves(tmp_path / "m.csv", select={"class": "cat"})
    assert (cat.curve.error.tolist(), cat.curve.test_count.tolist()) == ([[0.4, 0.4]], [50.0])
