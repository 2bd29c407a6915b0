"""Budgets as text, what trainings cost, and the cost predicted for other sizes."""

import numpy as np
import pytest

from lcjax.studies.collection.costs import CostLimit, parse_limit, predict_cost
from lcjax.studies.collection.measurements import Training


def training(size, seconds, **values):
    return Training(size, 0, {"error": 0.1, **values}, seconds)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("2h", CostLimit(7200.0)),
        ("30m", CostLimit(1800.0)),
        (" 90 s ", CostLimit(90.0)),
        (12.5, CostLimit(12.5)),
        ("50 trainings", CostLimit(50.0, "trainings")),
        ("1e4examples", CostLimit(1e4, "examples")),
        ("300", CostLimit(300.0, "cost")),
    ],
)
def test_budgets_are_parsed(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "2 weeks", "nan", "1e999", "5 examples of mine"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(ValueError, match="A budget is a time"):
        parse_limit(text)


def test_costs_are_counted_in_their_unit():
    rows = [training(100, 2.0, cost=0.5), training(300, 4.0, cost=1.5)]
    expected = {"6s": 6.0, "9 trainings": 2.0, "9 examples": 400.0, "9": 2.0}
    assert {text: parse_limit(text).spent(rows) for text in expected} == expected
    assert parse_limit("9", 0.01).spent(rows) == 4.0
    with pytest.raises(ValueError, match="report no metric named cost: give a cost per example, or a unit"):
        parse_limit("9").spent([training(100, 2.0)])


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_seconds_are_predicted_by_size(exponent):
    rng = np.random.default_rng(0)

    def seconds(size):
        return 3 + 50 * (size / 1000) ** exponent

    rows = [training(n, seconds(n) * np.exp(0.03 * rng.normal())) for n in (100, 200, 400, 800, 1600) for _ in range(3)]
    price = predict_cost(parse_limit("2h"), rows)
    np.testing.assert_allclose(price(np.array([100, 6400])), [seconds(100), seconds(6400)], rtol=0.15)
    one = predict_cost(parse_limit("2h"), rows[:1])
    assert one(np.array(200)) >= one(np.array(100)) > 0


def test_exact_costs_are_not_fitted():
    assert predict_cost(parse_limit("9 trainings"), [])(np.array([5, 7])).tolist() == [1, 1]
    assert predict_cost(parse_limit("9 examples"), [])(np.array([5, 7])).tolist() == [5, 7]
    assert predict_cost(parse_limit("9", 2.0), [])(np.array([5, 7])).tolist() == [10, 14]
