"""Profile likelihoods of the parameters in which a law is not linear, and the intervals that they allow."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.scaling.law import Law, bounds
from lcjax.scaling.minimization import Problem, descend
from lcjax.scaling.residuals import Huber, ResidualLoss

__all__ = ["Profile", "compute_profile"]

POINTS = 15  # of each profile
THRESHOLD = 2.706  # 90 % quantile of chi-square with one degree of freedom
_EFFICIENT = 1.345  # corner of Huber's loss in standard deviations: 95 % efficient for normal residuals
_REACH = 3.0  # of the profile, in units of the coordinate, on both sides of the fit, within the bounds


class Profile(NamedTuple):
    """Profiles of a law's parameters; the rows of linear ones are nan.

    Attributes:
        coordinate: coordinates at which the parameter is held, `(p, POINTS)`.
        deviance: twice the loss above the minimum, in units of the residuals' variance, `(p, POINTS)`.
    """

    coordinate: Float[jax.Array, "p m"]
    deviance: Float[jax.Array, "p m"]


def compute_profile(
    law: Law, is_log: bool, best: Float[jax.Array, " p"], problem: Problem, noise: Float[jax.Array, ""]
) -> Profile:
    """Hold each parameter in turn at a range of values and fit the others.

    The loss is Huber's with its corner at 1.345 standard deviations of the residuals, whatever the fit's, because the
    deviance of nearly absolute residuals is too rough for a few dozen runs.

    Args:
        law: the law.
        is_log: True for residuals of the logarithm.
        best: coordinates of the fit.
        problem: the runs; the residuals are divided by the noise.
        noise: standard deviation of the residuals.
    """
    free = np.array([i for i, parameter in enumerate(law.parameters) if not parameter.linear], int)
    p, dtype = len(law.parameters), best.dtype
    blank = jnp.full((p, POINTS), jnp.nan, dtype)
    if not len(free):
        return Profile(blank, blank)
    low, high = (jnp.asarray(side, dtype) for side in bounds(law))
    place = jnp.linspace(-1, 1, POINTS, dtype=dtype)
    middle, least, most = (side[free, None] for side in (best, low, high))
    reach = jnp.where(place < 0, jnp.minimum(_REACH, middle - least), jnp.minimum(_REACH, most - middle))
    held = middle + jnp.sign(place) * jnp.abs(place) ** 2 * reach
    count = held.size
    start = jnp.broadcast_to(best[:, None], (p, count))
    row = jnp.asarray(np.repeat(free, POINTS))
    where = jnp.arange(count)
    sides = [jnp.broadcast_to(side[:, None], (p, count)).at[row, where].set(held.ravel()) for side in (low, high)]
    loss: ResidualLoss = Huber(_EFFICIENT)
    scaled = Problem(problem.variables, problem.loss, problem.weight, problem.unit, noise)
    minimum = descend(law, loss, is_log, start.at[row, where].set(held.ravel()), scaled, (sides[0], sides[1]))
    value = jnp.asarray(minimum.value).reshape(held.shape)
    deviance = 2 * (value - jnp.nanmin(value, axis=1, keepdims=True)) / noise**2
    return Profile(blank.at[free].set(held), blank.at[free].set(deviance))
