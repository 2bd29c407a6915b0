"""Schedules at every step of a run, where rounding could shift a change by one."""

import jax
import numpy as np
import pytest

from lcjax.training import InverseDecay, StepDecay, constant, cosine


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(30, 39), (100, 391), (7, 3), (250, 8)])
def test_rates_change_with_the_epoch(epochs, steps_per_epoch):
    budget = epochs * steps_per_epoch
    progress = np.arange(budget, dtype=np.int32) / np.float32(budget)
    epoch = np.arange(budget) // steps_per_epoch
    np.testing.assert_allclose(jax.jit(StepDecay(0.95, epochs))(progress), 0.95**epoch, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(InverseDecay(epochs))(progress), 1 / (1 + epoch), rtol=1e-6)


def test_factors_begin_with_one():
    for schedule in (constant, cosine, StepDecay(0.1, 3), InverseDecay(5)):
        assert float(schedule(0.0)) == 1
