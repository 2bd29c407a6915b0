"""Runs that do not determine a law in model size and data size, and runs without a usable loss, are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.scaling.laws import chinchilla

MODEL, DATA = (a.ravel() for a in np.meshgrid([1e4, 4e4, 16e4, 64e4], [1e3, 4e3, 16e3, 64e3], indexing="ij"))
LOSS = np.array(
    [3.6131, 2.6183, 1.9677, 1.5094, 3.5012, 2.495, 1.7967, 1.3759, 3.4477, 2.378, 1.7268, 1.2726, 3.3551, 2.3498,
     1.6548, 1.2338]
)  # fmt: skip
EIGHT, TWICE = np.geomspace(1, 128, 8), [1.9364, 1.8683, 1.8184, 1.7439, 1.7199, 1.7042, 1.6582, 1.6542]
OPEN = {
    "one_model_size": (
        np.full(8, 4e4), 1000 * EIGHT, [3.4662, 2.9274, 2.49, 2.0888, 1.8075, 1.5796, 1.3649, 1.2191],
        "one_params",
        "All runs have 40,000 params: model_scale and model_exponent need at least three values of params.",
    ),
    "one_data_size": (
        1e4 * EIGHT, np.full(8, 16e3), TWICE,
        "one_tokens", "All runs have 16,000 tokens: data_scale and data_exponent need at least three values of tokens.",
    ),
    "two_data_sizes": (1e4 * EIGHT, [16e3, 32e3] * 4, TWICE, "one_tokens", "All runs have 16,000 or 32,000 tokens"),
    "proportional": (
        1e4 * EIGHT, 2000 * EIGHT, [3.0509, 2.5346, 2.1183, 1.7439, 1.4795, 1.2663, 1.0708, 0.93569],
        "collinear", "Tokens are a power of params in all runs: vary one of the two while the other is fixed.",
    ),
    "one_pair_repeated": (
        np.full(6, 1e4), np.full(6, 1e3), [3.6131, 3.6423, 3.6715, 3.6204, 3.6496, 3.6788],
        "one_params", "All runs have 10,000 params",
    ),
    "four_pairs": (
        [1e4, 4e4, 16e4, 64e4] * 2, [1e3, 4e3, 1e3, 16e3] * 2, TWICE,
        "few_runs", "4 different runs are too few for 5 parameters, which need 7.",
    ),
}  # fmt: skip
REFUSED = {
    "nan_loss": (MODEL, DATA, np.where(np.arange(16) == 5, np.nan, LOSS), "got nan in row 5: leave that run out"),
    "zero_loss": (MODEL, DATA, np.where(np.arange(16) == 5, 0, LOSS), "loss must be .* got 0 in row 5"),
    "negative_loss": (MODEL, DATA, np.where(np.arange(16) == 5, -0.4, LOSS), "loss must be .* got -0.4 in row 5"),
    "infinite_loss": (MODEL, DATA, np.where(np.arange(16) == 5, np.inf, LOSS), "loss must be .* got inf in row 5"),
    "zero_data_size": (MODEL, np.where(np.arange(16) == 0, 0, DATA), LOSS, "tokens must be .* got 0 in row 0"),
    "negative_model_size": (np.where(np.arange(16) == 2, -1, MODEL), DATA, LOSS, "params .* got -1 in row 2"),
}  # fmt: skip


def runs(model, data, loss):
    return {
        name: np.asarray(a, float) for name, a in zip(("params", "tokens", "loss"), (model, data, loss), strict=True)
    }


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_is_no_loss_or_size_is_refused(case):
    *table, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        lc.fit_scaling_law(jax.random.key(0), runs(*table), draws=100)


@pytest.mark.parametrize("case", OPEN)
def test_a_table_that_tells_too_little_has_no_finite_intervals(case):
    *table, code, text = OPEN[case]
    told = lc.scaling.examine_design(chinchilla, runs(*table))
    assert code in [reason.code for reason in told.reasons]
    assert text in told.describe()


@pytest.mark.slow
def test_the_parameters_that_are_not_told_are_infinite_in_the_fit():
    *table, _, _ = OPEN["one_model_size"]
    fit = lc.fit_scaling_law(jax.random.key(0), runs(*table), draws=100)
    assert set(fit.identifiability.undetermined) == {"model_scale", "model_exponent"}
    limits = fit.interval()
    assert limits["model_exponent"] == (-np.inf, np.inf)
    assert limits["data_exponent"][0] <= -0.31 <= limits["data_exponent"][1]
    # The same model with more data hangs on nothing that is open.
    assert 0.8 < float(fit.predict(params=4e4, tokens=256e3)) < 1.2


@pytest.mark.slow
def test_a_grid_of_sizes_is_fitted():
    fit = lc.fit_scaling_law(jax.random.key(0), runs(MODEL, DATA, LOSS), draws=300)
    assert bool(fit.converged)
    assert fit.identifiability.determined
    limits = fit.interval()
    for name, truth in {"model_exponent": -0.38, "data_exponent": -0.31, "offset": 0.35}.items():
        assert limits[name][0] <= truth <= limits[name][1], name
        assert abs(float(fit.parameters[name]) - truth) < 0.1, name


@pytest.mark.slow
def test_a_traced_fit_of_a_loss_that_is_nan_has_not_converged():
    table = {name: jnp.asarray(a) for name, a in runs(MODEL, DATA, LOSS).items()}
    table["loss"] = table["loss"].at[5].set(jnp.nan)
    assert not jax.jit(lc.fit_scaling_law)(jax.random.key(0), table).converged
