"""Differences of measured curves, against SciPy's t tests."""

import numpy as np
import pytest
import scipy.stats

from lcjax.curves.comparison.measured import align_curves, measure_differences
from lcjax.curves.learning_curve import LearningCurve

SIZE = np.array([100.0, 200.0, 400.0])


def curves(seed=0):
    """Return two curves of five repeats that share the deviations of their shards."""
    rng = np.random.default_rng(seed)
    shared, own = rng.normal(size=(1, 5, 3)), rng.normal(size=(2, 5, 3))
    repeats = np.array([0.30, 0.28])[:, None, None] + 0.01 * shared + 0.002 * own
    return LearningCurve(SIZE, repeats.mean(axis=1), replicates=repeats)


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_are_those_of_the_t_tests(paired):
    both = curves()
    found = measure_differences(both, paired=paired, level=0.8)
    first, second = both.replicates
    test = scipy.stats.ttest_rel(second, first) if paired else scipy.stats.ttest_ind(second, first, equal_var=False)
    low, high = test.confidence_interval(0.8)
    np.testing.assert_allclose(found.low[1], low, rtol=1e-9)
    np.testing.assert_allclose(found.high[1], high, rtol=1e-9)
    np.testing.assert_allclose(found.value[1], (second - first).mean(axis=0), rtol=1e-9)
    one_sided = scipy.stats.t.cdf(-np.asarray(test.statistic), np.asarray(test.df))
    np.testing.assert_allclose(found.probability[1], one_sided, rtol=1e-9)
    assert found.count[1].tolist() == ([5] * 3 if paired else [10] * 3)


def test_pairing_narrows_the_interval_of_repeats_that_share_their_shards():
    alone, together = (measure_differences(curves(), paired=paired) for paired in (False, True))
    assert np.all((together.high - together.low)[1] < 0.6 * (alone.high - alone.low)[1])


def test_without_pairing_the_order_of_repeats_does_not_matter():
    both = curves()
    mixed = np.array(both.replicates)
    mixed[1] = mixed[1][[3, 0, 4, 2, 1]]
    other = LearningCurve(SIZE, both.error, replicates=mixed)
    for name in ("value", "low", "high", "probability"):
        np.testing.assert_allclose(
            getattr(measure_differences(other), name), getattr(measure_differences(both), name), rtol=1e-12
        )
    assert not np.allclose(
        measure_differences(other, paired=True).low, measure_differences(both, paired=True).low, rtol=1e-3
    )


def test_a_swap_changes_the_sign():
    forward, backward = (measure_differences(curves(), baseline=i) for i in (0, 1))
    np.testing.assert_allclose(forward.value[1], -backward.value[0])
    np.testing.assert_allclose(forward.low[1], -backward.high[0])
    np.testing.assert_allclose(forward.probability[1], 1 - backward.probability[0])
    np.testing.assert_allclose(forward.probability[0], 0.5)


def test_absent_and_single_repeats_have_no_interval():
    repeats = np.full((2, 3, 3), np.nan)
    repeats[0], repeats[1, 0] = 0.3 + 0.01 * np.arange(9).reshape(3, 3), [0.2, 0.2, np.nan]
    error = np.array([repeats[0].mean(axis=0), [0.2, 0.2, np.nan]])
    for paired in (False, True):
        found = measure_differences(LearningCurve(SIZE, error, replicates=repeats), paired=paired)
        assert np.isnan(found.low[1]).all()
        assert np.isnan(found.probability[1]).all()
        np.testing.assert_allclose(found.value[1], error[1] - error[0])


def test_repeats_without_spread_have_an_interval_of_one_point():
    repeats = np.array([[[0.3]] * 3, [[0.2]] * 3])
    found = measure_differences(LearningCurve(SIZE[:1], repeats.mean(axis=1), replicates=repeats), paired=True)
    assert (found.low[1, 0], found.high[1, 0]) == pytest.approx((-0.1, -0.1))
    assert found.probability[1, 0] == pytest.approx(1.0)


def test_curves_are_aligned_on_the_union_of_their_sizes():
    short = LearningCurve(SIZE[:2], np.array([0.4, 0.3]), replicates=np.array([[0.4, 0.3]] * 2), test_count=100)
    aligned = align_curves([short, LearningCurve(SIZE[[2, 1]], np.array([0.1, 0.2]), test_count=50)])
    assert aligned.size.tolist() == SIZE.tolist()
    np.testing.assert_array_equal(aligned.error, [[0.4, 0.3, np.nan], [np.nan, 0.2, 0.1]])
    assert aligned.replicates.shape == (2, 2, 3)
    assert aligned.test_count.tolist() == [100, 50]


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (LearningCurve(SIZE, np.ones((2, 3))), r"curve 1 has sizes \(3,\) and errors \(2, 3\)"),
        (LearningCurve(SIZE, np.full(3, np.nan)), "Curve 1 has no measured size"),
        (LearningCurve(SIZE[[0, 0, 1]], np.array([0.3, 0.2, 0.1])), "a size twice; pass repeats as replicates"),
    ],
)
def test_what_is_no_single_curve_is_refused(curve, message):
    with pytest.raises(ValueError, match=message):
        align_curves([LearningCurve(SIZE, np.array([0.3, 0.2, 0.1])), curve])
