"""Shift between splits: value and standard error against a direct computation."""

import numpy as np
import pytest

from lcjax.studies.prediction.answer.shift import measure_shift


def test_sizes_are_weighted_by_their_inverse_variances():
    rng = np.random.default_rng(0)
    size, validation, test = np.array([10.0, 100.0]), np.log([0.2, 0.1]), np.log([0.22, 0.2])
    noise = rng.normal(size=(2, 4000, 2)) * [0.05, 0.2]
    shift, draws = measure_shift(size, validation, test, validation + noise[0], test + noise[1])
    weight = np.array([1 / 0.05**2, 1 / 0.2**2])
    weight /= weight.sum()
    assert float(shift.value) == pytest.approx(weight @ np.log([1.1, 2.0]), abs=0.01)
    expected = np.sqrt(2 * weight**2 @ np.array([0.05, 0.2]) ** 2)
    assert float(shift.standard_error) == pytest.approx(expected, rel=0.05)
    np.testing.assert_allclose(shift.by_size, np.log([1.1, 2.0]))
    np.testing.assert_allclose(shift.by_size_error, np.sqrt(2) * np.array([0.05, 0.2]), rtol=0.05)
    assert draws.mean() == pytest.approx(float(shift.value))


def test_noise_common_to_both_splits_cancels():
    rng = np.random.default_rng(0)
    seeds = 0.3 * rng.normal(size=(500, 2))
    shift, _ = measure_shift(np.array([10.0, 20.0]), np.zeros(2), np.full(2, 0.1), seeds, seeds + 0.1)
    assert float(shift.standard_error) < 1e-9
    assert float(shift.value) == pytest.approx(0.1)
