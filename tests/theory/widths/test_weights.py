"""Weights of dimensions: Monte Carlo of the rule, more seeds, order of the widths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.theory.widths.saturation import SHARE, saturation_dimension
from lcjax.theory.widths.weights import dimension_weights

WIDTH = np.arange(1, 9)
ACCURACY = np.array([0.62, 0.93, 0.955, 0.965, 0.968, 0.969, 0.969, 0.969])


def test_weights_are_frequencies_of_the_rule():
    rng, error, draws = np.random.default_rng(0), np.linspace(0.02, 0.005, 8), 4000
    chosen = np.zeros(8)
    for _ in range(draws):
        share = SHARE * 3.0 ** rng.uniform(-1, 1)
        chosen[int(saturation_dimension(WIDTH, ACCURACY + error * rng.normal(size=8), share=share).value) - 1] += 1
    weights = dimension_weights(WIDTH, ACCURACY, error)
    np.testing.assert_allclose(weights.weight, chosen / draws, atol=5 * np.sqrt(0.25 / draws) + 0.02)
    mean = np.sum(weights.weight * -np.log(WIDTH))
    assert float(weights.log_exponent) == pytest.approx(mean)
    assert float(weights.log_exponent_deviation) == pytest.approx(
        np.sqrt(np.sum(weights.weight * np.log(WIDTH) ** 2) - mean**2)
    )


@given(seed=st.integers(0, 2**32 - 1), error=st.floats(0, 0.05))
def test_weights_add_up_to_one_in_any_order(seed, error):
    rng = np.random.default_rng(seed)
    accuracy, order = np.sort(rng.uniform(0.2, 1, 8)), rng.permutation(8)
    weights = dimension_weights(WIDTH, accuracy, 0.0)
    np.testing.assert_allclose(weights.weight.sum(), 1)
    shuffled = dimension_weights(WIDTH[order], accuracy[order], 0.0)
    np.testing.assert_allclose(shuffled.weight, weights.weight[order])
    np.testing.assert_allclose(dimension_weights(WIDTH, accuracy, error).weight.sum(), 1)


def test_more_seeds_narrow_the_weights_and_move_them_less():
    """Seeds scatter by 1 %; the standard error of the mean over r seeds is that of the seeds divided by sqrt(r)."""
    rng, scatter = np.random.default_rng(0), 0.01
    means, deviations = {}, {}
    for r in (2, 8, 128):
        accuracy = ACCURACY + scatter / np.sqrt(r) * rng.normal(size=(200, 8))
        weights = dimension_weights(WIDTH, accuracy, scatter / np.sqrt(r))
        means[r], deviations[r] = weights.log_exponent.std(), weights.log_exponent_deviation.mean()
    assert means[2] > 1.3 * means[8] > 2 * means[128]
    assert deviations[2] > 1.05 * deviations[8] > 1.1 * deviations[128]
    exact = dimension_weights(WIDTH, ACCURACY, 0.0)
    assert deviations[128] == pytest.approx(float(exact.log_exponent_deviation), rel=0.15)
    # The integer of the rule jumps by a whole dimension, in log(1 / d) farther than the mean of the weights.
    rule = saturation_dimension(WIDTH, ACCURACY + scatter / np.sqrt(8) * rng.normal(size=(200, 8))).value
    assert np.log(rule).std() > 1.5 * means[8]


def test_missing_widths_batches_and_jit(x64):
    accuracy = np.stack([ACCURACY, np.where(WIDTH == 3, np.nan, ACCURACY)]).astype(np.float64 if x64 else np.float32)
    weights = dimension_weights(WIDTH, accuracy, 0.01)
    assert weights.weight[1, 2] == 0
    assert weights.weight.dtype == accuracy.dtype
    traced = jax.jit(lambda a: dimension_weights(WIDTH, a, 0.01))(jnp.asarray(accuracy))
    np.testing.assert_allclose(traced.weight, weights.weight, atol=0.005)
    with pytest.raises(ValueError, match=r"ascending in \(0, 1\)"):
        dimension_weights(WIDTH, ACCURACY, 0.01, share=(0.1, 0.05))
