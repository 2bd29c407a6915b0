"""Approach 2: parabolas through the losses at fixed budgets of compute, and power laws of their minima."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.compilation import jit, jit_lean
from lcjax.records import record
from lcjax.scaling.allocation.frontier import Frontier, fit_frontier, fit_lines
from lcjax.scaling.allocation.minimum import optimal_params
from lcjax.scaling.allocation.optimum import check_law
from lcjax.scaling.fit import ScalingFit
from lcjax.scaling.runs import FLOPS, TOLERANCE, check_runs, group_budgets
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["IsoFlops", "ParabolaBias", "Parabolas", "fit_isoflops", "fit_parabolas", "parabola_bias", "runs_compute"]

FEWEST = 4  # sizes of models at a budget
_SAME = 0.01  # relative difference of sizes that count as one
_REWEIGHTINGS = 30
_EFFICIENT, _MAD = 1.345, 1.4826


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


class Parabolas(NamedTuple):
    """Parabolas fitted to budgets.

    Attributes:
        vertex: place of the minimum or maximum, `(g,)`.
        value: value there, `(g,)`.
        curvature: second derivative, `(g,)`.
        fitted: values at the points, `(g, m)`.
        scale: robust standard deviation of the residuals of all budgets together, `()`.
    """

    vertex: Float[jax.Array, " g"]
    value: Float[jax.Array, " g"]
    curvature: Float[jax.Array, " g"]
    fitted: Float[jax.Array, "g m"]
    scale: Float[jax.Array, ""]


@jit
def fit_parabolas(x: Float[Array, "g m"], y: Float[Array, "g m"], present: Bool[Array, "g m"]) -> Parabolas:
    """Fit one parabola to each budget by Huber's loss, with one scale for all.

    Args:
        x: logarithms of the parameters, `(g, m)`.
        y: losses.
        present: False for the entries that fill the rows; each row has at least four others.

    Examples:
        >>> x = jnp.arange(5.0)[None]
        >>> fit = fit_parabolas(x, 2 + (x - 1.5) ** 2, x > -1)
        >>> round(float(fit.vertex[0]), 3), round(float(fit.curvature[0]), 3)
        (1.5, 2.0)
    """
    x, y, present = jnp.asarray(x), jnp.asarray(y), jnp.asarray(present)
    weight = present.astype(x.dtype)
    count = jnp.sum(weight, axis=1, keepdims=True)
    middle = jnp.sum(weight * x, axis=1, keepdims=True) / count
    width = jnp.sqrt(jnp.sum(weight * (x - middle) ** 2, axis=1, keepdims=True) / count)
    t = jnp.where(present, (x - middle) / width, 0)
    basis = jnp.stack([jnp.ones_like(t), t, t**2], axis=-1)
    base = jnp.sum(weight * y, axis=1, keepdims=True) / count
    target = jnp.where(present, y - base, 0)
    spare = jnp.sum(weight) / jnp.maximum(1, jnp.sum(weight) - 3 * len(x))

    def solve(weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        matrix = jnp.einsum("gm,gmi,gmj->gij", weight, basis, basis)
        right = jnp.einsum("gm,gmi->gi", weight * target, basis)
        row = jnp.linalg.solve(matrix, right[..., None])[..., 0]
        fitted = jnp.einsum("gmi,gi->gm", basis, row)
        size = jnp.where(present, jnp.abs(target - fitted), jnp.nan)
        return row, fitted, _MAD * jnp.nanmedian(size) * jnp.sqrt(spare)

    def reweight(_: jax.Array, state: jax.Array) -> jax.Array:
        _, fitted, scale = solve(state)
        corner = jnp.maximum(_EFFICIENT * scale, jnp.finfo(x.dtype).eps * jnp.max(jnp.abs(y)))
        return weight * corner / jnp.maximum(jnp.abs(target - fitted), corner)

    row, fitted, scale = solve(jax.lax.fori_loop(0, _REWEIGHTINGS, reweight, weight))
    level, slope, bend = row.T
    place = -slope / (2 * bend)
    return Parabolas(
        middle[:, 0] + width[:, 0] * place,
        base[:, 0] + level + slope * place / 2,
        2 * bend / width[:, 0] ** 2,
        base + fitted,
        scale,
    )


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
    do not explain.

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
    return _fit(key, params, tokens, compute, loss, draws, tolerance)


def parabola_bias(
    fit: ScalingFit, runs: Mapping[str, Num[Array, " n"]], *, flops: float = FLOPS, **fixed: float
) -> ParabolaBias:
    """Return the bias of approach 2 on losses that follow a fitted law exactly, at the places of the runs.

    A parabola is the second-order expansion of the loss. Its minimum is off where the range of parameters is wide, or
    is not centred on the minimum, and the more so the less alike the law's two exponents are; where this differs
    between budgets, the exponents of approach 2 are biased. More runs do not help.

    Args:
        fit: fit of a law of params and tokens.
        runs: columns of the table, as for `fit_isoflops`.
        flops: operations per parameter and token, for a table that lacks "compute" or "tokens".
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
        isoflops = _fit(None, params, tokens, compute, loss, 0, TOLERANCE)
        budgets = isoflops.frontier.compute
        # Operations per parameter and token as they are in these runs.
        log_flops = float(np.mean(np.log(compute) - np.log(params * tokens)))
        low, high = np.log(params.min()) - np.log(1e3), np.log(params.max()) + np.log(1e3)
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


def runs_compute(runs: Mapping[str, Num[Array, " n"]], flops: float) -> tuple[np.ndarray, np.ndarray]:
    """Return compute and tokens of the runs of a checked table; where one is missing, by `compute = flops * N * D`.

    Raises:
        ValueError: "params", "loss" or both of "compute" and "tokens" are missing, or a value is out of its range.
    """
    wanted = [name for name in ("params", "loss") if name not in runs]
    if wanted or not {"compute", "tokens"} & set(runs):
        missing = wanted[0] if wanted else "compute or tokens"
        raise ValueError(f"The table of runs needs the column {missing}, it has {', '.join(runs)}.")
    if not (np.isfinite(flops) and flops > 0):
        raise ValueError(f"flops must be positive and finite, got {flops}.")
    check_runs(
        {name: runs[name] for name in ("params", "tokens", "compute", "loss") if name in runs}, positive_loss=False
    )
    params = np.asarray(runs["params"], float)
    tokens = np.asarray(runs["tokens"], float) if "tokens" in runs else None
    compute = np.asarray(runs["compute"], float) if "compute" in runs else flops * params * np.asarray(tokens)
    return compute, compute / (flops * params) if tokens is None else tokens


def _fit(
    key: KeyArray | None,
    params: np.ndarray,
    tokens: np.ndarray,
    compute: np.ndarray,
    loss: np.ndarray,
    draws: int,
    tolerance: float,
) -> IsoFlops:
    budgets = group_budgets(compute, tolerance=tolerance)
    groups = [np.flatnonzero(budgets.index == group) for group in range(len(budgets.compute))]
    sizes = [len(np.unique(np.round(np.log(params[rows]) / _SAME))) for rows in groups]
    excluded = [
        f"compute {budget:.3g} has {size} size{'s' * (size > 1)} of model, a parabola needs {FEWEST}"
        for budget, size in zip(budgets.compute, sizes, strict=True)
        if size < FEWEST
    ]
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
            f"the parabola of compute {budgets.compute[full[row]]:.3g} {what}; its models have "
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
    blank = np.full(len(groups), np.nan)
    columns = []
    for column in (np.exp(vertex[0]), np.exp((intercept + slope * vertex)[0]), value[0], curvature[0]):
        columns.append(blank.copy())
        columns[-1][full] = column
    is_inside = np.zeros(len(groups), bool)
    is_inside[full] = inside[0]
    noise = np.asarray(first.scale)
    return IsoFlops(budgets.compute, budgets.count, *columns, is_inside, noise, frontier, tuple(excluded))


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
    size = np.sqrt(max(0.0, total - explained)) if len(off) > 2 else 0.0
    with jax.enable_x64(True):
        return np.asarray(size * jax.random.normal(jax.random.fold_in(key, 1), vertex[1:].shape))
