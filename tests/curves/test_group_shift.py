"""Errors clustered by group: a reference, coverage for correlated mistakes, bad input."""

import json

import numpy as np
import pytest
import scipy.stats

from lcjax.curves.group_shift import GroupShift, error_by_group, group_shift
from lcjax.records import from_dict, to_dict


def test_equal_groups_have_the_error_of_their_means():
    wrong, groups = np.random.default_rng(0).random((3, 60)) < 0.3, np.repeat(np.arange(12), 5)
    mean, error, count = error_by_group(wrong, groups)
    means = wrong.mean(axis=0).reshape(12, 5).mean(axis=1)
    assert (mean, count) == (pytest.approx(wrong.mean()), 12)
    assert error == pytest.approx(scipy.stats.sem(means))
    order = np.random.default_rng(1).permutation(60)
    assert error_by_group(wrong[:, order], groups[order])[1] == pytest.approx(error)


def test_the_interval_is_welchs():
    rng = np.random.default_rng(0)
    known, new = rng.random(40), rng.random(15) + 0.1
    found = group_shift(known, np.arange(40), new, np.arange(100, 115), level=0.8)
    expected = scipy.stats.ttest_ind(new, known, equal_var=False).confidence_interval(0.8)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])
    again = from_dict(GroupShift, json.loads(json.dumps(to_dict(found))))
    assert float(again.shift) == float(found.shift)


def test_the_truth_is_covered_where_mistakes_within_a_group_are_correlated():
    """Persons of different difficulty: intervals by example would cover half of the time."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    for _ in range(300):
        rates = rng.beta([1.0] * 20 + [2.0] * 10, [9.0] * 20 + [8.0] * 10)
        groups = np.repeat(np.arange(30), 30)
        wrong = rng.random(900) < rates[groups]
        found = group_shift(wrong[:600], groups[:600], wrong[600:], groups[600:])
        covered += found.low <= 0.1 <= found.high
        by_example = np.sqrt(wrong[:600].var() / 600 + wrong[600:].var() / 300)
        naive += abs(found.shift - 0.1) < 1.645 * by_example
    assert abs(covered / 300 - 0.9) < 0.05
    assert naive / 300 < 0.75


def test_wrong_arguments_raise():
    wrong, groups = np.zeros(4), np.array(["a", "a", "b", "b"])
    with pytest.raises(ValueError, match=r"2 groups occur among the known and the new ones, such as .*a"):
        group_shift(wrong, groups, wrong, groups)
    with pytest.raises(ValueError, match="at least 2 groups, got 1"):
        error_by_group(wrong, np.zeros(4, int))
    with pytest.raises(ValueError, match=r"4 mistakes and groups of shape \(3,\)"):
        error_by_group(wrong, groups[:3])
    with pytest.raises(ValueError, match=r"got 0\.0"):
        group_shift(wrong, groups, wrong, np.array(["c", "c", "d", "d"]), level=0.0)
