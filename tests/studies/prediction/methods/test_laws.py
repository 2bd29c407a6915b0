"""Tabulated laws: known radii come back, as from `fit_radius`, and curves are the exact ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.prediction.methods.laws import tabulate_law
from lcjax.studies.prediction.methods.tabulated import fit_table

GRID = np.array([24.0, 48.0, 72.0, 1000.0])
USED = np.ones(3, bool)


@pytest.fixture(scope="module")
def densities():
    train = lc.Gaussian(np.zeros((2, 2)), np.stack([np.eye(2), 4 * np.eye(2)]))
    return train, train


@pytest.mark.parametrize(
    ("law", "power"),
    [(lc.laws.hypercube, 1), (lc.laws.poisson, 1), (lc.laws.hypercube, 2)],
    ids=["hypercube", "poisson", "squared"],
)
def test_the_radius_of_each_seed_comes_back(densities, points_of, law, power):
    """Features twice as far apart have twice the radius for the same errors; draws use their own seed's densities."""
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), densities[0])
    exact = np.asarray(lc.expected_error(jnp.asarray(GRID), one, one, 0.8, law, power=power), float)
    points = points_of(exact[:3])
    fit = fit_table(tabulate_law(*densities, GRID, law, power=power), np.arange(3), points, USED)
    np.testing.assert_allclose(fit.parameters["radius"], [0.8, 1.6], rtol=1e-3)
    assert fit.converged
    np.testing.assert_allclose(np.exp(fit.center), exact, rtol=1e-3)


@pytest.mark.slow
def test_fits_are_those_of_the_radius_fit(densities, points_of):
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), densities[0])
    error = np.array([0.31, 0.19, 0.17])
    fit = fit_table(tabulate_law(*densities, GRID, lc.laws.hypercube), np.arange(3), points_of(error), USED)
    for draw, factor in zip(fit.draws, (0.9, 1.1), strict=True):
        curve = lc.LearningCurve(jnp.asarray(GRID[:3]), jnp.asarray(factor * error), jnp.asarray(0.02 * factor * error))
        expected = lc.fit_radius(curve, one, one).predict(jnp.asarray(GRID))
        np.testing.assert_allclose(np.exp(draw), expected, rtol=2e-3)


def test_sizes_left_out_do_not_enter(densities, points_of):
    table = tabulate_law(*densities, GRID, lc.laws.hypercube)
    error = np.array([0.3, 0.2, 0.15])
    fits = [
        fit_table(table, np.arange(3), points_of(error * change), np.array([True, True, False]))
        for change in (np.ones(3), np.array([1, 1, 0.2]))
    ]
    np.testing.assert_array_equal(fits[0].center, fits[1].center)


def test_a_curve_outside_the_table_has_not_converged(densities, points_of):
    table = tabulate_law(*densities, GRID, lc.laws.hypercube)
    assert not fit_table(table, np.arange(3), points_of(np.full(3, 1e-12)), USED).converged
