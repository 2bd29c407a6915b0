"""Ranks of tasks by the exponents of fits with given draws."""

import numpy as np
import pytest

from lcjax.curves.forms import linear, power_law
from lcjax.curves.ranking import rank_by_exponent
from tests.problems import fit_with_parameters

# Hestness et al. (2017), Table 2, in its order: from the flattest learning curve to the steepest.
HESTNESS = {
    "language modeling (words)": -0.066,
    "language modeling (characters)": -0.092,
    "machine translation": -0.128,
    "speech recognition": -0.291,
    "image classification": -0.309,
}


def with_exponents(draws, exponent=None):
    return fit_with_parameters(
        power_law, 1.0, draws[0] if exponent is None else exponent, draws=[(1.0, b) for b in draws]
    )


def test_tasks_are_in_the_order_of_hestness_table_2(x64):
    rng = np.random.default_rng(0)
    ranking = rank_by_exponent(
        {name: with_exponents(b + 0.004 * rng.normal(size=100), b) for name, b in HESTNESS.items()}
    )
    assert ranking.names == tuple(reversed(HESTNESS))
    np.testing.assert_allclose(ranking.exponent, sorted(HESTNESS.values()), rtol=1e-6)
    assert np.all((ranking.low < ranking.exponent) & (ranking.exponent < ranking.high))
    place = np.arange(1, 6)
    assert np.all((ranking.rank_low <= place) & (place <= ranking.rank_high))
    # Translation lies eight standard errors from either neighbor: its rank is certain.
    assert ranking.rank_low[2] == ranking.rank_high[2] == 3
    assert ranking.level == 0.9


def test_rank_intervals_are_those_of_the_draws(x64):
    # Three draws in ten swap the two tasks.
    tasks = {"b": with_exponents([-0.4] * 7 + [-0.6] * 3), "a": with_exponents([-0.5] * 10)}
    doubtful, sure = rank_by_exponent(tasks, level=0.5), rank_by_exponent(tasks, level=0.3)
    assert doubtful.names == sure.names == ("a", "b")
    assert (doubtful.rank_low.tolist(), doubtful.rank_high.tolist()) == ([1, 1], [2, 2])
    assert (sure.rank_low.tolist(), sure.rank_high.tolist()) == ([1, 2], [1, 2])
    np.testing.assert_allclose([doubtful.low, doubtful.high], [[-0.5, -0.55], [-0.5, -0.4]], rtol=1e-6)
    assert doubtful.level == 0.5


def test_wrong_fits_raise():
    with pytest.raises(ValueError, match="at least one task"):
        rank_by_exponent({})
    fit = with_exponents([-0.4] * 12)
    with pytest.raises(ValueError, match=r"'b': 10"):
        rank_by_exponent({"a": fit, "b": with_exponents([-0.4] * 10)})
    with pytest.raises(ValueError, match=r"'a': 0"):
        rank_by_exponent({"a": fit_with_parameters(power_law, 1.0, -0.5)})
    with pytest.raises(ValueError, match="got linear"):
        rank_by_exponent({"a": fit, "b": fit_with_parameters(linear, 1.0, -1e-3)})
