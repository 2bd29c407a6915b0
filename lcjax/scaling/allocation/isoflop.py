"""Approach 2: parabolas through the losses at fixed budgets of compute, and power laws of their minima."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.compilation import jit_lean
from lcjax.records import record
from lcjax.scaling.allocation.columns import runs_compute
from lcjax.scaling.allocation.frontier import Frontier, draw_student, fit_frontier, fit_lines
from lcjax.scaling.allocation.parabolas import Parabolas, fit_parabolas
from lcjax.scaling.runs import FLOPS, TOLERANCE, group_budgets
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["IsoFlops", "fit_isoflops", "fit_table"]

FEWEST = 4  # sizes of models at a budget
_SAME = 0.01  # relative difference of sizes that count as one


@record
class IsoFlops:
    """Minima of the loss at fixed budgets, and power laws through them.

    Attributes:
        compute: budgets, ascending, `(g,)`.
        count: runs of each budget, `(g,)`.
        params: parameters at the minimum of the budget's parabola, `(g,)`; nan where there is none.
        tokens: tokens there, `(g,)`.
        loss: loss there, `(g,)`.
        curvature: second derivative of the loss in the logarithm of the parameters, `(g,)`.
        inside: True where the minimum is within the budget's range of parameters, `(g,)`; others are left out.
        noise: robust standard deviation of the losses from the parabolas, `()`.
        frontier: power laws through the minima.
        excluded: reasons for which budgets are left out.
    """

    compute: Float[np.ndarray, " g"]
    count: Int[np.ndarray, " g"]
    params: Float[np.ndarray, " g"]
    tokens: Float[np.ndarray, " g"]
    loss: Float[np.ndarray, " g"]
    curvature: Float[np.ndarray, " g"]
    inside: Bool[np.ndarray, " g"]
    noise: Float[np.ndarray, ""]
    frontier: Frontier
    excluded: tuple[str, ...] = jax.tree.static(default=())


def fit_isoflops(
    key: KeyArray,
    runs: Mapping[str, Num[Array, " n"]],
    *,
    draws: int = 200,
    flops: float = FLOPS,
    tolerance: float = TOLERANCE,
) -> IsoFlops:
    """Fit power laws to the minima of parabolas through losses at fixed budgets.

    At each budget with at least four sizes of model, a parabola in the logarithm of the parameters is fitted to the
    losses by Huber's loss; power laws in compute are fitted to the parameters and tokens at their minima (Hoffmann et
    al., 2022, section 3.2). The curve of a loss law is not a parabola: `parabola_bias` estimates what that costs.

    The bootstrap draws residuals of the parabolas, and adds to each minimum the scatter about the power law that they
    do not explain, with the uncertainty of its variance.

    Args:
        key: a typed key, of the bootstrap.
        runs: columns of the table, `(n,)` each: "params", "loss" and "compute" or "tokens".
        draws: number of bootstrap draws; 0 for none.
        flops: operations per parameter and token, for a table that lacks "compute" or "tokens".
        tolerance: largest relative difference of compute within a budget.

    Returns:
        `IsoFlops`; its `excluded` says which budgets are left out, and why.

    Raises:
        ValueError: a column is missing or has a value out of its range, `draws` is negative, or fewer than two budgets
            have four sizes of model and a minimum within their range.

    Examples:
        >>> import jax
        >>> size, budget = (a.ravel() for a in np.meshgrid(np.geomspace(0.2, 5, 7), [1e18, 1e19, 1e20]))
        >>> params = 0.1 * budget**0.5 * size
        >>> table = {"params": params, "compute": budget, "loss": 2 + budget**-0.05 * (10 + np.log(size) ** 2)}
        >>> law = fit_isoflops(jax.random.key(0), table, draws=0).frontier
        >>> round(float(law.params_exponent), 3), round(float(law.params_scale), 3)
        (0.5, 0.1)
    """
    check_key(key)
    if draws < 0:
        raise ValueError(f"draws must be >= 0, got {draws}.")
    compute, tokens = runs_compute(runs, flops)
    params, loss = (np.asarray(runs[name], float) for name in ("params", "loss"))
    return fit_table(key, params, tokens, compute, loss, draws, tolerance)


def fit_table(
    key: KeyArray | None,
    params: np.ndarray,
    tokens: np.ndarray,
    compute: np.ndarray,
    loss: np.ndarray,
    draws: int,
    tolerance: float,
) -> IsoFlops:
    """Fit isoFLOP curves to checked columns, `(n,)` each; without a key there are no draws."""
    budgets = group_budgets(compute, tolerance=tolerance)
    groups = [np.flatnonzero(budgets.index == group) for group in range(len(budgets.compute))]
    sizes = [len(np.unique(np.round(np.log(params[rows]) / _SAME))) for rows in groups]
    few = [budget for budget, size in zip(budgets.compute, sizes, strict=True) if size < FEWEST]
    excluded = []
    if few:
        which = (
            f"the budget {few[0]:.3g} has"
            if len(few) == 1
            else f"{len(few)} budgets, {few[0]:.3g} to {few[-1]:.3g}, have"
        )
        excluded.append(f"{which} fewer than the {FEWEST} sizes of model that a parabola needs")
    full = [group for group, size in enumerate(sizes) if size >= FEWEST]
    if len(full) < 2:
        raise ValueError(
            f"Approach 2 needs two budgets with {FEWEST} sizes of model; {len(full)} of {len(groups)} have them."
        )
    most = max(len(groups[group]) for group in full)
    index = np.array([np.pad(groups[group], (0, most - len(groups[group])), mode="edge") for group in full])
    present = np.arange(most) < np.array([[len(groups[group])] for group in full])
    x, y = np.log(params)[index], loss[index]
    with jax.enable_x64(True):
        first, again = _fit_draws(key, jnp.asarray(x), jnp.asarray(y), jnp.asarray(present), draws=draws)
        vertex, value, curvature = (
            np.concatenate([np.asarray(a)[None], b]) for a, b in zip(first[:3], again, strict=True)
        )
    low = np.where(present, x, np.inf).min(axis=1)
    high = np.where(present, x, -np.inf).max(axis=1)
    inside = (curvature > 0) & (vertex >= low) & (vertex <= high)
    for row in np.flatnonzero(~inside[0]):
        what = "has no minimum" if curvature[0, row] <= 0 else f"has its minimum at {np.exp(vertex[0, row]):.3g}"
        excluded.append(
            f"the parabola of the budget {budgets.compute[full[row]]:.3g} {what}; its models have "
            f"{np.exp(low[row]):.3g} to {np.exp(high[row]):.3g} parameters"
        )
    if inside[0].sum() < 2:
        raise ValueError(
            f"Approach 2 needs two budgets whose minimum is within their range of parameters: {'; '.join(excluded)}."
        )
    chosen = budgets.compute[full]
    if draws and key is not None:
        vertex[1:] += _scatter(key, np.log(chosen), vertex, inside)
    slope, intercept = fit_lines(x, np.log(tokens)[index], present)
    frontier = fit_frontier(chosen, vertex, intercept + slope * vertex, inside, float(compute.max()))

    def spread(column: np.ndarray) -> np.ndarray:
        whole = np.full(len(groups), np.nan)
        whole[full] = column
        return whole

    is_inside = np.zeros(len(groups), bool)
    is_inside[full] = inside[0]
    return IsoFlops(
        compute=budgets.compute,
        count=budgets.count,
        params=spread(np.exp(vertex[0])),
        tokens=spread(np.exp((intercept + slope * vertex)[0])),
        loss=spread(value[0]),
        curvature=spread(curvature[0]),
        inside=is_inside,
        noise=np.asarray(first.scale),
        frontier=frontier,
        excluded=tuple(excluded),
    )


@jit_lean(static_argnames="draws")
def _fit_draws(
    key: KeyArray | None, x: jax.Array, y: jax.Array, present: jax.Array, *, draws: int
) -> tuple[Parabolas, tuple[jax.Array, jax.Array, jax.Array]]:
    """Fit the parabolas, and again with residuals drawn from those of all budgets."""
    first = fit_parabolas(x, y, present)
    if not draws or key is None:
        return first, (jnp.zeros((0, len(x))),) * 3
    residual = jnp.where(present, y - first.fitted, 0)
    count = jnp.sum(present)
    pool = residual.ravel()[jnp.argsort(~present.ravel(), stable=True)]  # those that fill the rows come last
    pool = pool * jnp.sqrt(count / jnp.maximum(1, count - 3 * len(x)))
    rows = jax.random.randint(jax.random.fold_in(key, 0), (draws, *x.shape), 0, count)
    again = jax.vmap(lambda change: fit_parabolas(x, first.fitted + change, present))(pool[rows])
    return first, again[:3]


def _scatter(
    key: KeyArray, log_compute: np.ndarray, vertex: np.ndarray, inside: np.ndarray
) -> Float[np.ndarray, "k g"]:
    """Draw the scatter of the minima about the power law beyond what the residuals of the parabolas explain."""
    used = inside[0]
    slope, intercept = fit_lines(log_compute, vertex[0], used)
    off = (vertex[0] - slope * log_compute - intercept)[used]
    total = np.sum(off**2) / max(1, len(off) - 2)
    counted = np.where(inside[1:], vertex[1:], np.nan)[:, used]
    deviation = counted - vertex[0, used]
    explained = float(np.nanmean(deviation**2)) if np.isfinite(deviation).any() else 0.0
    if len(off) < 3:
        return np.zeros_like(vertex[1:])
    size = np.sqrt(max(0.0, total - explained))
    return np.asarray(size * draw_student(jax.random.fold_in(key, 1), vertex[1:].shape, len(off) - 2))
