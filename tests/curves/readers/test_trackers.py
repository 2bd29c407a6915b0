"""Folders of MLflow and TensorBoard."""

import numpy as np
import pytest

from lcjax.curves.readers.csv import read_curves


def run(folder, name, **files):
    for key, content in files.items():
        path = folder / "0" / name / key.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_runs_of_mlflow(tmp_path):
    for i, (size, error) in enumerate([(100, 0.4), (200, 0.3), (200, 0.32)]):
        history = f"1700000000000 0.9 0\n1700000000001 {error} 10\n1700000000002 0.8 5\n"
        settings = {"params__n_train": f"{size}\n", "params__seed": str(i), "metrics__test_error": history}
        run(
            tmp_path,
            f"run{i}",
            **settings,
            metrics__loss="1 3 0\n",
            **{"meta.yaml": "lifecycle_stage: active\nstatus: 3\n"},
        )
    deleted = {"meta.yaml": "lifecycle_stage: deleted"}
    run(tmp_path, "gone", params__n_train="400", metrics__test_error="1 0.1 0", **deleted)
    failed = {"meta.yaml": "lifecycle_stage: active\nstatus: 4\n"}
    run(tmp_path, "lost", params__n_train="400", metrics__test_error="1 0.9 0", metrics__loss="1 3 0", **failed)
    with pytest.raises(ValueError, match="pass --metric loss or --metric error"):
        read_curves(tmp_path)
    table = read_curves(tmp_path, metric_column="metrics.test_error")
    np.testing.assert_allclose(table.curve.error, [[0.4, 0.31]])
    assert table.notes[0] == "Read 4 runs; each metric is its value at the last step."
    assert table.notes[1] == "Left out: 1 runs that have not finished (status failed)."


def test_csv_exports_of_tensorboard(tmp_path):
    for size, seed, error in [(100, 0, 0.4), (200, 0, 0.3), (200, 1, 0.32)]:
        text = f"Wall time,Step,Value\n1.7e9,0,0.9\n1.7e9,10,{error}\n"
        (tmp_path / f"run-n_train={size},seed={seed}-tag-test_error.csv").write_text(text)
    table = read_curves(tmp_path)
    np.testing.assert_allclose(table.curve.error, [[0.4, 0.31]])
    (tmp_path / "run-x-tag-test_error.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"tag-test_error\.csv is not a TensorBoard export: it has no columns Step"):
        read_curves(tmp_path)


def test_event_files_of_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for size, seed, error in [(100, 0, 0.4), (200, 0, 0.3), (200, 1, 0.32)]:
        writer = EventFileWriter(str(tmp_path / f"n_train={size},{seed}"))
        session = HParamsPluginData()
        session.session_start_info.hparams["seed"].number_value = seed
        value = Summary.Value(tag="_hparams_/session_start_info")
        value.metadata.plugin_data.plugin_name = "hparams"
        value.metadata.plugin_data.content = session.SerializeToString()
        writer.add_event(Event(summary=Summary(value=[value])))
        for step, value in enumerate((0.9, error)):
            summary = Summary(value=[Summary.Value(tag="test_error", simple_value=value)])
            writer.add_event(Event(summary=summary, step=step))
        writer.close()
    table = read_curves(tmp_path)
    np.testing.assert_allclose(table.curve.error, [[0.4, 0.31]], rtol=1e-6)
    assert table.curve.replicates.shape == (1, 2, 2)
    assert "The column 'hparams.seed' is used as repeat." in table.notes


def test_folders_without_runs_are_refused_with_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match="it has no runs: a folder of MLflow has params and metrics in the folder of"):
        read_curves(tmp_path)
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot be read: (event files of TensorBoard need|its columns|it has no)"):
        read_curves(tmp_path)
    run(tmp_path, "run", metrics__error="no numbers")
    with pytest.raises(ValueError, match=r"error is not a metric file of MLflow: no line is `timestamp value step`"):
        read_curves(tmp_path)
