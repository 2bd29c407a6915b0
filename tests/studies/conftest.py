"""Small data sets and programs shared by the tests of studies."""

import jax
import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.curves.forms import last_value, power_law
from lcjax.curves.readers.csv import CurveTable
from lcjax.studies.compression.subsets import cut
from lcjax.studies.fitting.fitted_curves import fit_learning_curves
from lcjax.studies.recipes import Recipe
from lcjax.training import Budget, cosine, epochs


@pytest.fixture(scope="session")
def digits():
    return lc.load_data("digits")


@pytest.fixture(scope="session")
def small(digits):
    """Return 240 training, 60 validation and 60 test images of 8x8 pixels."""
    return cut(digits, 240)


@pytest.fixture(scope="session")
def recipe():
    """Return a perceptron with 16 features that learns a few hundred digits in 80 steps."""
    program = lc.Program(lc.models.MLP((16,), 10), lc.cross_entropy, optax.adam, cosine, 16, Budget(steps=80), epochs)
    return Recipe(program, 0.02, Budget(steps=30), 0.02, margin=0.05)


@pytest.fixture(scope="session")
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def forecasts(key):
    """Return four noisy power laws in two domains; sizes above a quarter of the largest are held out."""
    size, exponent = 100.0 * 2.0 ** np.arange(10), np.array([-0.6, -0.4, -0.1, -0.06])
    noise = np.exp(0.01 * np.random.default_rng(0).normal(size=(4, 10)))
    error = 3.0 * size ** exponent[:, None] * noise
    error[3, 9] = np.nan
    curve = lc.LearningCurve(np.tile(size, (4, 1)), error)
    names, groups = ("images a", "images b", "words a", "words b"), ("images", "images", "words", "words")
    fitted = np.tile(size <= size[-1] / 4, (4, 1))
    table = CurveTable(curve, fitted, 0, names, groups)
    return fit_learning_curves(key, table, forms=(last_value, power_law), draws=50, target_error=0.5)
