"""Approach 3: the minimum of a fitted law over parameters and tokens at a budget of compute."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.scaling.allocation.allocation import FARTHEST, Allocation, check_compute, check_level, draw_interval, is_near
from lcjax.scaling.allocation.minimum import optimal_params
from lcjax.scaling.fit import ScalingFit
from lcjax.scaling.law import Law
from lcjax.scaling.runs import FLOPS
from lcjax.typing import Array

__all__ = ["allocate", "check_law", "limit_draws", "refuse_far"]

_MARGIN = np.log(1e3)  # of the search beyond the params that the runs' range implies, on both sides


def allocate(
    fit: ScalingFit, compute: Num[Array, "*c"] | float, *, flops: float = FLOPS, level: float = 0.9, **fixed: float
) -> Allocation:
    """Return the parameters and tokens that minimize a fitted law at budgets `compute = flops * params * tokens`.

    For the law of Hoffmann et al. (2022) this is their Eq. (4). Here the minimum is found numerically, for any law of
    params and tokens, and the exponents are those at the budget: of other laws they change with compute.

    Args:
        fit: fit of a law with the variables "params" and "tokens".
        compute: budgets in floating-point operations, `()` or `(c,)`.
        flops: operations per parameter and token.
        level: probability of the intervals of the bootstrap draws, in (0, 1).
        fixed: further variables of the law, such as `unique_tokens=1e11`.

    Returns:
        `Allocation` with fields `()` or `(c,)`. It is refused, with open intervals, if the design of the runs leaves
        parameters of the law open; at budgets more than three decades beyond the runs; and where the loss is least at
        an end of the searched range of params, or flat.

    Raises:
        ValueError: the law lacks "params" or "tokens", a further variable is missing or unknown, or compute, flops or
            level is out of its range.

    Examples:
        >>> import jax, numpy as np
        >>> from lcjax.scaling import fit_scaling_law
        >>> n, d = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(6, 10), 10.0 ** np.arange(8, 12)))
        >>> table = {"params": n, "tokens": d, "loss": 1.7 + 400 * n**-0.35 + 400 * d**-0.35}
        >>> best = allocate(fit_scaling_law(jax.random.key(0), table), 6e20)
        >>> f"{best.params:.3g} {best.tokens:.3g} {best.params_exponent:.3f}"
        '1e+10 1e+10 0.500'
    """
    check_law(fit.law, fixed)
    check_level(level)
    if not (np.isfinite(flops) and flops > 0):
        raise ValueError(f"flops must be positive and finite, got {flops}.")
    budgets = check_compute(compute)
    params, tokens = (np.asarray(fit.runs[name], float) for name in ("params", "tokens"))
    log_runs, log_compute = np.log(flops * params * tokens), np.log(budgets)
    # Neither params nor tokens shrink as compute grows.
    low = np.log(params.min()) + np.minimum(0, log_compute - log_runs.min()) - _MARGIN
    high = np.log(params.max()) + np.maximum(0, log_compute - log_runs.max()) + _MARGIN
    rows = np.asarray(fit.values, float)[:, None]
    if fit.draws is not None:
        rows = np.concatenate([rows, np.asarray(fit.draws, float).T], axis=1)
    with jax.enable_x64(True):
        shape = (rows.shape[1], *budgets.shape)
        least = optimal_params(
            fit.law,
            jnp.asarray(np.broadcast_to(rows.reshape(*rows.shape, *(1,) * budgets.ndim), (len(rows), *shape))),
            *(jnp.asarray(np.broadcast_to(part, shape)) for part in (log_compute, low, high)),
            log_flops=jnp.asarray(np.log(flops)),
            fixed={name: jnp.asarray(float(value)) for name, value in fixed.items()},
        )
        log_params, loss, exponent, inside = (np.asarray(part) for part in least)
    decades = np.asarray((log_compute - log_runs.max()) / np.log(10))
    size = np.exp(log_params)
    columns = {
        "params": size,
        "tokens": np.exp(log_compute - np.log(flops)) / size,
        "params_exponent": exponent,
        "tokens_exponent": 1 - exponent,
        "loss": loss,
    }
    reasons, told = _refuse(fit, budgets, decades, np.asarray(inside[0]))
    return Allocation(
        compute=budgets,
        decades=decades,
        told=told,
        refused=reasons,
        intervals=None if fit.draws is None else limit_draws(columns, level, told),
        **{name: np.asarray(column[0]) for name, column in columns.items()},
    )


def limit_draws(
    columns: Mapping[str, Float[np.ndarray, "k *c"]], level: float, told: Bool[np.ndarray, "*c"]
) -> dict[str, Float[np.ndarray, "2 *c"]]:
    """Return the intervals of all columns and of tokens per parameter; the first row is the estimate, not a draw.

    Args:
        columns: estimate and draws of each number, those of "params" and "tokens" among them.
        level: probability of the intervals.
        told: False where intervals are open, `(*c,)`.
    """
    intervals = {}
    for name, column in ({**columns, "tokens_per_param": columns["tokens"] / columns["params"]}).items():
        lowest = -np.inf if "exponent" in name or name == "loss" else 0.0
        limits = draw_interval(column[1:], level, lowest=lowest)
        shape = (2, *(1,) * told.ndim)
        intervals[name] = np.where(told, limits, np.array([lowest, np.inf]).reshape(shape))
    return intervals


def refuse_far(budgets: Float[np.ndarray, "*c"], decades: Float[np.ndarray, "*c"]) -> tuple[str, ...]:
    """Return a reason for each budget that is too far beyond the runs."""
    far = np.flatnonzero(~np.atleast_1d(is_near(decades)))
    return tuple(
        f"compute {np.atleast_1d(budgets)[row]:.3g} is {np.atleast_1d(decades)[row]:.2f} decades beyond the runs, more "
        f"than {FARTHEST:g}"
        for row in far
    )


def _refuse(
    fit: ScalingFit, budgets: np.ndarray, decades: np.ndarray, inside: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the reasons not to rely on the allocation, and where there are none."""
    reasons = fit.identifiability.reasons if fit.identifiability else ()
    design = tuple(reason.text for reason in reasons if reason.code != "flat_loss")
    design += () if bool(fit.converged) else ("the fit did not converge",)
    ends = tuple(
        f"at compute {budget:.3g} the fitted law has no distinct minimum over the parameters"
        for budget in np.atleast_1d(budgets)[~np.atleast_1d(inside)]
    )
    return design + refuse_far(budgets, decades) + ends, np.asarray(is_near(decades) & inside & (not design))


def check_law(law: Law, fixed: Mapping[str, float]) -> None:
    """Check that a law has params and tokens, and that its further variables are fixed.

    Raises:
        ValueError: it has not, or they are not.
    """
    if not {"params", "tokens"} <= set(law.variables):
        raise ValueError(
            f"An allocation needs a law of params and tokens; {law.name} is one of {' and '.join(law.variables)}."
        )
    further = [name for name in law.variables if name not in ("params", "tokens")]
    if set(further) != set(fixed):
        raise ValueError(
            f"The law {law.name} has {', '.join(further) or 'nothing'} beside params and tokens to be fixed, "
            f"got {', '.join(fixed) or 'nothing'}."
        )
