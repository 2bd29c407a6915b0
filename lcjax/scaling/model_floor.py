"""The part of the error that a model of one size keeps with infinitely many examples."""

import numpy as np
from jaxtyping import Num

from lcjax.curves.floors.error_floor import ErrorFloor
from lcjax.scaling.fit import ScalingFit
from lcjax.typing import Array

__all__ = ["model_floor"]


def model_floor(fit: ScalingFit, model_size: Num[Array, "*b"] | float, *, level: float = 0.9) -> ErrorFloor:
    """Return the part of the error that a larger model removes and more data do not, for `lcjax.diagnose`.

    In the joint law `E + A / N^a + B / D^b` (Hoffmann et al., 2022, Eq. (2)) a model of N parameters keeps `A / N^a`
    beyond the irreducible E, however many examples D there are.

    Args:
        fit: fit of errors at several model sizes and data sizes.
        model_size: number of parameters N of the model, or its width if the fit was made in widths, `(*b,)`.
        level: probability of the interval of the bootstrap draws, in (0, 1); without draws both limits are the fit's.

    Returns:
        `ErrorFloor` with limits `(*b,)`.

    Raises:
        ValueError: the level is outside (0, 1).

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> n, d = (a.ravel() for a in jnp.meshgrid(10.0 ** jnp.arange(4, 8), 10.0 ** jnp.arange(4, 8)))
        >>> table = {"params": n, "tokens": d, "loss": 0.05 + 20 * n**-0.4 + 30 * d**-0.3}
        >>> fit = lc.fit_scaling_law(jax.random.key(0), table)
        >>> round(float(model_floor(fit, 1e4).low), 2)  # 20 * 1e4**-0.4
        0.5
    """
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, got {level}.")
    size = np.asarray(model_size, float)
    if fit.draws is None:
        parameters = {name: np.asarray(value, float) for name, value in fit.parameters.items()}
        part = parameters["model_scale"] * size ** parameters["model_exponent"]
        return ErrorFloor(part, part)
    rows = {name: np.asarray(value, float) for name, value in fit.parameter_draws.items()}
    parts = rows["model_scale"] * size[..., None] ** rows["model_exponent"]
    low, high = np.quantile(parts, [0.5 - level / 2, 0.5 + level / 2], axis=-1)
    return ErrorFloor(np.asarray(low), np.asarray(high))
