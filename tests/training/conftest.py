"""A small task of separable clusters, and programs for it."""

import jax
import numpy as np
import pytest

from lcjax.data.examples import Data, Examples
from lcjax.models.losses import cross_entropy
from lcjax.models.vision.mlp import MLP
from lcjax.training import Budget, Program, Runs, cosine, momentum, with_replacement

CLASSES = 3


def clusters(seed, n, d=5):
    generator = np.random.default_rng(seed)
    targets = generator.permutation(np.arange(n) % CLASSES).astype(np.int32)
    centres = 40 * np.random.default_rng(0).normal(size=(CLASSES, d))
    inputs = np.clip(centres[targets] + 30 * generator.normal(size=(n, d)) + 128, 0, 255)
    return Examples(inputs.astype(np.uint8), targets)


@pytest.fixture(scope="session")
def data():
    return Data(clusters(1, 240), clusters(2, 99), clusters(3, 120), offset=128.0, scale=1 / 64, classes=CLASSES)


@pytest.fixture(scope="session")
def program():
    return Program(
        MLP((12,), CLASSES),
        cross_entropy,
        momentum,
        cosine,
        batch=16,
        budget=Budget(steps=100),
        sampling=with_replacement,
    )


@pytest.fixture(scope="session")
def table(program):
    """Return six runs with three sizes, two seeds and two learning rates."""
    columns = {
        "size": np.array([20, 60, 240, 20, 60, 240]),
        "seed": np.array([0, 0, 0, 7, 7, 7]),
        "learning_rate": np.array([0.1, 0.1, 0.05, 0.1, 0.1, 0.05]),
    }
    return Runs((program,), np.zeros(6, int), columns)


@pytest.fixture
def key():
    return jax.random.key(3)
