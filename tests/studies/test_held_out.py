"""Scores on held-out sizes, recomputed curve by curve."""

import dataclasses

import numpy as np
import pytest

from lcjax.studies.fitting.held_out import score_held_out


def test_scores_are_those_of_the_public_benchmark(forecasts):
    scores = score_held_out(forecasts, levels=(0.5, 0.9))
    table = forecasts.table
    at = np.asarray(table.curve.size, np.float32)
    predicted = np.asarray(forecasts.forecast.predict(at), float)
    limits = {level: [np.asarray(a, float) for a in forecasts.forecast.interval(at, level)] for level in (0.5, 0.9)}
    expected, covered = [], []
    for i in range(4):
        out = ~table.fitted[i] & ~np.isnan(table.curve.error[i])
        truth = table.curve.error[i][out]
        expected.append(np.sqrt(np.mean((np.log(predicted[i][out]) - np.log(truth)) ** 2)))
        covered.append([np.mean((limits[v][0][i][out] <= truth) & (truth <= limits[v][1][i][out])) for v in (0.5, 0.9)])
    np.testing.assert_allclose(scores.score, expected, rtol=1e-5)
    for group, rows in {"all": slice(0, 4), "images": slice(0, 2), "words": slice(2, 4)}.items():
        np.testing.assert_allclose(scores.mean[group], np.mean(expected[rows]), rtol=1e-5)
        np.testing.assert_allclose(scores.geometric_mean[group], np.exp(np.mean(np.log(expected[rows]))), rtol=1e-5)
        np.testing.assert_allclose(scores.coverage[group], np.mean(covered[rows], axis=0), rtol=1e-6)
    assert scores.curves == {"all": 4, "images": 2, "words": 2}
    assert scores.mean["all"] < scores.last_value["all"]


def test_the_baseline_is_the_last_fitted_value(forecasts):
    scores, table = score_held_out(forecasts), forecasts.table
    assert scores.levels.tolist() == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    expected = []
    for fitted, error in zip(table.fitted, table.curve.error, strict=True):
        ahead = error[~fitted & ~np.isnan(error)]
        expected.append(np.sqrt(np.mean(np.log(error[fitted][-1] / ahead) ** 2)))
    assert scores.last_value["all"] == pytest.approx(np.mean(expected))


def test_curves_without_held_out_sizes_are_not_counted(forecasts):
    fitted = forecasts.table.fitted.copy()
    fitted[:2] = True
    table = dataclasses.replace(forecasts.table, fitted=fitted)
    scores = score_held_out(dataclasses.replace(forecasts, table=table), levels=(0.9,))
    assert np.isnan(scores.score).tolist() == [True, True, False, False]
    assert scores.curves == {"all": 2, "words": 2}
    assert scores.mean["all"] == scores.mean["words"]


def test_nothing_to_score_is_reported(forecasts):
    whole = dataclasses.replace(forecasts.table, fitted=np.ones_like(forecasts.table.fitted))
    with pytest.raises(ValueError, match="No size is held out"):
        score_held_out(dataclasses.replace(forecasts, table=whole))
