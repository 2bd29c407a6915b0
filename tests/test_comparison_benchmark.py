"""The benchmark of comparisons: contests, references and scores."""

import json

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from benchmarks.comparison import scores, search
from benchmarks.comparison.classifiers import main as write_classifiers
from benchmarks.comparison.contests import Contest, read_contests, stack_curves
from lcjax.curves.readers.csv import read_curves
from tests.conftest import SHARED

SIZE = 16.0 * 2.0 ** (np.arange(33) / 8)


def contest(error):
    error = np.broadcast_to(error, (len(error), len(SIZE)))
    return Contest(3, 4, tuple("abcdef"[: len(error)]), SIZE[:17], error[:, :17], SIZE[17:], error[:, 17:])


def test_orders_are_those_measured_at_the_targets_without_ties():
    falls = np.array([0.5, 0.4, 0.5])[:, None] * (SIZE / 16) ** np.array([-0.5, -0.3, -0.5])[:, None]
    rows = scores.measured_orders(contest(falls))
    assert set(rows["factor"]) == set(scores.FACTORS)
    assert rows["first_better"].tolist() == [0.0, 1.0] * 4  # the equal pair of the first and the last is left out
    np.testing.assert_allclose(rows["gap"][rows["first"] == 1], np.log(falls[0, 16] / falls[1, 16]))
    assert set(rows["data_set"]) == {3.0}


def test_references_are_calibrated_on_their_rows():
    rng = np.random.default_rng(0)
    gap = rng.normal(size=2000) * 0.3
    better = (rng.random(2000) < 1 / (1 + np.exp(-8 * gap))).astype(float)
    rows = {"factor": np.full(2000, 2.0), "divisor": np.full(2000, 4.0), "gap": gap, "first_better": better}
    reference = scores.CalibratedOrder(rows)
    lasts = np.mean(np.where(gap > 0, better, 1 - better))
    np.testing.assert_allclose(reference.constant(rows), np.where(gap > 0, lasts, 1 - lasts))
    probability = reference.by_gap(rows)
    high = probability > 0.7
    assert probability[high].mean() == pytest.approx(better[high].mean(), abs=0.04)
    assert scores.log_score(probability, better).mean() > scores.log_score(reference.constant(rows), better).mean()


def test_monotone_smooths_are_isotonic_regressions():
    values = -np.arange(40.0) / 20 + np.random.default_rng(0).normal(size=40)
    expected = IsotonicRegression(increasing=False).fit_transform(np.arange(40), values)
    np.testing.assert_allclose(scores._monotone(values), expected, atol=1e-12)


def test_true_curves_keep_power_laws_and_leave_out_zeros():
    error = np.stack([0.5 * (SIZE / 16) ** -0.4, np.where(SIZE > 100, 0.0, 0.3)])
    smooth, monotone = scores._true_curves(contest(error), SIZE[0])
    expected = np.log(error[0, 16:])
    np.testing.assert_allclose(smooth[0], expected, atol=1e-9)
    np.testing.assert_allclose(monotone[0], expected, atol=1e-9)
    assert np.isnan(smooth[1]).all()


@pytest.mark.skipif(not (SHARED / "data/lcdb11").exists(), reason="needs LCDB 1.1")
def test_contests_have_common_sizes_and_are_the_same_in_every_run():
    folder = SHARED / "data/lcdb11"
    first, again = (list(read_contests(folder, half="odd", learners=3, data_sets=2)) for _ in range(2))
    assert [c.learners for c in first] == [c.learners for c in again]
    assert {c.data_set % 2 for c in first} == {1}
    for one in first:
        assert one.cut <= one.held_size[-1] / one.divisor * (1 + 1e-9)
        assert not np.isnan(one.error[:, -1]).any()
        assert "DummyClassifier" not in one.learners
    stacked = stack_curves(first)
    assert stacked.error.shape == (sum(len(c.learners) for c in first), max(len(c.size) for c in first))


def test_classifiers_are_written_as_one_file_of_curves(tmp_path):
    for stem in ("no_pretr_ft", "pretr_ft", "pretr_linear"):
        points = [{"num_train_samples": n, "test_errors": [4000 / n, 4100 / n]} for n in (50, 100)]
        (tmp_path / f"{stem}.json").write_text(json.dumps(points))
    write_classifiers([str(tmp_path), str(tmp_path / "curves.csv")])
    table = read_curves(tmp_path / "curves.csv")
    assert table.names == ("from scratch", "pre-trained", "pre-trained, linear")
    np.testing.assert_allclose(table.curve.error[0], [0.81, 0.405])


def test_the_search_finds_the_best_constants_one_after_the_other(monkeypatch):
    tried = []

    def score(forecasts, constants):
        tried.append(dict(constants))
        best = {"_PERSISTENCE": 0.9, "_ALIKE": 0.4, "_SHARED": 0.2, "_POOLED": 0.0}
        value = -sum((constants[name] - best[name]) ** 2 for name in best)
        return {"score": np.full(4, value), "data_set": np.arange(4.0)}

    monkeypatch.setattr(search, "score_constants", score)
    chosen, scored = search.search([], passes=3)
    assert chosen == {"_PERSISTENCE": 0.9, "_ALIKE": 0.4, "_SHARED": 0.2, "_POOLED": 0.0}
    assert len(tried) == len(scored) == len({tuple(one.values()) for one in tried})  # each once
    assert len(tried) < np.prod([len(grid) for grid in search.GRID.values()]) / 10
