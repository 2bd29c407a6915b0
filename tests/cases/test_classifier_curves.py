"""Curves in the manner of image classifiers: a plateau near guessing, a steep fall, a flattening."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from lcjax.curves.readers.csv import read_curves
from lcjax.studies.fitting.fitted_curves import fit_learning_curves
from lcjax.studies.fitting.held_out import score_held_out

SHARED = Path(os.environ.get("LCJAX_SHARED", Path(__file__).parents[2].parent / "shared"))
FILE = SHARED / "cases" / "11-classifier-curves" / "curves.csv"
# Root mean square log errors at the held-out sizes: of the better of two plain broken power laws, averaged over curves.
BROKEN = 0.0344
LAST_VALUE = {
    "late cliff": 0.2021, "soft shoulder": 0.1589, "hundred classes": 0.2289, "one break": 0.3498,
    "two breaks steep between": 0.1431, "two breaks and a floor": 0.4051,
}  # fmt: skip


@pytest.fixture(scope="module")
def scores():
    if not FILE.is_file():
        pytest.skip(f"cases not found: no file {FILE} (set LCJAX_SHARED)")
    return score_held_out(fit_learning_curves(jax.random.key(0), read_curves(FILE), allow_rising=True))


@pytest.mark.slow
def test_forecasts_of_classifier_curves_are_near_the_held_out_errors(scores):
    for score, last in zip(scores.score, LAST_VALUE.values(), strict=True):
        assert score < 0.5 * last
    assert scores.mean["all"] < 0.06  # 0.101 before curves with breaks were among the families
    covered = dict(zip(scores.levels, scores.coverage["all"], strict=True))
    assert covered[0.9] > 0.8
    assert np.all(np.diff(scores.coverage["all"]) >= 0)


@pytest.mark.slow
@pytest.mark.xfail(reason="the late cliff and the curve with a floor have errors of 0.09 and 0.15", strict=True)
def test_forecasts_of_classifier_curves_are_as_near_as_plain_broken_power_laws(scores):
    assert scores.mean["all"] < 1.25 * BROKEN
