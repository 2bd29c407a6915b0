"""Verdicts derived from the numbers."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from lcjax.studies.compression import verdicts as module
from lcjax.studies.compression.verdicts import verdicts

CURVE = np.array([[0.5, 0.9], [0.5, 0.9], [0.5, 0.9]])


@pytest.fixture
def loss(study):
    """Return a loss with three seeds and given fields."""
    base = study.result.losses[0]

    def make(name, **values):
        same = {"pruned_accuracy": [0.9] * 3, "accuracy": [0.9] * 3, "validation_curve": CURVE, "epoch": [1.0, 2.0]}
        arrays = {key: np.asarray(value) for key, value in {**same, **values}.items()}
        return dataclasses.replace(base, name=name, **arrays)

    return make


@pytest.fixture
def judge(study):
    def make(*losses, **fields):
        rows = verdicts([dataclasses.replace(study.result, losses=losses, **fields)])
        return {row.claim: row for row in rows if "->" in row.losses}

    return make


def test_compression_counts_at_equal_accuracy(loss, judge):
    claim = "compresses further at equal accuracy"
    a = loss("H", ratio=[2.0, 2.1, 2.2], fewest_bits=[8, 8, 9])
    b = loss("H+LCA", ratio=[9.0, 9.1, 9.5], fewest_bits=[8, 9, 9])
    rows = judge(a, b)
    assert rows[claim].holds
    assert rows[claim].losses == "H -> H+LCA"
    assert rows[claim].before == pytest.approx(np.prod([2.0, 2.1, 2.2]) ** (1 / 3))
    assert rows[claim].after == pytest.approx(np.prod([9.0, 9.1, 9.5]) ** (1 / 3))
    expected = scipy.stats.ttest_ind(np.log([2.0, 2.1, 2.2]), np.log([9.0, 9.1, 9.5]), equal_var=False).pvalue
    assert rows[claim].pvalue == pytest.approx(expected)
    assert not rows["stands fewer bits"].holds
    assert not rows["converges faster"].holds
    worse = dataclasses.replace(b, pruned_accuracy=np.full(3, 0.88))
    assert not judge(a, worse)[claim].holds
    assert judge(a, dataclasses.replace(b, pruned_accuracy=np.full(3, 0.895)))[claim].holds
    assert not judge(dataclasses.replace(b, name="H"), dataclasses.replace(a, name="H+LCA"))[claim].holds
    assert not judge(a, b, chance_error=0.1)[claim].holds  # no better than the largest class


def test_fewer_bits_and_earlier_epochs(loss, judge):
    slow = np.array([[0.5, 0.9], [0.5, 0.9], [0.5, 0.9]])
    fast = np.array([[0.895, 0.9], [0.895, 0.9], [0.895, 0.9]])
    a = loss("H", ratio=[2.0] * 3, fewest_bits=[8, 8, 8], validation_curve=slow)
    b = loss("H+LCA", ratio=[2.0] * 3, fewest_bits=[6, 6, 6], validation_curve=fast)
    rows = judge(a, b)
    assert (rows["stands fewer bits"].before, rows["stands fewer bits"].after) == (8, 6)
    assert rows["stands fewer bits"].holds
    assert (rows["converges faster"].before, rows["converges faster"].after) == (2, 1)
    assert rows["converges faster"].holds
    worse = dataclasses.replace(b, accuracy=np.full(3, 0.88))
    assert not any(judge(a, worse)[claim].holds for claim in ("stands fewer bits", "converges faster"))


def test_a_peak_is_above_full_precision(loss, study):
    base = loss("H", ratio=[2.0] * 3, fewest_bits=[8] * 3)
    full = np.array([0.80, 0.81, 0.82])
    by_bits = np.tile(full[:, None], (1, 15))
    by_bits[:, 4] += [0.010, 0.011, 0.012]
    curve = dataclasses.replace(
        base.quantization, full_measured={"accuracy": full}, measured={"accuracy": by_bits}
    )  # fmt: skip
    peaked = dataclasses.replace(base, quantization=curve)
    (row,) = verdicts([dataclasses.replace(study.result, losses=(peaked,))])
    assert (row.claim, row.losses) == ("peaks below full precision", "H, 12 bits")
    assert (row.before, row.after) == (pytest.approx(0.81), pytest.approx(0.821))
    expected = 15 * scipy.stats.ttest_1samp([0.010, 0.011, 0.012], 0).pvalue
    assert row.pvalue == pytest.approx(expected)
    assert row.holds == (expected < 0.05)
    (one_class,) = verdicts([dataclasses.replace(study.result, losses=(peaked,), chance_error=0.178)])
    assert not one_class.holds


def test_pvalues_of_samples_without_variation():
    assert module._welch(np.ones(3), np.ones(3)) == 1
    assert module._welch(np.ones(3), np.zeros(3)) == 0
    assert np.isnan(module._welch(np.ones(1), np.zeros(3)))
    assert module._pair_test(np.ones(2), np.ones(2)) == 1
    assert module._pair_test(np.ones(2), np.zeros(2)) == 0
    assert np.isnan(module._pair_test(np.ones(1), np.zeros(1)))
