"""Reports of plans: the answer first, rounds, costs and chances in figures and tables, other plans beside them."""

import dataclasses

import jax
import numpy as np
import pytest

import lcjax as lc
from lcjax.curves.metrics import ERROR
from lcjax.planning.data_types import DataTypes, plan_types
from lcjax.planning.selection import Criterion
from lcjax.planning.sources import choose_source
from lcjax.reports.page import render_page
from lcjax.reports.plan import _alternatives, _chance, _costs, plan_page, schedule_table
from tests.reports.problems import MADE, Tree

KEY = jax.random.key(0)
SIZE = 100.0 * 2.0 ** np.arange(6)


@pytest.fixture(params=[1, 2])
def plan(request):
    """Plan for one or two types of data by known draws."""
    count = request.param
    one = np.ones(count)
    required = 100.0 + np.random.default_rng(0).gamma(2.0, 60.0, (count, 400)).round()
    required[:, :20] = np.inf
    names = ("",) if count == 1 else ("cat", "<b>dog")
    types = DataTypes(names, 0.1 * one, 100.0 * one, np.zeros(count, bool), required, one, 20.0, np.inf * one)
    return plan_types(types, 3, Criterion(risk=0.25), False)


def test_figures_show_the_rounds_at_their_chance_and_cost(plan):
    (chance,) = _chance(plan, "hours")
    rounds = [one for one in chance.series if one.kind == "points"]
    assert len(rounds) == len(plan.names)
    np.testing.assert_allclose(rounds[0].size, np.unique(plan.size[0]))
    if len(plan.names) == 1:
        np.testing.assert_allclose(rounds[0].value, plan.reached, atol=0.01)
    (cost,) = _costs(plan, "hours")
    lines = [one for one in cost.series if one.kind == "line"]
    assert all(np.isfinite(one.value).all() for one in lines)
    if len(plan.names) == 1:
        assert [one.name for one in lines] == ["1 round", "at most 2 rounds", "at most 3 rounds"]
        marks = {one.name: one for one in cost.series if one.kind == "points"}
        assert (marks["the plan"].size[0], marks["the plan"].value[0]) == (plan.size[0, -1], plan.expected_cost)
        assert len(marks["other plans"].size) == len(plan.alternatives.names)


def test_tables_list_every_round_and_the_other_plans(plan):
    table = schedule_table(plan, "hours", ERROR)
    assert len(table.rows) == plan.size.size
    assert table.rows[-1][-3 if len(plan.names) == 1 else -4] != ""
    others = _alternatives(plan, ERROR, "hours")
    assert [row[0] for row in others.rows] == ["this plan", *plan.alternatives.names]
    assert others.rows[0][-1] == "25.0 %"
    assert len({len(row) for row in others.rows} | {len(others.columns)}) == 1


@pytest.fixture(scope="module")
def fitted():
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=(2, 6)))
    curve = lc.LearningCurve(np.stack([SIZE, SIZE]), np.array([[2.0], [2.6]]) * SIZE**-0.4 * noise)
    names = ("experts", "</script><b>crowd")
    table = lc.curves.CurveTable(curve, np.ones((2, 6), bool), 0, names, ("", ""), ERROR)
    return lc.studies.fit_learning_curves(KEY, table, target_error=0.07, draws=64)


@pytest.mark.slow
def test_pages_of_types_sources_and_budgets(fitted):
    names = fitted.table.names
    options = {"cost": [1.0, 0.2], "rounds": 2, "risk": 0.25}
    types = dataclasses.replace(lc.plan_collection(KEY, fitted.forecast, target=0.07, **options), names=names)
    each = {name: jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], fitted.forecast) for i, name in enumerate(names)}
    choice = choose_source(KEY, each, target=0.07, **options)
    budget = lc.plan_collection(KEY, fitted.forecast, cost=[1.0, 0.2], budget=2000.0)
    budget = dataclasses.replace(budget, names=names)
    for plan, charts, tables, words in (
        (types, 3, 2, "count as independent"),
        (choice.plan, 3, 3, "Mixes are not planned"),
        (budget, 1, 2, "count as independent"),
    ):
        source = choice if plan is choice.plan else None
        page = plan_page(plan, fitted, "examples", title="Plan", notes=["A note."], choice=source)
        assert (len(page.charts), len(page.tables)) == (charts, tables)
        assert page.answer == (plan if source is None else choice).sentence()
        assert page.caveats[0] == "A note."
        assert any(words in caveat for caveat in page.caveats)
        tree = Tree(render_page(page, MADE))
        assert len([one for one in tree.all("figure") if one.get("class") == "chart"]) == charts
        header, *rows = page.attachment.text.splitlines()
        assert header == "curve,round,size,added,cost_of_round,probability_met"
        assert len(rows) == plan.size.size
    assert [row[0] for row in page.tables[1].rows] == ["this plan", *budget.alternatives.names]
    assert budget.error.mean() <= budget.alternatives.error.mean(axis=1).min() + 1e-6
