"""Results in other people's tools: long tables, data frames, MLflow and TensorBoard, against the real libraries."""

import math

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.csv_files import csv_text, write_csv
from lcjax.curves.forms import power_law
from lcjax.curves.metrics import METRICS
from lcjax.curves.readers.csv import read_curves
from lcjax.studies.collection.measurements import Training, gather
from lcjax.studies.fitting.fitted_curves import fit_learning_curves
from lcjax.tracking import TrackedResult, find_tracker, log_to_mlflow, log_to_tensorboard, to_columns, to_frame
from lcjax.tracking.scalars import to_scalars


@pytest.fixture
def measurements():
    rows = [
        Training(n, r, {"accuracy": 1 - n**-0.5 + 0.01 * r, "=a": float(n)}, 0.25) for n in (100, 400) for r in (0, 1)
    ]
    return gather(rows)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text("curve,size,repeat,accuracy\na,100,0,0.7\na,100,1,0.8\na,200,0,0.9\nb,100,0,0.5\nb,200,0,0.6\n")
    return read_curves(path, METRICS["accuracy"])


def test_a_table_of_curves_is_long(table):
    columns = to_columns(table)
    assert list(columns) == ["curve", "size", "repeat", "accuracy", "fitted"]
    rows = list(zip(*(columns[name] for name in ("curve", "size", "repeat")), strict=True))
    assert rows == [("a", 100, 0), ("a", 100, 1), ("a", 200, 0), ("b", 100, 0), ("b", 200, 0)]
    np.testing.assert_allclose(columns["accuracy"], [0.7, 0.8, 0.9, 0.5, 0.6])


def test_absent_values_have_no_row():
    curve = lc.LearningCurve(np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.5, np.nan], [0.4, 0.3]]))
    columns = to_columns(curve)
    assert columns["curve"] == ["curve 0", "curve 1", "curve 1"]
    assert columns["error"] == [0.5, 0.4, 0.3]


def test_cells_are_no_formulas(tmp_path):
    names = ["=1+1", "+1", "-1", "@a", "\tb", " =c", "fine", "a=b"]
    text = csv_text({"=heading": names, "value": [1, 2.5, math.nan, None, True, -3, 1e-30, "-x"]})
    heading, *rows = text.splitlines()
    assert heading == "'=heading,value"
    assert [row.partition(",")[0] for row in rows] == ["'=1+1", "'+1", "'-1", "'@a", "'\tb", "' =c", "fine", "a=b"]
    assert [row.partition(",")[2] for row in rows] == ["1", "2.5", "", "", "True", "-3", "1e-30", "'-x"]
    write_csv(tmp_path / "a.csv", {"a": ["ü"]})
    assert (tmp_path / "a.csv").read_bytes() == "a\nü\n".encode()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(measurements, library):
    pytest.importorskip(library, reason=f"{library} is not installed")
    frame = to_frame(measurements, library)
    assert type(frame).__module__.startswith(library)
    assert list(frame.columns) == ["size", "repeat", "metric", "value", "seconds"]
    assert len(frame) == 8


def test_a_library_that_is_not_installed_is_named(monkeypatch, measurements):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="install pandas or polars"):
        to_frame(measurements)
    with pytest.raises(ValueError, match="polars is not installed"):
        to_frame(measurements, "polars")
    with pytest.raises(ValueError, match=r"mlflow is not installed, .*: pip install mlflow"):
        find_tracker("mlflow:sqlite:///runs.db")


@pytest.mark.parametrize("address", ["", "wandb:x", "tensorboard:", "tensorboard", "/folder"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ValueError, match="A tracker is mlflow:URI or tensorboard:DIR"):
        find_tracker(address)


def test_scalars_are_means_and_repeats(measurements):
    scalars = {(one.series, one.name, one.size): one.value for one in to_scalars(TrackedResult("a", {}, measurements))}
    assert scalars["mean", "accuracy", 100.0] == pytest.approx(0.905)
    assert scalars["repeat-1", "accuracy", 100.0] == pytest.approx(0.91)
    assert len(scalars) == 12


@pytest.fixture
def result(tmp_path, table):
    fitted = fit_learning_curves(jax.random.key(0), table, forms=(power_law,), draws=20)
    (tmp_path / "report.html").write_text("<p>report</p>")
    settings = {"file": "curves.csv", "metric": table.metric, "sizes": [100, 200], "long": "x" * 10_000}
    return TrackedResult("fit", settings, table, fitted, [tmp_path / "report.html"])


@pytest.mark.slow
def test_forecasts_are_long(result):
    columns = to_columns(result.fitted)
    assert list(columns) == ["curve", "size", "accuracy", "low", "high", "level"]
    assert columns["curve"] == ["a"] * 4 + ["b"] * 4
    low, value, high = (np.array(columns[name]) for name in ("low", "accuracy", "high"))
    assert np.all((low <= value) & (value <= high))
    alone = to_columns(result.fitted.forecast)
    np.testing.assert_allclose(1 - np.array(alone["error"][1:5]), columns["accuracy"][:4], rtol=1e-5)


@pytest.mark.slow
def test_tensorboard_reads_the_event_files(tmp_path, result):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    find_tracker(f"tensorboard:{tmp_path / 'logs'}")(result)
    log_to_tensorboard(result._replace(name="again"), tmp_path / "logs")
    for name in ("fit", "again"):
        folder = tmp_path / "logs" / name
        series = {"mean", "repeat-0", "repeat-1", "forecast", "forecast-low", "forecast-high"}
        assert {path.name for path in folder.iterdir()} == series
        events = accumulator.EventAccumulator(str(folder / "mean")).Reload()
        assert events.Tags()["scalars"] == ["a/accuracy", "b/accuracy"]
        assert [(event.step, pytest.approx(event.value)) for event in events.Scalars("a/accuracy")] == [
            (100, 0.75), (200, 0.9),
        ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries that MLflow uses
def test_mlflow_holds_the_run(tmp_path, result, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.chdir(tmp_path)  # where artifacts are stored
    address = f"sqlite:///{tmp_path / 'runs.db'}"
    run = log_to_mlflow(result, address)
    client = mlflow.MlflowClient(tracking_uri=address)
    stored = client.get_run(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.params["sizes"] == "[100, 200]"
    history = client.get_metric_history(run, "a/accuracy")
    assert sorted((one.step, one.value) for one in history) == [(100, pytest.approx(0.75)), (200, pytest.approx(0.9))]
    assert "b/accuracy/forecast-low" in stored.data.metrics
    assert [file.path for file in client.list_artifacts(run)] == ["report.html"]
    find_tracker(f"mlflow:{address}")(result)
    assert len(client.search_runs([stored.info.experiment_id])) == 2
