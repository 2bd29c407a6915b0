"""Targets as people write them, on metrics to minimize and to maximize."""

import math

import pytest

from lcjax.cli.numbers import OptionError
from lcjax.cli.targets import error_target, read_target
from lcjax.curves.metrics import ERROR, METRICS, find_metric
from lcjax.curves.targets import parse_target


@pytest.mark.parametrize(
    ("text", "metric", "error"),
    [
        ("error<=.05", "error", 0.05),
        ("error < 5e-2", "accuracy", 0.05),
        ("accuracy>=.95", "accuracy", 0.05),
        ("val/acc >= 0.95", "val/acc", 0.05),
        ("test auroc > .92", "test auroc", 0.08),
        ("auroc=.92", "auroc", 0.08),
        (".92", "auroc", 0.08),
        ("perplexity<=20", "perplexity", math.log(20)),
        ("rmse<=3", "rmse", 9.0),
        ("bleu>=35", "bleu", 65.0),
        ("error<=.3", "bleu", 0.3),
    ],
)
def test_a_target_becomes_the_error_of_its_metric(text, metric, error):
    assert parse_target(text).to_error(find_metric(metric)) == pytest.approx(error)


@pytest.mark.parametrize(
    ("text", "metric", "message"),
    [
        ("auroc<=.92", "auroc", "a larger auroc is better; use auroc>=0.92"),
        ("error>=.1", "accuracy", "a smaller error is better; use error<=0.1"),
        ("loss>=.1", "loss", "a smaller loss is better; use loss<=0.1"),
        ("f1>=.9", "auroc", "is a target of f1, but the curve is one of auroc; .* or name the metric f1 "),
        ("auroc>=1", "auroc", r"must be below the best possible auroc, 1, got 1\.$"),
        ("accuracy>=95", "accuracy", r"Did you mean accuracy>=0.95\? For percentages, pass --best 100\.$"),
        ("95", "f1", r"got 95\. Did you mean f1>=0.95\? For percentages, pass --best 100\.$"),
        ("error<=0", "auroc", "an error must be above 0"),
    ],
)
def test_what_cannot_be_a_target_of_a_metric(text, metric, message):
    with pytest.raises(ValueError, match=message):
        parse_target(text).to_error(METRICS[metric])


@pytest.mark.parametrize("text", ["", "error", "error<=", "<=.1", "error<=a", "error<=nan", "a<=b<=3", "error=<.1"])
def test_what_is_no_expression(text):
    with pytest.raises(OptionError, match="expected METRIC<=NUMBER or METRIC>=NUMBER, got"):
        read_target(text)


def test_error_rates():
    assert error_target(None, None) is None
    assert error_target(None, 0.05) == error_target("error<=.05", None) == error_target(".05", None) == 0.05
    assert error_target("accuracy>=.75", None) == 0.25
    with pytest.raises(OptionError, match="not both"):
        error_target("error<=.1", 0.1)
    with pytest.raises(OptionError, match="an error rate lies between 0 and 1"):
        error_target("error<=5", None)
    with pytest.raises(ValueError, match="is a target of f1, but the curve is one of error"):
        error_target("f1>=.5", None)


def test_expressions_are_stored_as_they_are_meant():
    assert parse_target("0.95").expression(METRICS["accuracy"]) == "accuracy>=0.95"
    assert read_target(None, 0.05).expression(METRICS["accuracy"]) == "error<=0.05"
    assert parse_target("0.05").expression(ERROR) == "error<=0.05"
