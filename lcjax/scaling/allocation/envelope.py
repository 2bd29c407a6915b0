"""Approach 1: the lower envelope of training curves, and power laws of the models that form it."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Num

from lcjax.records import record
from lcjax.scaling.allocation.columns import runs_compute
from lcjax.scaling.allocation.frontier import Frontier, draw_student, fit_frontier, fit_lines
from lcjax.scaling.runs import FLOPS
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["Envelope", "fit_envelope"]

CURVES, POINTS = 3, 3  # fewest curves, and fewest points of each
_SAME = 0.01  # relative difference of sizes that count as one model
_BUDGETS = 1500  # of Hoffmann et al. (2022), section 3.1


@record
class Envelope:
    """Best models at many budgets, and power laws through them.

    Attributes:
        compute: budgets, ascending, `(g,)`.
        params: parameters of the model with the smallest loss, `(g,)`.
        tokens: tokens that it has seen, `(g,)`.
        loss: its loss, interpolated, `(g,)`.
        curves: number of curves.
        frontier: power laws through the models that win a whole range of budgets.
    """

    compute: Float[np.ndarray, " g"]
    params: Float[np.ndarray, " g"]
    tokens: Float[np.ndarray, " g"]
    loss: Float[np.ndarray, " g"]
    curves: int
    frontier: Frontier


def fit_envelope(
    key: KeyArray,
    runs: Mapping[str, Num[Array, " n"]],
    *,
    curve: str | None = None,
    draws: int = 200,
    flops: float = FLOPS,
) -> Envelope:
    """Fit power laws to the lower envelope of training curves in compute.

    The logarithm of each curve's loss is interpolated linearly in that of compute, at 1,500 budgets (Hoffmann et al.,
    2022, section 3.1). A budget counts if curves of a smaller and of a larger model than the best one reach it. Each
    model that wins only such budgets enters once, at the geometric mean of the budgets that it wins, because every
    budget between two changes of the best model would repeat the same model.

    Noise that is common to a model's curve favours lucky models: with 0.5 % of it the exponent was low by 0.005 to
    0.009 on 10 and 16 models of Hoffmann et al.'s law, and 90 % intervals held the truth in 85 of 100 trials.

    The draws scatter about the power law as the models that form it do (a parametric bootstrap, with the uncertainty of
    their variance); intervals are open for fewer than three models.

    Args:
        key: a typed key, of the bootstrap.
        runs: columns of the table, `(n,)` each: "params", "loss" and "compute" or "tokens", a row for each point of a
            curve.
        curve: column whose equal values make a curve; None for equal params, within one per cent.
        draws: number of bootstrap draws; 0 for none.
        flops: operations per parameter and token, for a table that lacks "compute" or "tokens".

    Raises:
        ValueError: a column is missing or has a value out of its range, a loss is not positive, `draws` is negative,
            fewer than three curves have three points, or fewer than two models win a whole range of budgets.

    Examples:
        >>> import jax
        >>> n, d = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(6, 10, 0.5), np.geomspace(1e6, 1e12, 60)))
        >>> table = {"params": n, "tokens": d, "loss": 1.7 + 400 * n**-0.35 + 400 * d**-0.35}
        >>> law = fit_envelope(jax.random.key(0), table, draws=0).frontier
        >>> round(float(law.params_exponent), 2), round(float(law.tokens_exponent), 2)
        (0.5, 0.5)
    """
    check_key(key)
    if draws < 0:
        raise ValueError(f"draws must be >= 0, got {draws}.")
    compute, tokens = runs_compute(runs, flops)
    params, loss = (np.asarray(runs[name], float) for name in ("params", "loss"))
    if (loss <= 0).any():
        raise ValueError(f"loss must be positive, got {loss.min():g}: an envelope compares logarithms of losses.")
    if curve is not None and curve not in runs:
        raise ValueError(f"The table of runs has no column {curve!r}, it has {', '.join(runs)}.")
    label = np.round(np.log(params) / _SAME) if curve is None else np.asarray(runs[curve])
    names, index = np.unique(label, return_inverse=True)
    groups = [np.flatnonzero(index == group) for group in range(len(names))]
    groups = [rows for rows in groups if len(np.unique(compute[rows])) >= POINTS]
    if len(groups) < CURVES:
        raise ValueError(
            f"Approach 1 needs {CURVES} training curves of {POINTS} points; {len(groups)} of the table's {len(names)} "
            f"{'sizes of model' if curve is None else f'values of {curve}'} have them."
        )
    return _fit(key, np.log(params), np.log(tokens), np.log(compute), np.log(loss), groups, draws)


def _fit(
    key: KeyArray,
    params: np.ndarray,
    tokens: np.ndarray,
    compute: np.ndarray,
    loss: np.ndarray,
    groups: list[np.ndarray],
    draws: int,
) -> Envelope:
    """Fit the envelope of curves, the rows of each given; all columns are logarithms."""
    budgets = np.linspace(*_range_of(compute, groups), _BUDGETS)
    size = np.array([params[rows].mean() for rows in groups])
    values, examples = np.full((2, len(groups), _BUDGETS), np.nan)
    for row, rows in enumerate(groups):
        ordered = rows[np.argsort(compute[rows], kind="stable")]
        for column, out in ((loss, values), (tokens, examples)):
            out[row] = np.interp(budgets, compute[ordered], column[ordered], left=np.nan, right=np.nan)
    reached = np.isfinite(values)
    best = np.argmin(np.where(reached, values, np.inf), axis=0)
    winner, place = size[best], np.arange(_BUDGETS)
    smaller = np.where(reached, size[:, None], np.inf).min(axis=0) < winner - _SAME / 2
    larger = np.where(reached, size[:, None], -np.inf).max(axis=0) > winner + _SAME / 2
    counts = smaller & larger & reached.any(axis=0)
    counts[[0, -1]] = False
    whole = np.array([one for one in np.unique(best) if counts[best == one].all()], int)
    if len(whole) < 2:
        raise ValueError(
            f"Approach 1 needs two models that win a whole range of budgets between smaller and larger ones; "
            f"{len(whole)} of {len(groups)} do."
        )
    middle = np.array([budgets[best == one].mean() for one in whole])
    # On its own curve a model's tokens are a function of compute alone.
    seen = np.array(
        [np.interp(c, budgets, np.where(reached[one], examples[one], 0)) for c, one in zip(middle, whole, strict=True)]
    )
    order = np.argsort(middle, kind="stable")
    middle, whole, seen = middle[order], whole[order], seen[order]
    rows, again = size[whole][None], seen[None]
    if draws:
        change = _draw_residuals(key, middle, size[whole], draws)
        rows = np.concatenate([rows, size[whole] + change])
        again = np.concatenate([again, seen - change])
    frontier = fit_frontier(np.exp(middle), rows, again, np.isfinite(rows), float(np.exp(compute.max())))
    return Envelope(
        compute=np.exp(budgets),
        params=np.exp(winner),
        tokens=np.exp(examples[best, place]),
        loss=np.exp(values[best, place]),
        curves=len(groups),
        frontier=frontier,
    )


def _range_of(compute: np.ndarray, groups: list[np.ndarray]) -> tuple[float, float]:
    """Return the range of budgets that at least one curve reaches."""
    rows = np.concatenate(groups)
    return float(compute[rows].min()), float(compute[rows].max())


def _draw_residuals(key: KeyArray, x: np.ndarray, y: np.ndarray, draws: int) -> np.ndarray:
    """Draw what takes points to new ones about their line; nan for two points, which have no residuals."""
    count = len(x)
    if count < 3:
        return np.full((draws, count), np.nan)
    slope, intercept = fit_lines(x, y, np.full(count, True))
    residual = y - slope * x - intercept
    size = np.sqrt(np.sum(residual**2) / (count - 2))
    return np.asarray(size * draw_student(key, (draws, count), count - 2) - residual)
