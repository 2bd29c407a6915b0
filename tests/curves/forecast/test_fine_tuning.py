"""The family of fine-tuning curves: recovery of its exponents, and forecasts against the default families."""

import jax
import numpy as np
import pytest

from lcjax.curves.forecast.families import FAMILIES, fine_tuning
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve

KEY = jax.random.key(0)
QUICK = {"chains": 32, "moves": 6}


@pytest.fixture(autouse=True)
def only_x64(x64):
    """The float32 program of the forecast is tested by test_forecast."""
    if not x64:
        pytest.skip("compiled once, in float64")


def law(size, exponent, position, outer, floor):
    """Return (B / (D + size^b) + E)^a, 1 at size 1 and with E as a share of what is raised to the power there."""
    learned = position**exponent
    return ((1 - floor) * (learned + 1) / (learned + size**exponent) + floor) ** outer


@pytest.mark.slow
def test_exponents_of_a_pre_power_and_a_power_phase_are_recovered():
    """The data have a flat phase of two decades and a power phase of three that ends near a floor."""
    size = 10.0 ** np.linspace(0.0, 5.0, 26)
    true = np.array([(0.9, 1.0, 0.1), (0.5, 1.0, 0.1), (0.6, 1.5, 0.2)])
    error = np.stack([law(size / size[-1], b, 1e-3, a, floor) for b, a, floor in true])
    error *= np.exp(0.003 * np.random.default_rng(0).normal(size=error.shape))
    result = forecast(KEY, LearningCurve(size, error), families=(fine_tuning(),), **QUICK)
    log_b, place, log_a, _ = np.moveaxis(np.asarray(result.posterior.parameters), -1, 0)
    # Their product is the exponent of the power phase.
    np.testing.assert_allclose(np.exp(np.median(log_b + log_a, axis=1)), true[:, 0] * true[:, 1], rtol=0.08)
    np.testing.assert_allclose(np.exp(np.median(log_b, axis=1)), true[:, 0], rtol=0.08)
    span = np.log(size[-1] / size[0])
    position = -0.5 * span + (0.4 * span + 0.5) * place
    np.testing.assert_allclose(np.median(position, axis=1), np.log(1e-3), atol=0.7)


@pytest.mark.slow
def test_forecasts_of_curves_from_its_prior_are_better_than_without_it():
    family, size, ahead = fine_tuning(), 100.0 * 2.0 ** np.arange(9), 100.0 * 2.0 ** np.array([11.0, 12.0])
    rng = np.random.default_rng(1)
    u = np.asarray(family.location) + np.asarray(family.scale) * rng.normal(size=(12, 4))
    span = np.log(size[-1] / size[0])
    position = np.exp(-0.5 * span + (0.4 * span + 0.5) * u[:, 1])
    arguments = [a[:, None] for a in (np.exp(u[:, 0]), position, np.exp(u[:, 2]), 1 / (1 + np.exp(-u[:, 3])))]
    error = law(size / size[-1], *arguments) * np.exp(0.01 * rng.normal(size=(12, 9)))
    truth = np.log(law(ahead / size[-1], *arguments))
    curve = LearningCurve(size, error)
    log_errors = []
    for families in (FAMILIES, (*FAMILIES, family)):
        result = forecast(KEY, curve, families=families, **QUICK)
        log_errors.append(np.mean(np.abs(np.log(result.predict(ahead)) - truth)))
    assert log_errors[1] < 0.9 * log_errors[0]
