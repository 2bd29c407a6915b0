"""Fits of curves from files: what the numbers must be, which files are refused, how held-out sizes are scored."""

import jax
import numpy as np
import pytest

from lcjax.curves.forms import last_value, mmf, power_law, power_law_offset
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.readers.csv import CurveTable
from lcjax.studies.fitting import fit_learning_curves, score_held_out, summary

CHEAP = (last_value, power_law)
SIZE = 100.0 * 2.0 ** np.arange(10)
NAMES = ("images a", "images b", "words a", "words b")
EXPONENT = np.array([-0.6, -0.4, -0.1, -0.06])


def table(size, error, fitted=None, names=("",), groups=None, **more):
    size, error = np.broadcast_to(size, np.shape(error)).astype(float), np.asarray(error, float)
    used = np.ones(error.shape, bool) if fitted is None else np.broadcast_to(fitted, error.shape)
    return CurveTable(LearningCurve(size, error, **more), used, 0, tuple(names), groups or ("",) * len(names))


@pytest.fixture(scope="module")
def held_out():
    """Four noisy power laws in two domains; sizes above a quarter of the largest are held out."""
    rng = np.random.default_rng(0)
    error = 3.0 * SIZE ** EXPONENT[:, None] * np.exp(0.01 * rng.normal(size=(4, SIZE.size)))
    error[3, 9] = np.nan
    given = table(SIZE, error, SIZE[-1] / 4 >= SIZE, NAMES, ("images", "images", "words", "words"))
    return fit_learning_curves(jax.random.key(0), given, forms=CHEAP, draws=50, target_error=0.5)


def test_forecasts_and_targets_of_power_laws(held_out):
    assert held_out.ahead.shape == (4, 4)
    np.testing.assert_allclose(held_out.predicted, 3.0 * held_out.ahead ** EXPONENT[:, None], rtol=0.15)
    assert np.all((held_out.low < held_out.predicted) & (held_out.predicted < held_out.high))
    exact = (3.0 / 0.5) ** (-1 / EXPONENT)
    np.testing.assert_allclose(np.log(held_out.target.value[:2]), np.log(exact[:2]), atol=0.3)
    # A word model would need more than a million times its data, and most draws say so.
    assert exact[3] > 1e6 * SIZE[-3]
    assert held_out.target.never[3] > 0.5 > held_out.target.never[0]
    assert held_out.regions is None
    assert held_out.next_size.size.shape == (4,)


def test_scores_are_those_of_the_public_benchmark(held_out):
    scores = score_held_out(held_out, levels=(0.5, 0.9))
    given = held_out.table
    at = np.asarray(given.curve.size, np.float32)
    predicted = np.asarray(held_out.forecast.predict(at), float)
    limits = {level: [np.asarray(a, float) for a in held_out.forecast.interval(at, level)] for level in (0.5, 0.9)}
    expected, covered = [], []
    for i in range(4):
        out = ~given.fitted[i] & ~np.isnan(given.curve.error[i])
        truth = given.curve.error[i][out]
        expected.append(np.sqrt(np.mean((np.log(predicted[i][out]) - np.log(truth)) ** 2)))
        covered.append([np.mean((limits[v][0][i][out] <= truth) & (truth <= limits[v][1][i][out])) for v in (0.5, 0.9)])
    np.testing.assert_allclose(scores.score, expected, rtol=1e-5)
    for group, rows in {"all": slice(0, 4), "images": slice(0, 2), "words": slice(2, 4)}.items():
        np.testing.assert_allclose(scores.mean[group], np.mean(expected[rows]), rtol=1e-5)
        np.testing.assert_allclose(scores.geometric_mean[group], np.exp(np.mean(np.log(expected[rows]))), rtol=1e-5)
        np.testing.assert_allclose(scores.coverage[group], np.mean(covered[rows], axis=0), rtol=1e-6)
    assert scores.curves == {"all": 4, "images": 2, "words": 2}
    assert scores.mean["all"] < scores.last_value["all"]


def test_the_summary_holds_what_the_records_hold(held_out):
    told = summary(held_out)
    assert [curve["curve"] for curve in told] == list(NAMES)
    law = told[0]["forms"]["power_law"]
    exponent = law["parameters"]["exponent"]
    assert exponent["low"] < exponent["value"] < exponent["high"]
    np.testing.assert_allclose(exponent["value"], EXPONENT[0], atol=0.02)
    np.testing.assert_allclose(sum(form["weight"] for form in told[0]["forms"].values()), 1, rtol=1e-6)
    assert told[3]["target"]["never"] == float(held_out.target.never[3])
    assert told[1]["size"].shape == told[1]["error"].shape == told[1]["fitted"].shape == (10,)


def test_nothing_to_score_is_said(held_out):
    import dataclasses

    whole = dataclasses.replace(held_out.table, fitted=np.ones_like(held_out.table.fitted))
    with pytest.raises(ValueError, match="No size is held out"):
        score_held_out(dataclasses.replace(held_out, table=whole))


@pytest.mark.parametrize(
    ("size", "error", "options", "message"),
    [
        ([100, 200, 400], [0.6, 0.7, 0.8], {}, r"from 0.6 at 100 to 0.8 at 400.*1 - accuracy.*--allow-rising"),
        ([100], [0.6], {}, "has 1 size, at least 2"),
        ([100, 200], [0.6, 0.5], {"forms": (mmf, power_law_offset)}, r"2 sizes, at least 3.*mmf \(4\)"),
        ([100, 200, 400], [0.9, 0.91, 0.9], {"guess": 0.9}, "nowhere below the error of guessing, 0.9"),
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


def test_zeros_guessing_and_few_sizes_are_noted():
    error = np.array([[0.9, 0.5, 0.2, 0.05, 0.0]])
    forms = (last_value, power_law, mmf)
    given = table(100.0 * 4.0 ** np.arange(5), error, test_count=np.array([1000.0]))
    notes = " ".join(fit_learning_curves(jax.random.key(0), given, forms=CHEAP, draws=20, guess=0.9).notes[0])
    assert "Errors of 0 at 1 sizes count as half an error in test_count" in notes
    assert "1 sizes are no better than guessing (0.9)" in notes
    assert forms[2].__name__ not in notes
