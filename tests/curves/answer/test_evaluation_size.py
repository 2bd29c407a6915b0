"""Numbers of test examples against the exact binomial distribution and simulated tests."""

import numpy as np
import pytest
import scipy.stats

from lcjax.curves.answer.evaluation_size import minimum_test_examples


@pytest.mark.parametrize(("error", "margin"), [(0.5, 0.2), (0.2, 0.3), (0.05, 0.5), (0.9, 0.1)])
def test_the_power_holds_from_the_number_on_and_not_far_below(error, margin):
    needed = minimum_test_examples(error, margin=margin)

    def power(count):
        most = scipy.stats.binom.ppf(0.05, count, error)
        most = most if scipy.stats.binom.cdf(most, count, error) <= 0.05 else most - 1
        return scipy.stats.binom.cdf(most, count, (1 - margin) * error)

    assert all(power(count) >= 0.8 for count in range(needed, needed + 20))
    assert power(int(0.7 * needed)) < 0.8


def test_simulated_tests_succeed_as_often_as_stated():
    needed, target, rng = minimum_test_examples(0.1, margin=0.2), 0.1, np.random.default_rng(0)
    most = scipy.stats.binom.ppf(0.05, needed, target) - 1
    met = rng.binomial(needed, 0.8 * target, 4000) <= most
    not_met = rng.binomial(needed, target, 4000) <= most
    assert met.mean() > 0.8 - 3 * np.sqrt(0.16 / 4000)
    assert not_met.mean() < 0.05 + 3 * np.sqrt(0.05 / 4000)


def test_rare_mistakes_need_examples_in_inverse_proportion():
    reference = 2e-4 * minimum_test_examples(2e-4)
    for error in (9e-5, 1e-9, 1e-30):
        assert error * minimum_test_examples(error) == pytest.approx(reference, rel=2e-3)


@pytest.mark.parametrize("arguments", [{"error": 0.0}, {"error": 1.2}, {"margin": 1.0}, {"level": 0.7}, {"power": 0.2}])
def test_arguments_out_of_range_are_refused_by_name(arguments):
    with pytest.raises(ValueError, match=rf"{next(iter(arguments))} must lie in"):
        minimum_test_examples(**{"error": 0.1, **arguments})
