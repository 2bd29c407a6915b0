"""Ranks of tasks by exponent, and the law of the best model's size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forms import power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.model_size import fit_model_size
from lcjax.curves.ranking import rank_by_exponent

# Hestness et al., Table 2, in its order: from the flattest learning curve to the steepest.
HESTNESS = {
    "language modeling (words)": -0.066,
    "language modeling (characters)": -0.092,
    "machine translation": -0.128,
    "speech recognition": -0.291,
    "image classification": -0.309,
}


@pytest.fixture(scope="module")
def fits():
    size = 2.0 ** np.arange(10, 20)
    rng = np.random.default_rng(0)
    found = {}
    with jax.enable_x64(True):
        for i, (name, exponent) in enumerate(HESTNESS.items()):
            error = 3.0 * size**exponent * np.exp(0.02 * rng.normal(size=size.size))
            curve = LearningCurve(jnp.asarray(size), jnp.asarray(error))
            found[name] = fit_curve(curve, power_law, key=jax.random.key(i), draws=200)
    return found


@pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
def test_tasks_are_in_the_order_of_hestness_table_2(fits, x64):
    ranking = rank_by_exponent(fits)
    assert ranking.names == tuple(reversed(HESTNESS))
    assert np.all(np.diff(ranking.exponent) > 0)
    truth = np.array([HESTNESS[name] for name in ranking.names])
    assert np.sum((ranking.low <= truth) & (truth <= ranking.high)) >= 4
    place = np.arange(1, 6)
    assert np.all((ranking.rank_low <= place) & (place <= ranking.rank_high))
    # Translation lies eight standard errors from either neighbour: its rank is sure.
    assert ranking.rank_low[2] == ranking.rank_high[2] == 3


@pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
def test_rank_intervals_are_those_of_the_draws(fits, x64):
    template = next(iter(fits.values()))

    def with_exponents(draws):
        inside = jnp.log(-jnp.asarray(draws))
        coordinates = jnp.stack([jnp.zeros_like(inside), inside], axis=-1)
        return dataclasses.replace(template, coordinates=coordinates[0], draws=coordinates)

    # Three draws in ten swap the two tasks.
    tasks = {"b": with_exponents([-0.4] * 7 + [-0.6] * 3), "a": with_exponents([-0.5] * 10)}
    doubtful, sure = rank_by_exponent(tasks, level=0.5), rank_by_exponent(tasks, level=0.3)
    assert doubtful.names == sure.names == ("a", "b")
    assert (doubtful.rank_low.tolist(), doubtful.rank_high.tolist()) == ([1, 1], [2, 2])
    assert (sure.rank_low.tolist(), sure.rank_high.tolist()) == ([1, 2], [1, 2])
    np.testing.assert_allclose([doubtful.low, doubtful.high], [[-0.5, -0.55], [-0.5, -0.4]], rtol=1e-12)


@pytest.mark.parametrize("x64", [True], indirect=True, ids=["x64"])
def test_wrong_fits_raise(fits, x64):
    with pytest.raises(ValueError, match="at least one task"):
        rank_by_exponent({})
    first = next(iter(fits.values()))
    with pytest.raises(ValueError, match=r"'b': 10"):
        rank_by_exponent({"a": first, "b": dataclasses.replace(first, draws=first.draws[:10])})


def test_model_size_law_is_a_line_in_logarithms(x64):
    rng = np.random.default_rng(1)
    size = 10.0 ** np.arange(3, 9)
    parameters = 40 * size**0.72 * np.exp(0.1 * rng.normal(size=6))
    x, y = np.log(size), np.log(parameters)
    (slope, level), covariance = np.polyfit(x, y, 1, cov=True)
    law = fit_model_size(jnp.append(jnp.asarray(size), jnp.nan), jnp.append(jnp.asarray(parameters), 1.0))
    tolerance = 1e-9 if x64 else 1e-3
    np.testing.assert_allclose(law.exponent, slope, rtol=tolerance)
    np.testing.assert_allclose(law.scale, np.exp(level), rtol=tolerance)
    np.testing.assert_allclose(law.exponent_error, covariance[0, 0] ** 0.5, rtol=tolerance)
    np.testing.assert_allclose(law.predict(jnp.asarray(size)), np.exp(level + slope * x), rtol=tolerance)
