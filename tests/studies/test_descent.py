"""Descent on a few images, which approaches the minimum-norm solution."""

import numpy as np
import pytest

from lcjax.studies.descent import descend_on_pixels


def test_descent_comes_closer_and_stays_in_the_span(key, digits):
    solutions = descend_on_pixels(key, digits, equations=8, steps=2000)
    assert (solutions.unknowns, solutions.equations, solutions.batch) == (64, 8, 8)
    for path in (solutions.full, solutions.stochastic):
        distance = np.asarray(path.distance)
        assert np.all(np.diff(distance) < 1e-6)
        assert distance[-1] < distance[0] / 10
        assert np.max(path.outside) < 1e-5


def test_equations_and_batches_are_limited(key, digits):
    solutions = descend_on_pixels(key, digits, equations=100, steps=50, batch=5)
    assert (solutions.equations, solutions.batch) == (16, 5)
    # The targets are 1 for the first class and -1 for the others: w = 0 has loss 1/2 or 1, whatever its definition.
    weights = np.asarray(solutions.full.weights)
    assert weights.shape == (64,)
    assert np.asarray(solutions.full.step)[-1] == 50
    assert float(solutions.full.loss[0]) > float(solutions.full.loss[-1])
    with pytest.raises(ValueError, match="rows must lie"):
        descend_on_pixels(key, digits, equations=0)
