"""Tests of exponents."""

import numpy as np
import pytest

from lcjax.studies.prediction.exponents import compare_exponents


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
