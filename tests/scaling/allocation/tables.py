"""Tables of runs whose losses follow a law, and fits of known parameters."""

import jax.numpy as jnp
import numpy as np

from lcjax.scaling.fit import ScalingFit
from lcjax.scaling.laws import chinchilla
from lcjax.scaling.residuals import Huber

VALUES = {
    "offset": 1.82, "model_scale": 478.0, "model_exponent": -0.35, "data_scale": 2144.0, "data_exponent": -0.37
}  # fmt: skip
BUDGETS = np.array([1e18, 1e19, 1e20, 1e21])


def true_exponent(values):
    return values["data_exponent"] / (values["model_exponent"] + values["data_exponent"])


def optimum(values, compute):
    """Return the params of Hoffmann et al. (2022), Eq. (4)."""
    a, b = -values["model_exponent"], -values["data_exponent"]
    g = (a * values["model_scale"] / (b * values["data_scale"])) ** (1 / (a + b))
    return g * (compute / 6) ** (b / (a + b))


def chinchilla_loss(values, params, tokens):
    return np.asarray(
        values["offset"]
        + values["model_scale"] * params ** values["model_exponent"]
        + values["data_scale"] * tokens ** values["data_exponent"]
    )


def isoflop_table(values=VALUES, budgets=BUDGETS, spread=5.0, sizes=7, shift=0.0):
    """Return runs at budgets, centred on the optimum at the smallest, and off it by `shift` decades at the largest."""
    size, budget = (a.ravel() for a in np.meshgrid(np.geomspace(1 / spread, spread, sizes), budgets))
    away = shift * np.log(budget / budgets[0]) / np.log(budgets[-1] / budgets[0])
    params = optimum(values, budget) * size * 10**away
    tokens = budget / 6 / params
    return {"params": params, "tokens": tokens, "compute": budget, "loss": chinchilla_loss(values, params, tokens)}


def known_fit(table, values=VALUES, law=chinchilla, draws=None):
    """Return a fit with given parameters."""
    runs = {name: jnp.asarray(table[name]) for name in ("loss", *law.variables)}
    row = jnp.asarray([values[name] for name in law.names])
    zero = jnp.zeros((), row.dtype)
    return ScalingFit(
        law,
        Huber(),
        law.residual,
        runs,
        row,
        zero,
        zero,
        jnp.asarray(True),
        None if draws is None else jnp.asarray(draws),
    )
