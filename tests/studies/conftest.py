"""Small data and programs that the tests of studies share."""

import jax
import optax
import pytest

import lcjax as lc
from lcjax.studies.compression.subsets import cut
from lcjax.studies.recipes import Recipe
from lcjax.training import Budget, cosine, epochs


@pytest.fixture(scope="session")
def digits():
    return lc.load_data("digits")


@pytest.fixture(scope="session")
def small(digits):
    """240 training, 60 validation and 60 test images of 8x8 pixels."""
    return cut(digits, 240)


@pytest.fixture(scope="session")
def recipe():
    """A perceptron with 16 features that learns a few hundred digits in 80 steps."""
    program = lc.Program(lc.models.MLP((16,), 10), lc.cross_entropy, optax.adam, cosine, 16, Budget(steps=80), epochs)
    return Recipe(program, 0.02, Budget(steps=30), 0.02, margin=0.05)


@pytest.fixture(scope="session")
def key():
    return jax.random.key(0)
