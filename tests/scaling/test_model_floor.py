"""The part of the error that a model keeps, from a joint fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.scaling.fit import fit_scaling_law
from lcjax.scaling.model_floor import model_floor

N, D = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(3, 7), 10.0 ** np.arange(3, 8)))


@pytest.mark.slow
def test_the_floor_is_the_term_of_the_model(x64):
    noise = np.exp(0.02 * np.random.default_rng(0).normal(size=N.size))
    error = jnp.asarray((0.05 + 20 * N**-0.4 + 30 * D**-0.3) * noise)
    sizes, truth = np.array([1e3, 1e5]), 20 * np.array([1e3, 1e5]) ** -0.4
    runs = {"params": N, "tokens": D, "loss": error}
    drawn = model_floor(fit_scaling_law(jax.random.key(0), runs, draws=60), sizes)
    assert drawn.low.shape == drawn.high.shape == (2,)
    assert np.all(drawn.low < drawn.high)
    assert np.all(np.abs(np.log(drawn.low / truth)) < 0.3)
    fit = fit_scaling_law(jax.random.key(0), runs)
    plain = model_floor(fit, 1e5)
    part = fit.parameters["model_scale"] * 1e5 ** fit.parameters["model_exponent"]
    assert float(plain.low) == float(plain.high) == pytest.approx(float(part), rel=1e-4)
    with pytest.raises(ValueError, match=r"got 0\.0"):
        model_floor(fit, 1e5, level=0.0)
