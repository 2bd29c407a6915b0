"""Tasks of an array job that share the folder of a collection."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lcjax.studies.collection.collect import collect
from lcjax.studies.collection.store import Store

SIZES = (10, 20, 40)


def power_law(seed, indices):
    return {"error": len(indices) ** -0.5 * (1 + 0.01 * seed)}


def test_tasks_train_one_each_and_are_gathered(tmp_path):
    expected = collect(power_law, SIZES, repeats=2, examples=100)

    def run(task):
        return collect(power_law, SIZES, repeats=2, examples=100, folder=tmp_path, task=task)

    with ThreadPoolExecutor(6) as pool:
        rows = [*pool.map(run, range(6))]
    assert [(int(row.size[0]), int(row.repeat[0])) for row in rows] == [(n, r) for n in SIZES for r in range(2)]
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [f"trainings-{i}.jsonl" for i in range(6)]
    reports = []
    gathered = collect(power_law, SIZES, repeats=2, examples=100, folder=tmp_path, on_progress=reports.append)
    assert reports == []
    np.testing.assert_array_equal(gathered.value, expected.value)
    np.testing.assert_array_equal(run(3).value, expected.value[3:4])
    with pytest.raises(ValueError, match="task must be a number from 0 to 5, got 6"):
        run(6)


def test_tasks_and_other_processes_exclude_each_other(tmp_path):
    identity = {"trainer": "a"}
    first, second = Store(tmp_path, identity, task=1), Store(tmp_path, identity, task=2)
    for task in (1, None):
        with pytest.raises(ValueError, match="Another process is collecting into"):
            Store(tmp_path, identity, task)
    first.close()
    second.close()
    alone = Store(tmp_path, identity)
    with pytest.raises(ValueError, match="Another process is collecting into"):
        Store(tmp_path, identity, task=1)
    alone.close()
    Store(tmp_path, identity, task=1).close()
