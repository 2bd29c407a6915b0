"""Warning of curves that are given as errors and rise, once for a batch, by the check of the commands."""

import warnings

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.curves import METRICS, RisingCurveWarning
from lcjax.curves.answer.plausibility import check_rise, is_rising, warn_of_rise
from lcjax.curves.metrics import ERROR

SIZE = 100.0 * 2.0 ** np.arange(5)
ACCURACY = np.array([0.6, 0.68, 0.75, 0.8, 0.84])


def test_the_warning_and_the_refusal_of_commands_agree():
    generator = np.random.default_rng(0)
    kinds = set()
    for trend in np.linspace(-0.1, 0.1, 21):
        error = np.exp(trend * np.arange(5) + 0.05 * generator.normal(size=5))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_rise(SIZE, error, stacklevel=1)
        try:
            check_rise("", SIZE, error, ERROR)
            refused = False
        except ValueError:
            refused = True
        assert bool(caught) == refused == is_rising(SIZE, error)
        kinds.add(refused)
    assert kinds == {True, False}


def test_a_batch_is_warned_of_once_in_any_order_of_sizes():
    order = np.array([3, 0, 4, 1, 2])
    batch = np.stack([ACCURACY, 1 - ACCURACY, np.where(np.arange(5) == 2, np.nan, ACCURACY)])[:, order]
    with pytest.warns(
        RisingCurveWarning, match=r"2 of 3 curves rise with size, the first from 0\.6 at 100 to"
    ) as caught:
        warn_of_rise(SIZE[order], batch, stacklevel=1)
    assert len(caught) == 1


@pytest.mark.slow
def test_forecasts_and_comparisons_of_accuracies_are_warned_of_once():
    key, metric = jax.random.key(0), METRICS["accuracy"]
    with pytest.warns(RisingCurveWarning, match="lcjax.curves.METRICS"):
        lc.forecast(key, lc.LearningCurve(SIZE, ACCURACY))
    lc.forecast(key, lc.LearningCurve(SIZE, metric.to_error(ACCURACY)))
    lc.forecast(key, lc.LearningCurve(SIZE, ACCURACY), allow_rising=True)
    curves = {"a": lc.LearningCurve(SIZE, ACCURACY), "b": lc.LearningCurve(SIZE, ACCURACY)}
    with pytest.warns(RisingCurveWarning, match="2 of 2 curves") as caught:
        lc.compare_curves(key, curves)
    assert len(caught) == 1
    lc.compare_curves(key, curves, allow_rising=True)
