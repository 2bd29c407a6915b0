"""Bias of approach 2: its exponents on losses that follow a fitted law exactly."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.records import record
from lcjax.scaling.allocation.columns import runs_compute
from lcjax.scaling.allocation.frontier import fit_lines
from lcjax.scaling.allocation.isoflop import fit_table
from lcjax.scaling.allocation.minimum import optimal_params
from lcjax.scaling.allocation.optimum import check_law
from lcjax.scaling.fit import ScalingFit
from lcjax.scaling.runs import FLOPS, TOLERANCE
from lcjax.typing import Array

__all__ = ["ParabolaBias", "parabola_bias"]

_MARGIN = np.log(1e3)  # of the search beyond the params of the runs, on both sides


@record
class ParabolaBias:
    """Error of the exponents of approach 2 where the losses follow a fitted law exactly.

    Attributes:
        params_exponent: exponent that parabolas find in the law's own losses, `()`.
        true_exponent: exponent of the law's own minima at the same budgets, `()`.
        compute: budgets whose parabola has its minimum within their range, `(g,)`.
        ratio: params at the minimum of the parabola, over those at the law's, `(g,)`.
    """

    params_exponent: Float[np.ndarray, ""]
    true_exponent: Float[np.ndarray, ""]
    compute: Float[np.ndarray, " g"]
    ratio: Float[np.ndarray, " g"]

    @property
    def bias(self) -> Float[np.ndarray, ""]:
        """Exponent of the parabolas less that of the law, `()`."""
        return np.asarray(self.params_exponent - self.true_exponent)

    def headline(self) -> str:
        """Return the bias as a sentence."""
        return (
            f"Parabolas through losses of the fitted law itself give the exponent {self.params_exponent:.3f} for the "
            f"parameters, whose true exponent is {self.true_exponent:.3f}: a bias of {self.bias:+.3f}."
        )


def parabola_bias(
    fit: ScalingFit,
    runs: Mapping[str, Num[Array, " n"]],
    *,
    flops: float = FLOPS,
    tolerance: float = TOLERANCE,
    **fixed: float,
) -> ParabolaBias:
    """Return the bias of approach 2 on losses that follow a fitted law exactly, at the places of the runs.

    A parabola is the second-order expansion of the loss. Its minimum is off where the range of parameters is wide, or
    is not centred on the minimum, and the more so the less alike the law's two exponents are; where this differs
    between budgets, the exponents of approach 2 are biased. More runs do not help.

    Args:
        fit: fit of a law of params and tokens.
        runs: columns of the table, as for `fit_isoflops`.
        flops: operations per parameter and token, for a table that lacks "compute" or "tokens".
        tolerance: largest relative difference of compute within a budget.
        fixed: further variables of the law.

    Returns:
        `ParabolaBias`.

    Raises:
        ValueError: as for `fit_isoflops` and `allocate`.

    Examples:
        >>> import jax
        >>> from lcjax.scaling import fit_scaling_law
        >>> size, budget = (a.ravel() for a in np.meshgrid(np.geomspace(0.1, 10, 9), [1e18, 1e19, 1e20, 1e21]))
        >>> params = 0.1 * budget**0.5 * size
        >>> tokens = budget / 6 / params
        >>> table = {"params": params, "tokens": tokens, "loss": 1.7 + 400 * params**-0.3 + 2000 * tokens**-0.4}
        >>> bias = parabola_bias(fit_scaling_law(jax.random.key(0), table), table)
        >>> round(float(bias.true_exponent), 3), round(float(bias.params_exponent), 3)  # 0.4 / 0.7
        (0.571, 0.5...)
    """
    check_law(fit.law, fixed)
    compute, tokens = runs_compute(runs, flops)
    params = np.asarray(runs["params"], float)
    values = np.asarray(fit.values, float)
    with jax.enable_x64(True):
        named = {name: jnp.asarray(value) for name, value in zip(fit.law.names, values, strict=True)}
        loss = np.asarray(fit.law(named, params=params, tokens=tokens, **fixed))
        isoflops = fit_table(None, params, tokens, compute, loss, 0, tolerance)
        budgets = isoflops.frontier.compute
        # Operations per parameter and token as they are in these runs.
        log_flops = float(np.mean(np.log(compute) - np.log(params * tokens)))
        low, high = np.log(params.min()) - _MARGIN, np.log(params.max()) + _MARGIN
        least = optimal_params(
            fit.law,
            jnp.asarray(np.broadcast_to(values[:, None], (len(values), len(budgets)))),
            jnp.log(jnp.asarray(budgets)),
            *(jnp.full(len(budgets), end) for end in (low, high)),
            log_flops=jnp.asarray(log_flops),
            fixed={name: jnp.asarray(float(value)) for name, value in fixed.items()},
        )
        log_params = np.asarray(least.log_params)
    slope, _ = fit_lines(np.log(budgets), log_params, np.full(len(budgets), True))
    return ParabolaBias(
        isoflops.frontier.params_exponent, slope, budgets, np.asarray(isoflops.frontier.params / np.exp(log_params))
    )
