"""Runs that do not determine a law in model size and data size, and runs without a usable loss, are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.scaling.fit import find_ambiguity

MODEL, DATA = (a.ravel() for a in np.meshgrid([1e4, 4e4, 16e4, 64e4], [1e3, 4e3, 16e3, 64e3], indexing="ij"))
LOSS = np.array(
    [3.6131, 2.6183, 1.9677, 1.5094, 3.5012, 2.495, 1.7967, 1.3759, 3.4477, 2.378, 1.7268, 1.2726, 3.3551, 2.3498,
     1.6548, 1.2338]
)  # fmt: skip
EIGHT, TWICE = np.geomspace(1, 128, 8), [1.9364, 1.8683, 1.8184, 1.7439, 1.7199, 1.7042, 1.6582, 1.6542]
REFUSED = {
    "one_model_size": (
        np.full(8, 4e4), 1000 * EIGHT, [3.4662, 2.9274, 2.49, 2.0888, 1.8075, 1.5796, 1.3649, 1.2191],
        "model_scale and model_exponent need runs of at least three model sizes, got 40,000",
    ),
    "one_data_size": (
        1e4 * EIGHT, np.full(8, 16e3), TWICE,
        "data_scale and data_exponent need runs of at least three data sizes, got 16,000",
    ),
    "two_data_sizes": (1e4 * EIGHT, [16e3, 32e3] * 4, TWICE, "three data sizes, got 16,000 and 32,000"),
    "proportional": (
        1e4 * EIGHT, 2000 * EIGHT, [3.0509, 2.5346, 2.1183, 1.7439, 1.4795, 1.2663, 1.0708, 0.93569],
        "the data sizes are a power of the model sizes: vary one of the two while the other is fixed",
    ),
    "one_pair_repeated": (
        np.full(6, 1e4), np.full(6, 1e3), [3.6131, 3.6423, 3.6715, 3.6204, 3.6496, 3.6788],
        "These 6 runs do not determine the law",
    ),
    "four_pairs": (
        [1e4, 4e4, 16e4, 64e4] * 2, [1e3, 4e3, 1e3, 16e3] * 2, TWICE, "at least five pairs of sizes, got 4",
    ),
    "nan_loss": (MODEL, DATA, np.where(np.arange(16) == 5, np.nan, LOSS), "got nan in row 5: leave that run out"),
    "zero_loss": (MODEL, DATA, np.where(np.arange(16) == 5, 0, LOSS), "error must be .* got 0 in row 5"),
    "negative_loss": (MODEL, DATA, np.where(np.arange(16) == 5, -0.4, LOSS), "error must be .* got -0.4 in row 5"),
    "infinite_loss": (MODEL, DATA, np.where(np.arange(16) == 5, np.inf, LOSS), "error must be .* got inf in row 5"),
    "zero_data_size": (MODEL, np.where(np.arange(16) == 0, 0, DATA), LOSS, "data_size must be .* got 0 in row 0"),
    "negative_model_size": (np.where(np.arange(16) == 2, -1, MODEL), DATA, LOSS, "model_size .* got -1 in row 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_tells_too_little_is_refused(case):
    model, data, loss, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        lc.fit_scaling_law(*(jnp.asarray(a, float) for a in (model, data, loss)), key=jax.random.key(0), draws=100)


@pytest.mark.slow
def test_a_grid_of_sizes_is_fitted():
    assert find_ambiguity(MODEL, DATA) is None
    fit = lc.fit_scaling_law(MODEL, DATA, LOSS, key=jax.random.key(0), draws=100)
    assert bool(fit.converged)
    for name, truth in {"model_exponent": -0.38, "data_exponent": -0.31, "offset": 0.35}.items():
        low, high = np.quantile(fit.parameter_draws[name], [0.05, 0.95])
        assert low <= truth <= high, name
        assert abs(float(fit.parameters[name]) - truth) < 0.1, name


@pytest.mark.slow
def test_a_traced_fit_of_a_loss_that_is_nan_has_not_converged():
    fit = jax.jit(lc.fit_scaling_law)
    assert not fit(jnp.asarray(MODEL), jnp.asarray(DATA), jnp.asarray(LOSS).at[5].set(jnp.nan)).converged
