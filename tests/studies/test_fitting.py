"""Fits of curves from files: numbers, refused files, and notes."""

import dataclasses

import jax
import numpy as np
import pytest

from lcjax.curves.forms import last_value, mmf, power_law, power_law_offset
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import METRICS
from lcjax.curves.readers.csv import CurveTable
from lcjax.studies.fitting.fitted_curves import fit_learning_curves
from lcjax.studies.fitting.parts import PartRanking, rank_parts
from lcjax.studies.fitting.summary import summary

CHEAP = (last_value, power_law)
SIZE = 100.0 * 2.0 ** np.arange(10)
EXPONENT = np.array([-0.6, -0.4, -0.1, -0.06])


def table(size, error, fitted=None, names=("",), groups=None, **more):
    size, error = np.broadcast_to(size, np.shape(error)).astype(float), np.asarray(error, float)
    used = np.ones(error.shape, bool) if fitted is None else np.broadcast_to(fitted, error.shape)
    return CurveTable(LearningCurve(size, error, **more), used, 0, tuple(names), groups or ("",) * len(names))


def test_forecasts_and_targets_of_power_laws(forecasts):
    assert forecasts.ahead.shape == (4, 4)
    np.testing.assert_allclose(forecasts.predicted, 3.0 * forecasts.ahead ** EXPONENT[:, None], rtol=0.15)
    assert np.all((forecasts.low < forecasts.predicted) & (forecasts.predicted < forecasts.high))
    exact = (3.0 / 0.5) ** (-1 / EXPONENT)
    np.testing.assert_allclose(
        np.log(forecasts.target.size_for_error.value[:2]), np.log(np.maximum(exact[:2], SIZE[0])), atol=0.3
    )
    # A word model would need more than a million times its data, according to most draws.
    assert exact[3] > 1e6 * SIZE[-3]
    never = forecasts.target.size_for_error.never
    assert never[3] > 0.5 > never[0]
    assert forecasts.regions is None
    assert forecasts.target.next_size.size.shape == (4,)


def test_the_summary_holds_what_the_records_hold(forecasts):
    curves = summary(forecasts)
    assert [curve["curve"] for curve in curves] == ["images a", "images b", "words a", "words b"]
    law = curves[0]["forms"]["power_law"]
    exponent = law["parameters"]["exponent"]
    assert exponent["low"] < exponent["value"] < exponent["high"]
    np.testing.assert_allclose(exponent["value"], EXPONENT[0], atol=0.02)
    np.testing.assert_allclose(sum(form["weight"] for form in curves[0]["forms"].values()), 1, rtol=1e-6)
    assert float(curves[3]["size_for_error"].never) == float(forecasts.target.size_for_error.never[3])
    assert curves[1]["size"].shape == curves[1]["error"].shape == curves[1]["fitted"].shape == (10,)


def test_the_headline_has_the_forecasts_at_four_times_the_data(forecasts):
    value = forecasts.table.metric.format(forecasts.predicted[0, 1])
    assert str(forecasts).startswith(
        f"images a: error at {forecasts.ahead[0, 1]:,.0f} examples {value} (90 % interval "
    )
    names = tuple("abcdef")
    six = jax.tree.map(lambda leaf: np.concatenate([np.asarray(leaf)] * 2)[:6], forecasts)
    six = dataclasses.replace(six, table=dataclasses.replace(six.table, names=names))
    assert six.headline().endswith("; and 2 more")


def test_a_metric_that_is_named_is_not_taken_for_an_accuracy():
    named = dataclasses.replace(table([100, 200, 400], [[0.6, 0.7, 0.8]]), is_named=True)
    with pytest.raises(ValueError, match=r"but error should fall. To .* pass --allow-rising\.$"):
        fit_learning_curves(jax.random.key(0), named)


@pytest.mark.parametrize(
    ("size", "error", "options", "message"),
    [
        ([100, 200, 400], [0.6, 0.7, 0.8], {}, r"from 0.6 at 100 to 0.8 at 400.*1 - accuracy.*--allow-rising"),
        ([100], [0.6], {}, "has 1 size; at least 2"),
        ([100, 200, 400], [0.6, 0.5, 0.4], {"forms": (mmf,), "fine_tuning": True}, "nearest is mmf"),
        ([100, 200], [0.6, 0.5], {"forms": (mmf, power_law_offset)}, r"2 sizes; at least 3.*mmf \(4\)"),
        ([100, 200, 400], [0.9, 0.91, 0.9], {"guess": 0.9}, "nowhere below the chance error, 0.9"),
        ([100, 200, 400], [0.6, 0.5, 0.4], {"target_error": 0.0}, r"target_error.*got 0.0"),
        ([100, 200, 400], [0.6, 0.5, 0.4], {"dimension": -1.0}, r"dimension.*-1.0"),
        ([100, 200, 400], [0.6, 0.5, 0.4], {"guess": float("nan")}, r"guess.*nan"),
        ([100, 200, 400], [0.6, 0.5, 0.4], {"level": 1.5}, r"level.*1.5"),
        ([100, 200, 400], [0.6, 0.5, 0.4], {"forms": ()}, "0 forms"),
    ],
)
def test_curves_that_cannot_be_meant_are_refused(size, error, options, message):
    with pytest.raises(ValueError, match=message):
        fit_learning_curves(jax.random.key(0), table(np.array(size), [error]), **options)


@pytest.mark.slow
def test_zeros_chance_and_few_sizes_are_noted():
    error = np.array([[0.9, 0.5, 0.2, 0.05, 0.0]])
    forms = (last_value, power_law, mmf)
    given = table(100.0 * 4.0 ** np.arange(5), error, test_count=np.array([1000.0]))
    notes = " ".join(fit_learning_curves(jax.random.key(0), given, forms=CHEAP, draws=20, guess=0.9).notes[0])
    assert "Errors of 0 (number of sizes: 1) count as half an error in test_count" in notes
    assert "Number of sizes that are no better than chance (0.9): 1" in notes
    assert forms[2].__name__ not in notes
    zero = table(100.0 * 4.0 ** np.arange(5), 0 * error)
    notes = " ".join(fit_learning_curves(jax.random.key(0), zero, forms=CHEAP, draws=20).notes[0])
    assert "All errors are 0" in notes


def test_a_curve_that_worsens_is_described_in_its_metric():
    falling = dataclasses.replace(table(np.array([100, 200, 400]), [[0.4, 0.5, 0.6]]), metric=METRICS["accuracy"])
    with pytest.raises(ValueError, match=r"falls with size, from 0.6 at 100 to 0.4 at 400, but accuracy should rise"):
        fit_learning_curves(jax.random.key(0), falling)
    with pytest.raises(ValueError, match=r"nowhere above the chance accuracy, 0.7; its largest accuracy is 0.6"):
        fit_learning_curves(jax.random.key(0), falling, guess=0.3, allow_rising=True)


def test_the_sentence_of_parts_has_the_unit_of_the_metric():
    gain, low, high = np.array([0.0957, -0.0001]), np.array([-0.0195, -0.001]), np.array([0.191, 0.001])
    ranking = PartRanking(100.0 * np.array([1.0, 2.0, 4.0]), np.full((2, 3), 0.5), gain, low, high)
    names = ("digit 8", "digit 1")
    end = "the error of digit 8 most, by 9.57 percentage points (-1.95 to 19.1)."
    assert ranking.sentence(names, percent=True).endswith(f"Twice the data would reduce {end}")
    end = "the accuracy of digit 8 most, by 9.57 percentage points (-1.95 to 19.1)."
    assert ranking.sentence(names, percent=True, metric=METRICS["accuracy"]).endswith(f"would raise {end}")
    end = "the rmse of digit 8 most, by 0.0957 (-0.0195 to 0.191)."
    assert ranking.sentence(names, metric=METRICS["rmse"]).endswith(f"would reduce {end}")


@pytest.mark.slow
def test_gains_of_parts_are_in_the_unit_of_the_metric():
    """The mean squares of two groups fall as 1 / n, hence their roots by a factor of sqrt(2) per doubling."""
    square = 1e8 * np.array([[9.0], [4.0]]) * (SIZE / SIZE[0]) ** -1.0
    curves = dataclasses.replace(table(SIZE, square, names=("a", "b")), metric=METRICS["rmse"])
    ranking = rank_parts(fit_learning_curves(jax.random.key(0), curves, pooled=True))
    expected = np.sqrt(square[:, -1]) * (1 - 2**-0.5)
    np.testing.assert_allclose(ranking.gain, expected, rtol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "whole"), [(0.0, True), (0.5, False)])
def test_candidates_are_whole_if_the_sizes_are(shift, whole):
    size = 5.0 * 2.0 ** np.arange(5) + shift
    found = fit_learning_curves(jax.random.key(0), table(size, [2.0 * size**-0.4]), target_error=0.2, forms=CHEAP)
    candidates = np.asarray(found.target.next_size.candidates)
    assert bool(np.all(candidates % 1 == 0)) is whole
