"""Discrepancy of methods and the predictive distribution of a measured error."""

import numpy as np
import pytest
import scipy.stats

from lcjax.studies.prediction.methods.points import Fit, Points
from lcjax.studies.prediction.scoring.discrepancy import (
    PRIOR,
    Discrepancy,
    Predictive,
    back_test_cuts,
    estimate_discrepancy,
    residual_noise,
)

SIZE = np.array([10.0, 20.0, 40.0, 80.0])


def points_with(draws):
    logs = -0.5 * np.log(SIZE)
    number = len(draws)
    share, level, seed = np.ones((number, 1)), np.zeros(number), np.zeros(number, int)
    return Points(SIZE, logs, np.full(4, 0.1), draws, level, draws, draws, np.exp(logs)[None], share, seed)


def test_cuts_leave_out_the_largest_sizes_and_keep_two():
    used = np.array([True, True, True, False])
    assert [cut.tolist() for cut in back_test_cuts(used, SIZE, 2)] == [[True, True, False, False]]
    assert [cut.sum() for cut in back_test_cuts(np.ones(4, bool), SIZE, 3)] == [3, 2]
    assert back_test_cuts(np.array([True, True, False, False]), SIZE, 2) == []


def test_noise_common_to_all_sizes_does_not_count():
    rng = np.random.default_rng(0)
    common = -0.5 * np.log(SIZE) + 0.3 * rng.normal(size=(2000, 1))
    used = np.array([True, True, True, False])
    np.testing.assert_allclose(residual_noise(points_with(common), used), 0, atol=1e-9)
    last = common + np.array([0, 0, 0, 1]) * 0.1 * rng.normal(size=(2000, 1))
    assert residual_noise(points_with(last), used)[3] == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("miss", [0.0, 0.4])
def test_errors_of_the_back_test_update_the_prior(miss):
    points = points_with(np.tile(-0.5 * np.log(SIZE), (5, 1)))
    used = np.ones(4, bool)
    cut = np.array([True, True, True, False])
    fit = Fit(points.log_error - miss * ~cut, points.draws, {}, True)
    found = estimate_discrepancy([fit], [cut], used, points, np.arange(4))
    expected = PRIOR.degrees * PRIOR.scale**2 + miss**2 / np.log(2) ** (2 * PRIOR.power)
    assert found.scale == pytest.approx(np.sqrt(expected / (PRIOR.degrees + 1)))
    assert found.degrees == PRIOR.degrees + 1


def test_the_density_is_that_of_a_student_distribution_with_normal_noise():
    discrepancy, ratio, noise = Discrepancy(0.3, 5.0, 1.0), np.log(np.array([1.0, 3.0])), np.array([0.2, 0.1])
    draws = np.tile([[-2.0, -3.0]], (400, 1))
    predictive = Predictive.of(draws, ratio, discrepancy, noise)
    grid = np.linspace(-12, 12, 24_001)
    for i, value in enumerate((-2.2, -2.6)):
        scale = max(discrepancy.at(ratio)[i], 1e-9)
        weight = scipy.stats.t.pdf(grid, 5.0, scale=scale) if scale > 1e-6 else None
        normal = scipy.stats.norm.pdf(value - draws[0, i] - grid, scale=noise[i])
        expected = scipy.stats.norm.pdf(value - draws[0, i], scale=noise[i])
        if weight is not None:
            expected = np.sum(weight * normal) / np.sum(weight)
        actual = predictive.log_density(np.full(2, value))[i]
        assert actual == pytest.approx(np.log(expected), abs=0.03)
    spread = predictive.measurements()[:, 0].std()
    assert spread == pytest.approx(0.2, rel=0.05)
