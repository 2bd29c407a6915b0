"""Scores of known power laws, and two small tasks."""

import dataclasses

import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.studies.ranking.task import RankedTask
from lcjax.studies.ranking.task_curve import TaskScores
from lcjax.training import Budget, constant, epochs

SIZE = np.array([10, 40, 160, 640, 2560, 10240])
PARAMETERS = np.array([100, 100, 1000, 1000, 10000, 10000])


def scores_of(values, guess=0.9):
    """Return equal validation and test scores `(6, r, 6)` for three models with two learning rates."""
    fields = {"error": values}, {"error": values}, {"error": guess}, {"error": guess}
    return TaskScores(SIZE, SIZE.astype(float), PARAMETERS, np.tile([0.1, 0.01], 3), *fields, 1000)


@pytest.fixture
def known_scores():
    """Return scores of a power law: each model has an offset, the second rate is 20 % worse, none exceeds chance."""

    def make(exponent, *, scale=2.0, offset=(0.3, 0.1, 0.0), noise=0.0, seed=0, guess=0.9):
        generator = np.random.default_rng(seed)
        curve = scale * SIZE**exponent + np.repeat(offset, 2)[:, None]
        curve = curve * np.tile([1.0, 1.2], 3)[:, None]
        return scores_of(
            np.minimum(curve[:, None] * np.exp(noise * generator.normal(size=(6, 5, len(SIZE)))), guess), guess
        )

    return make


@pytest.fixture
def scores_from():
    return scores_of


@pytest.fixture(scope="session")
def tasks():
    """Two tasks that classify the sign of a sum of 6 normal numbers, with two models and with one."""

    def split(seed, n):
        inputs = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
        return lc.Examples(inputs, (inputs.sum(axis=1) > 0).astype(np.int32))

    data = lc.Data(split(0, 256), split(1, 400), split(2, 400), classes=2, name="signs")
    programs = tuple(
        lc.Program(lc.models.MLP(widths, 2), lc.cross_entropy, optax.adam, constant, 16, Budget(steps=60), epochs)
        for widths in ((), (8,))
    )
    first = RankedTask("signs", "toy", data, programs, (0.03, 0.003), (16, 32, 64, 128, 256))
    return [first, dataclasses.replace(first, name="signs, shallow", programs=programs[:1])]
