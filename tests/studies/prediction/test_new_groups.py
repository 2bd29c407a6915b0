"""The shift to new groups: networks that recognize the groups in training, and those that do not."""

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.prediction.answer.new_groups import shift_to_new_groups
from lcjax.training import SweepResult


class Trained(SweepResult):
    """Stands for a sweep of two seeds, each trained on half of the examples."""

    def __init__(self, n, validation_wrong):
        object.__setattr__(self, "validation_wrong", validation_wrong)
        object.__setattr__(self, "n", n)

    def shard(self, row):
        return np.arange(row, self.n, 2)


def task(groups, new):
    train = lc.Examples(np.zeros((400, 1)), np.arange(400) % 2, groups)
    return lc.Data(train, lc.Examples(np.zeros((len(new), 1)), np.arange(len(new)) % 2, new), None, classes=2)


def test_examples_outside_the_shards_count_once_and_by_group(monkeypatch):
    groups, new = np.repeat(np.arange(10, dtype=np.int32), 40), np.repeat(np.arange(10, 15, dtype=np.int32), 40)
    rng = np.random.default_rng(0)
    wrong, validation = rng.random((2, 400)) < 0.1, rng.random((2, 200)) < 0.3
    monkeypatch.setattr("lcjax.studies.prediction.answer.new_groups.evaluate", lambda *_: wrong)
    shift = shift_to_new_groups(Trained(400, validation), task(groups, new), [0, 1])
    # Example i is outside the shard of the seed that did not train on it.
    outside = np.where(np.arange(400) % 2 == 0, wrong[1], wrong[0])
    assert float(shift.known) == pytest.approx(outside.mean())
    assert float(shift.new) == pytest.approx(validation.mean())
    assert float(shift.low) > 0
    assert shift_to_new_groups(Trained(400, validation), task(None, new), [0, 1]) is None
    assert shift_to_new_groups(Trained(400, validation), task(groups, np.zeros(200, np.int32)), [0, 1]) is None


def test_groups_go_with_their_examples():
    rng = np.random.default_rng(1)
    names = np.repeat([f"person {i}" for i in range(12)], 30)
    inputs, labels = rng.normal(size=(360, 2)), np.tile([0, 1], 180)
    data = lc.data_from_arrays(inputs, labels, groups=names)
    parts = [set(np.asarray(part.groups).tolist()) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == 12 == len(set.union(*parts))
    small = lc.data.limit_training(data, 50)
    rows = [np.flatnonzero((np.asarray(data.train.inputs) == row).all(axis=1))[0] for row in small.train.inputs]
    np.testing.assert_array_equal(small.train.groups, np.asarray(data.train.groups)[rows])
