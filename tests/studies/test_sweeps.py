"""Sweeps as stages: folders that keep their names, labels of progress, and diverged runs."""

import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.sweeps import prefix_stage, refuse_failures, relabel, run_stage, runs_folder
from lcjax.training import Budget, Runs, cosine, momentum, with_replacement
from lcjax.typing import Progress


@pytest.fixture(scope="module")
def table():
    examples = lc.Examples(np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(12, dtype=np.int32) % 3)
    data = lc.Data(examples, examples, None, classes=3)
    program = lc.Program(
        lc.models.MLP((12,), 3), lc.cross_entropy, momentum, cosine, 4, Budget(steps=100), with_replacement
    )  # fmt: skip
    columns = {"size": np.array([4, 12]), "seed": np.array([0, 7]), "learning_rate": np.array([0.1, 0.05])}
    return data, Runs((program,), np.zeros(2, int), columns)


def test_folders_of_sweeps_keep_their_names(table, tmp_path):
    """The expected names date from format 3 of the folders."""
    data, runs = table
    assert runs_folder(str(tmp_path), "measure", jax.random.key(3), runs, data).name == "measure-ab2ea9d2ee01"
    assert runs_folder(tmp_path, "measure", jax.random.key(3), runs, data).parent == tmp_path / "runs"
    others = [
        (jax.random.key(4), runs, data),
        (jax.random.key(3), dataclasses.replace(runs, shards=lc.data.independent_shards), data),
        (jax.random.key(3), runs.rows([0]), data),
        (jax.random.key(3), runs, dataclasses.replace(data, tolerance=0.2)),
    ]
    for key, runs, data in others:
        assert runs_folder(tmp_path, "measure", key, runs, data).name != "measure-ab2ea9d2ee01"
    with jax.default_matmul_precision("float32"):
        assert runs_folder(tmp_path, "measure", jax.random.key(3), table[1], table[0]).name != "measure-ab2ea9d2ee01"
    elsewhere = dataclasses.replace(table[0], name="/another/path")  # where the data lie does not matter
    assert runs_folder(tmp_path, "measure", jax.random.key(3), table[1], elsewhere).name == "measure-ab2ea9d2ee01"
    assert runs_folder(None, "measure", jax.random.key(3), runs, data) is None


def test_a_stage_stores_its_runs_and_reports_them(table, key, tmp_path):
    data, runs = table
    events = []
    options = {"name": "a", "label": "train two", "folder": tmp_path, "on_progress": events.append}
    result = run_stage(key, data, runs, keep=True, **options)
    assert all(variables is not None for variables in result.params)
    assert {event.stage for event in events} == {"train two"}
    assert (events[-1].done, events[-1].total) == (200, 200)
    events.clear()
    again = run_stage(key, data, runs, keep=True, **options)
    np.testing.assert_array_equal(again.train_loss, result.train_loss)
    assert {event.stage for event in events} <= {"train two (2 of 2 restored)"}
    assert run_stage(key, data, runs, name="a", label="b").params == (None, None)
    np.testing.assert_array_equal(run_stage(key, data, runs, name="a", label="b").train_loss, result.train_loss)


def test_labels_replace_stages():
    events = []
    progress = Progress("train", 1, 2, runs=4, restored=3)
    relabel(events.append, "grid")(progress)
    prefix_stage(events.append, "mlp")(progress)
    assert [event.stage for event in events] == ["grid (3 of 4 restored)", "mlp: train"]
    assert [(event.done, event.total) for event in events] == [(1, 2)] * 2
    assert relabel(None, "grid") is prefix_stage(None, "mlp") is None


def test_a_diverged_run_is_named(table, key):
    data, runs = table
    result = run_stage(key, data, runs, name="a", label="b")
    refuse_failures(result)
    failed = dataclasses.replace(result, status=np.array([0, 1]), steps=np.array([100, 7]))
    with pytest.raises(
        ValueError, match=r"1 of 2 trainings diverged, the first with seed 7 and 12 examples after 7 steps"
    ):
        refuse_failures(failed)
