"""Reports of comparisons: curves, differences, order and equivalent data in figures and tables."""

import jax
import numpy as np
import pytest

from lcjax.curves.comparison.compare import compare_curves
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import ERROR, METRICS
from lcjax.reports.comparison import comparison_page
from lcjax.reports.page import render_page
from lcjax.studies.comparison.summary import summarize_comparison
from tests.reports.problems import MADE, Tree

SIZE = 100.0 * 2.0 ** np.arange(6)
NASTY = "</script><b>tuned"


def curves(count):
    rng = np.random.default_rng(0)
    laws = {"scratch": 2 * SIZE**-0.4, NASTY: SIZE**-0.4, "late": 4 * SIZE**-0.55}
    repeats = {name: law * np.exp(0.02 * rng.normal(size=(3, 6))) for name, law in laws.items()}
    return {
        name: LearningCurve(SIZE, rows.mean(axis=0), replicates=rows) for name, rows in list(repeats.items())[:count]
    }


@pytest.mark.slow
@pytest.mark.parametrize(("count", "metric"), [(2, ERROR), (3, METRICS["accuracy"])])
def test_a_page_shows_what_the_summary_holds(count, metric):
    comparison = compare_curves(jax.random.key(0), curves(count), draws=64)
    result = summarize_comparison(comparison, target_error=0.03, metric=metric)
    page = comparison_page(comparison, result, title="T", metric=metric, notes=["A note."])
    assert sorted([page.answer, *page.sentences]) == sorted(result["sentences"])
    assert page.answer.startswith("Probability of being the best" if count == 3 else "At 3,200 examples, the ")
    assert page.caveats[0] == "A note."
    both, apart, order, equal = page.charts
    assert [one.name for one in both.series if one.kind == "line"] == list(comparison.names)
    assert both.series[0].high is not None
    bars = [one for one in apart.series if one.kind == "bars"]
    assert len(bars) == count - 1
    entry = result["comparisons"][0]
    place = list(entry["size"]).index(3200.0)
    np.testing.assert_allclose([bars[0].value[-1], bars[0].high[-1]], [entry["low"][place], entry["high"][place]])
    assert (entry["difference"][place] > 0) == metric.rises  # "tuned" is better
    assert all(0 <= value <= 1 for one in order.series for value in one.value)
    line = next(one for one in equal.series if one.kind == "line" and one.name == NASTY)
    assert line.value[-1] == pytest.approx(0.5 ** (1 / 0.4), rel=0.5)
    assert np.all(line.value * line.size > 100.0)  # no bound is drawn as a value
    target, first, *_ = page.tables
    assert [row[0] for row in target.rows] == list(comparison.names)
    assert len(first.rows) == len(entry["size"])
    rows = page.attachment.text.splitlines()
    assert rows[0].startswith(f"curve,size,baseline,difference_of_{metric.name},low,high,probability_better")
    assert len(rows) == 1 + sum(len(one["size"]) for one in result["comparisons"])
    text = render_page(page, MADE)
    tree = Tree(text)
    assert "<b>tuned" not in text
    assert len([one for one in tree.all("figure") if one.get("class") == "chart"]) == 4
