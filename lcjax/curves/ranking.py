"""Ranking of tasks by the exponents of their learning curves."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.intervals import central_interval
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["Ranking", "rank_by_exponent"]


@record
class Ranking:
    """Tasks from the steepest learning curve to the flattest (Hestness et al., 2019, Table 2, from bottom to top).

    Attributes:
        names: names of the `t` tasks in order of rank.
        exponent: exponents in ascending order: the most negative, which gains most from data, comes first.
        low: lower limit of each exponent at `level`.
        high: upper limit of each exponent.
        rank_low: lowest rank in the interval at `level`, counted from 1.
        rank_high: highest rank in the interval.
        level: nominal coverage of all intervals.
    """

    names: tuple[str, ...] = jax.tree.static()
    exponent: Float[Array, " t"]
    low: Float[Array, " t"]
    high: Float[Array, " t"]
    rank_low: Int[Array, " t"]
    rank_high: Int[Array, " t"]
    level: float = jax.tree.static(default=0.9)


def rank_by_exponent(fits: Mapping[str, CurveFit], *, level: float = 0.9) -> Ranking:
    """Rank tasks by the exponent of their learning curves, with intervals from the fits' bootstrap draws.

    The k-th draws of all tasks are ranked together; the interval of a task's rank contains the share `level` of its
    draws. The curves do not distinguish two tasks whose rank intervals overlap.

    Args:
        fits: fit of each task, of one curve by a form with an exponent; all with the same number of draws.
        level: nominal coverage of all intervals.

    Returns:
        `Ranking` of t tasks, the steepest curve first; exponents, ranks and their limits are `(t,)`.

    Raises:
        ValueError: there is no fit, or one has a batch of curves, a form without exponent, or another number of draws.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = jnp.array([1e3, 2e3, 4e3, 8e3])
        >>> keys = jax.random.split(jax.random.key(0))
        >>> fits = {
        ...     name: lc.fit_curve(lc.LearningCurve(size, size**b), lc.forms.power_law, key=key, draws=50)
        ...     for name, b, key in zip(("words", "images"), (-0.066, -0.309), keys)
        ... }
        >>> rank_by_exponent(fits).names
        ('images', 'words')
    """
    if not fits:
        raise ValueError("rank_by_exponent needs at least one task, got none.")
    for name, fit in fits.items():
        if "exponent" not in fit.form.parameters or jnp.ndim(fit.reference):
            raise ValueError(
                f"{name!r} must be the fit of one curve by a form with an exponent, got {fit.form.__name__} and batch "
                f"shape {jnp.shape(fit.reference)}."
            )
    counts = {name: 0 if fit.draws is None else fit.draws.shape[-2] for name, fit in fits.items()}
    if len(set(counts.values())) > 1 or not all(counts.values()):
        raise ValueError(f"All fits must have the same number of bootstrap draws, at least one, got {counts}.")
    exponent = jnp.stack([fit.parameters["exponent"] for fit in fits.values()])
    draws = jnp.stack([fit.parameter_draws["exponent"] for fit in fits.values()])
    ranks = 1 + jnp.sum(draws[None, :, :] < draws[:, None, :], axis=1)
    low, high = central_interval(draws, level)
    rank_limits = central_interval(ranks.astype(draws.dtype), level, interpolate=False)
    rank_low, rank_high = (limit.astype(ranks.dtype) for limit in rank_limits)
    order = np.argsort(np.asarray(exponent))
    names = tuple(np.array(list(fits))[order].tolist())
    return Ranking(names, exponent[order], low[order], high[order], rank_low[order], rank_high[order], level)
