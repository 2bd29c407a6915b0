"""Curves from distances: against `error_from_distances`, and continued beyond the reference points."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial

import lcjax as lc
from lcjax.studies.prediction.methods import distances as module
from lcjax.studies.prediction.methods.distances import find_distances, tabulate_distances
from lcjax.studies.prediction.methods.tabulated import fit_table


@pytest.fixture(scope="module")
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(80, 5)), rng.normal(size=(200, 5))


@pytest.mark.parametrize("smallest", [2.0, 40.0])
def test_curves_are_those_of_the_exact_formula(clouds, smallest):
    found = find_distances(*clouds, smallest, np.random.default_rng(1))
    tree, _ = scipy.spatial.KDTree(clouds[1]).query(clouds[0], k=found.value.shape[1])
    np.testing.assert_allclose(found.value, tree, atol=1e-6)
    size = np.array([smallest, 60.0, 200.0])
    table = tabulate_distances([found], size)
    for place in (300, 450, 600):
        radius = float(np.exp(table.log_radius[0, place]))
        expected = lc.error_from_distances(jnp.asarray(tree), jnp.asarray(size), radius, points=200)
        np.testing.assert_allclose(np.exp(table.log_error[0, place]), expected, rtol=1e-3)


def test_the_curve_continues_with_the_slope_of_its_last_octave(clouds):
    found = find_distances(*clouds, 10.0, np.random.default_rng(1))
    logs = tabulate_distances([found], np.array([100.0, 200.0, 400.0, 1600.0])).log_error[0]
    np.testing.assert_allclose(logs[:, 2] - logs[:, 1], logs[:, 1] - logs[:, 0], atol=1e-9)
    np.testing.assert_allclose(logs[:, 3] - logs[:, 1], 3 * (logs[:, 1] - logs[:, 0]), atol=1e-9)


def test_the_radius_comes_back(clouds, points_of):
    size = np.array([24.0, 48.0, 72.0])
    found = find_distances(*clouds, size[0], np.random.default_rng(1))
    tree = scipy.spatial.KDTree(clouds[1]).query(clouds[0], k=200)[0]
    error = np.asarray(lc.error_from_distances(jnp.asarray(tree), jnp.asarray(size), 4.0), float)
    fit = fit_table(tabulate_distances([found], size), np.arange(3), points_of(error, seed=(0, 0)), np.ones(3, bool))
    np.testing.assert_allclose(fit.parameters["radius"], [4.0], rtol=1e-3)


def test_blocks_and_repeated_points_change_nothing(clouds, monkeypatch):
    whole = find_distances(*clouds, 10.0, np.random.default_rng(1)).value
    monkeypatch.setattr(module, "_BYTES", 2**14)
    np.testing.assert_allclose(find_distances(*clouds, 10.0, np.random.default_rng(1)).value, whole, atol=1e-9)
    same = find_distances(np.zeros((3, 2)), np.zeros((4, 2)), 1.0, np.random.default_rng(1))
    assert np.isfinite(tabulate_distances([same], np.array([1.0, 8.0])).log_error).all()


def test_at_most_2000_queries_are_searched(clouds, monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 10)
    assert find_distances(*clouds, 10.0, np.random.default_rng(1)).value.shape[0] == 10
