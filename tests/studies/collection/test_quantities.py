"""Classes, groups, standard errors, counts and costs of trainings, in tables, files and curves."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.curves.metrics import METRICS, find_metric
from lcjax.curves.readers.csv import read_curves
from lcjax.studies.collection.measurements import Training, gather, write_measurements
from lcjax.studies.collection.quantities import Quantity, parse_quantity, tabulate
from lcjax.studies.collection.trainers.trainer import check_values


def report(n, repeat):
    error = 2 / n + 0.001 * repeat
    return {
        "error": {"value": error, "standard_error": 0.01},
        "accuracy": 1 - error,
        "classes": {
            "cat": {"error": 2 * error, "count": 40},
            "dog": {"error": {"value": error / 2, "standard_error": 0.02, "count": 60}},
            "owl": {"error": {"count": 0}},
        },
        "groups": {"north": {"accuracy": 1 - error / 2}, "south": {"accuracy": 1 - 2 * error}},
        "cost": 0.1 * n,
    }


@pytest.fixture
def table():
    return gather(Training(n, r, check_values(report(n, r)), 1.0) for n in (100, 200, 400) for r in (0, 1))


def test_names_are_taken_apart():
    assert parse_quantity("error") == Quantity("error")
    assert parse_quantity("groups.a.b.error.count") == Quantity("error", group="a.b", statistic="count")
    assert parse_quantity("classes.cat") == Quantity("", "cat")
    assert parse_quantity("classes.") == Quantity("classes.")
    assert parse_quantity("test.error.value") == Quantity("test.error")


letters = st.text("abcxyz éß_-", min_size=1, max_size=8)


@given(letters, st.text("abc. ", min_size=1, max_size=8), st.sampled_from(["", ".count", ".standard_error"]))
def test_any_class_comes_back_whole(metric, label, statistic):
    one = parse_quantity(f"classes.{label}.{metric}{statistic}")
    assert (one.metric, one.label) == (metric, label)


def test_the_table_has_wholes_parts_and_costs(table):
    assert table.metrics == ("accuracy", "error")
    np.testing.assert_allclose(table.cost, [10, 10, 20, 20, 40, 40])
    np.testing.assert_allclose(table.standard_error[:, 1], 0.01)
    assert np.isnan(table.standard_error[:, 0]).all()
    assert ("error", "owl", "") in table.parts
    assert ("accuracy", "", "south") in table.parts


def test_each_class_has_its_curve_with_the_number_of_its_test_examples(table):
    found = table.part_curves("class", "error")
    assert found.names == ("cat", "dog")
    assert found.notes == ("The class 'owl' has no test example: nothing is known about its error.",)
    np.testing.assert_allclose(found.curve.error[0], 2 * np.array([0.0205, 0.0105, 0.0055]))
    np.testing.assert_allclose(found.curve.replicates[1, 1], (2 / np.array([100, 200, 400]) + 0.001) / 2)
    assert found.curve.test_count.tolist() == [40, 60]
    groups = table.part_curves("group", "accuracy")
    np.testing.assert_allclose(groups.curve.error[1], 2 * np.array([0.0205, 0.0105, 0.0055]))


@pytest.mark.parametrize(
    ("kind", "metric", "message"),
    [
        ("classes", "error", "kind must be class or group, got 'classes'"),
        ("group", "error", "No training reports the error of each group; metrics with such parts: accuracy"),
        ("class", "f1", "No training reports 'f1'"),
    ],
)
def test_parts_that_are_not_there(table, kind, metric, message):
    with pytest.raises(ValueError, match=message):
        table.part_curves(kind, metric)


def test_classes_without_any_test_example_are_told():
    table = gather([Training(10, 0, {"error": 0.1, "classes.owl.error.count": 0.0}, 1.0)])
    with pytest.raises(ValueError, match="No class has a test example"):
        table.part_curves()


def test_bare_numbers_of_classes_are_of_the_only_metric():
    table = gather([Training(10, 0, {"f1": 0.5, "classes.a": 0.4, "classes.b": 0.6, "cost": 3.0}, 1.0)])
    assert table.part_curves(metric="f1").names == ("a", "b")
    assert tabulate([]) == {}


def test_the_long_table_is_read_back(table, tmp_path):
    path = tmp_path / "measurements.csv"
    write_measurements(path, table)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 6 * 7
    owl = [row for row in rows if row["class"] == "owl"]
    assert {(row["value"], row["count"]) for row in owl} == {("", "0.0")}
    assert {row["cost"] for row in rows} == {"10.0", "20.0", "40.0"}
    again = read_curves(path, METRICS["error"])
    np.testing.assert_allclose(again.curve.error, table.curves("error").curve.error)
    classes = read_curves(path, METRICS["error"], curve_column="class")
    assert classes.names == ("all", "cat", "dog")
    assert "Left out, because nothing was measured: 'owl'." in classes.notes
    np.testing.assert_allclose(classes.curve.error[1:], table.part_curves("class", "error").curve.error)


def test_the_number_of_test_examples_reaches_the_curve_and_the_file(tmp_path):
    reports = [{"error": {"value": 10 / n, "standard_error": 0.01, "count": 50}} for n in (100, 200)]
    table = gather(Training(n, 0, check_values(one), 1.0) for n, one in zip((100, 200), reports, strict=True))
    curves = table.curves()
    assert curves.curve.test_count.tolist() == [50]
    assert "those of test examples that all sizes share" in curves.notes[0]
    write_measurements(tmp_path / "m.csv", table)
    assert [row["count"] for row in csv.DictReader((tmp_path / "m.csv").read_text().splitlines())] == ["50.0", "50.0"]


@pytest.mark.parametrize(
    ("metric", "value", "remedy"),
    [
        (METRICS["accuracy"], 88.5, "for percentages, pass --best 100"),
        (find_metric("elo", 10.0), 9.8, "if larger values are better, pass --maximize"),
    ],
)
def test_a_value_beyond_the_best_comes_with_a_remedy(metric, value, remedy):
    table = gather([Training(100, 0, {metric.name: value}, 1.0)])
    with pytest.raises(ValueError, match=remedy):
        table.curves(metric)
