"""Scores at held-out sizes: densities, intervals, and a mixture of methods."""

import numpy as np
import pytest
import scipy.stats

from lcjax.studies.prediction.scoring.discrepancy import EXACT, Predictive
from lcjax.studies.prediction.scoring.held_out import score_methods


def predictive(center, noise=0.2):
    return Predictive.of(np.tile(center, (500, 1)), np.zeros(len(center)), EXACT, np.full(len(center), noise))


def score(centers, weights, measured, draws=None):
    draws = np.tile(measured, (4, 1)) if draws is None else draws
    return score_methods(centers, {n: predictive(c) for n, c in centers.items()}, weights, measured, draws)


def test_a_score_is_the_density_of_the_measured_error():
    center, measured = np.log([0.1, 0.05]), np.log([0.12, 0.02])
    scores = score({"a": center}, {"a": 1.0}, measured)
    expected = scipy.stats.norm.logpdf(measured, center, 0.2)
    for one in scores.values():  # a mixture of one method is the method
        np.testing.assert_allclose(one.log_error, center - measured)
        np.testing.assert_allclose(one.log_density, expected, atol=1e-6)
        assert float(one.log_score) == pytest.approx(expected.mean())
        np.testing.assert_allclose(np.log(one.interval), center + 0.2 * np.array([[-1.645], [1.645]]), atol=0.01)
        assert one.inside.tolist() == [True, False]


def test_a_mixture_averages_densities_and_joins_intervals():
    measured = np.log([0.1, 0.05])
    scores = score({"a": measured - 1.0, "b": measured + 1.0}, {"a": 0.5, "b": 0.5}, measured)
    both = scores["answer"]
    np.testing.assert_allclose(both.log_density, scores["a"].log_density, atol=1e-6)  # symmetric
    low, high = np.log(both.interval) - measured
    np.testing.assert_allclose([-low, high], np.full((2, 2), 1.0 + 0.2 * scipy.stats.norm.ppf(0.9)), atol=0.03)


def test_the_distance_from_the_best_score_has_the_error_of_the_measurement():
    measured = np.log([0.1, 0.05])
    draws = measured + 0.1 * np.random.default_rng(0).normal(size=(100, 1))
    scores = score({"a": measured, "b": measured + 0.2}, {"a": 1.0, "b": 0.0}, measured, draws)
    assert float(scores["a"].behind) == 0
    assert float(scores["b"].behind) == pytest.approx(0.5)
    # The difference of the densities is linear in the measured error: (0.02 - 0.2 e) / 0.2^2 for an error of e.
    assert float(scores["b"].behind_error) == pytest.approx(0.1 * 0.2 / 0.2**2, rel=0.15)
