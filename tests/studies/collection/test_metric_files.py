"""Metrics from files: JSON, CSV, MLflow's file store, and TensorBoard where it is installed."""

import importlib.util
import sys

import numpy as np
import pytest

from lcjax.studies.collection.trainers.command import Command
from lcjax.studies.collection.trainers.metric_files import read_metrics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"error": 0.25, "test": {"auc": 0.9}, "done": true}', {"error": 0.25, "test.auc": 0.9}),
        ('{\n "error": 0.25\n}\n', {"error": 0.25}),
        ('[{"error": 0.5}, {"error": 0.25}, "end"]', {"error": 0.25}),
        ('{"error": 0.5}\n{"error": 0.25}\n{"note": "end"}\n', {"error": 0.25}),
        ("\ufeffepoch,error,auc,model\n1,0.5,0.8,a\n2,0.25,,a\n", {"epoch": 2, "error": 0.25, "auc": 0.8}),
        ("epoch\terror\n1\t0.25\n", {"epoch": 1, "error": 0.25}),
    ],
    ids=["object", "lines", "list", "json lines", "csv", "tabs"],
)
def test_the_last_values_of_a_file_are_read(tmp_path, text, expected):
    (tmp_path / "metrics").write_text(text, encoding="utf-8")
    assert read_metrics(tmp_path / "metrics") == expected


def test_a_run_of_mlflow_is_read(tmp_path):
    run = tmp_path / "mlruns" / "0" / "abc"
    (run / "metrics" / "test").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: abc\n")
    (run / "metrics" / "error").write_text("1700000000 0.5 0\n1700000001 0.25 1\n")
    (run / "metrics" / "test" / "auc").write_text("1700000000 0.9 0\n")
    assert read_metrics(tmp_path) == read_metrics(run) == {"error": 0.25, "test/auc": 0.9}
    (run.parent / "def" / "metrics").mkdir(parents=True)
    (run.parent / "def" / "meta.yaml").write_text("run_id: def\n")
    with pytest.raises(ValueError, match="2 runs of MLflow"):
        read_metrics(tmp_path)


def test_event_files_are_read_where_tensorboard_is_installed(tmp_path):
    if importlib.util.find_spec("tensorboard") is None:
        (tmp_path / "events.out.tfevents.1.host").write_bytes(b"")
        with pytest.raises(ValueError, match="pip install tensorboard"):
            read_metrics(tmp_path)
        return
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for place, values in ((tmp_path, (0.5, 0.25)), (tmp_path / "validation", (0.75,))):
        writer = EventFileWriter(str(place))
        for step, value in enumerate(values):
            writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag="error", simple_value=value)])))
        writer.close()
    assert read_metrics(tmp_path) == {"error": 0.25, "validation/error": 0.75}


def test_what_has_no_metric_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("name\nnone\n")
    with pytest.raises(ValueError, match=r"a\.csv has no metric"):
        read_metrics(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="neither event files of TensorBoard nor a run of MLflow"):
        read_metrics(tmp_path)
    with pytest.raises(FileNotFoundError, match="No file or folder"):
        read_metrics(tmp_path / "absent")


def command(code, *words, **options):
    return Command((sys.executable, "-c", code, *words), **options)


def test_a_command_writes_to_a_folder_of_its_own(tmp_path):
    code = "import sys; open(sys.argv[1], 'w').write('n,error\\n' + sys.argv[2] + ',0.5\\n')"
    for name in ("{output}", "{folder}/log.csv"):
        assert command(code, name, "{size}", metrics_from=name)(0, np.arange(3)) == {"n": 3, "error": 0.5}
    path = tmp_path / "metrics.csv"
    one = command(code, str(path), "{size}", metrics_from=str(path))
    assert one(0, np.arange(3)) == {"n": 3, "error": 0.5}
    with pytest.raises(ValueError, match=r"it ended without writing .*metrics\.csv"):
        command("pass", "{size}", metrics_from=str(path))(0, np.arange(3))
    with pytest.raises(FileNotFoundError):
        command("pass", "{size}", "{output}", metrics_from="{output}")(0, np.arange(3))
    for words, read in ((("{size}", "{output}"), None), (("{size}",), "{folder}/log.csv")):
        with pytest.raises(ValueError, match="must both contain"):
            Command(words, metrics_from=read)
