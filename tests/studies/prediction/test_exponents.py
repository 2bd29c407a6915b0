"""Tests of exponents, and the dimension as a distribution."""

import dataclasses

import numpy as np
import pytest

from lcjax.studies.prediction.bottlenecks import BottleneckSweep
from lcjax.studies.prediction.exponents import compare_exponents, width_probabilities


def sweep(accuracy, error, reference=0.95):
    fields = {field.name: None for field in dataclasses.fields(BottleneckSweep)}
    values = {"accuracy": np.array(accuracy), "difference_error": np.array(error), "reference": np.asarray(reference)}
    return BottleneckSweep(**{**fields, **values})


def test_the_smallest_sufficient_width_has_the_probability():
    clear = width_probabilities(sweep([0.5, 0.95, 0.95], [0.001] * 3), 0.01)
    np.testing.assert_allclose(clear, [0, 1, 0], atol=1e-9)
    at_margin = width_probabilities(sweep([0.94, 0.95, 0.96], [0.01] * 3), 0.01)
    assert at_margin[0] == pytest.approx(0.5)
    assert at_margin.sum() == pytest.approx(1)
    np.testing.assert_allclose(width_probabilities(sweep([0.1, 0.2], [0.001] * 2), 0.01), [0, 1])


def test_an_exponent_is_excluded_only_if_its_interval_says_so():
    rng = np.random.default_rng(0)
    draws = -0.5 * np.exp(0.3 * rng.normal(size=2000))
    tests = compare_exponents(np.array(-0.5), draws, np.array([2, 4]), np.array([0.5, 0.5]), rng)
    assert float(tests["1/d"].expected) == -0.375
    assert float(tests["2/d"].statistic) == pytest.approx(np.log(0.5 / 0.75))
    assert [test.verdict for test in tests.values()] == ["not excluded", "not excluded", "excluded"]
    for name, multiple in (("1/d", 1), ("2/d", 2), ("4/d", 4)):
        one = tests[name]
        ratios = np.concatenate([np.log(-draws * d / multiple) for d in (2, 4)])
        np.testing.assert_allclose([one.low, one.high], np.quantile(ratios, [0.05, 0.95]), atol=0.06)
        assert (float(one.pvalue) > 0.1) == (one.verdict == "not excluded")
