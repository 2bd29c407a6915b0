"""Weights: the prior, and its update by back-tests."""

import numpy as np
import pytest
import scipy.stats

from lcjax.studies.prediction.methods.points import Fit, Points
from lcjax.studies.prediction.scoring.discrepancy import residual_noise
from lcjax.studies.prediction.scoring.weights import ODDS, SHRINKAGE, method_weights, prior_weights

SIZE = np.array([10.0, 20.0, 40.0, 80.0])


CUTS = [np.arange(4) < 3, np.arange(4) < 2]


def points_of():
    logs = -0.5 * np.log(SIZE)
    draws = logs + 0.05 * np.random.default_rng(0).normal(size=(200, 4))
    share, level, seed = np.ones((200, 1)), np.zeros(200), np.zeros(200, int)
    return Points(SIZE, logs, np.full(4, 0.1), draws, level, draws, draws, np.exp(logs)[None], share, seed)


def weights_of(miss):
    rng, points = np.random.default_rng(1), points_of()
    fits = {
        name: Fit(points.log_error + error, points.log_error + error + 0.1 * rng.normal(size=(2000, 1)), {}, True)
        for name, error in miss.items()
    }
    return method_weights([fits, fits], CUTS, np.ones(4, bool), points, np.arange(4))


def test_the_prior_favours_the_forecast_and_treats_the_rest_alike():
    prior = prior_weights(["hypercube", "distances", "power_law", "forecast"])
    assert prior["power_law"] == pytest.approx(ODDS * prior["forecast"])
    assert sum(prior.values()) == pytest.approx(1)
    assert prior["hypercube"] == prior["power_law"]
    assert prior_weights(["power_law", "hypercube"]) == {"power_law": 0.5, "hypercube": 0.5}


def test_a_method_that_misses_loses_the_shrunken_ratio_of_densities():
    equal = weights_of({"power_law": 0.0, "forecast": 0.0})
    missed = weights_of({"power_law": 0.0, "forecast": 0.3})
    assert sum(missed.values()) == pytest.approx(1)
    log_odds = [np.log(w["forecast"] / w["power_law"]) for w in (equal, missed)]
    # Both cuts predict the last error, which counts once, and the second cut the one before.
    losses = [log_density(cut, 0.0) - log_density(cut, 0.3) for cut in CUTS]
    before = log_density(CUTS[1], 0.0, 2) - log_density(CUTS[1], 0.3, 2)
    loss = SHRINKAGE * (sum(losses) / 2 + before)
    assert log_odds[0] - log_odds[1] == pytest.approx(loss, rel=0.2)


def log_density(cut, miss, place=3):
    """Return the density of an error for draws of standard deviation 0.1 about a prediction that misses it."""
    noise = residual_noise(points_of(), cut)[place]
    return scipy.stats.norm.logpdf(miss, scale=np.hypot(0.1, noise))


def test_without_a_back_test_there_are_no_weights():
    assert method_weights([], [], np.ones(4, bool), points_of(), np.arange(4)) == {}
