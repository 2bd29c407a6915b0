"""Ranking of tasks by the exponents of their learning curves, and the law of the best model's size."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.kernels.compilation import jit
from lcjax.records import record

__all__ = ["ModelSizeLaw", "Ranking", "fit_model_size", "rank_tasks"]

Array = jax.Array | np.ndarray


@record
class Ranking:
    """Tasks from the steepest learning curve to the flattest (Hestness et al., Table 2, read from below).

    Attributes:
        names: the tasks, in order of rank, `t` of them.
        exponent: exponents, ascending: the most negative, which gains most from data, first.
        low: lower limit of each exponent at `level`.
        high: upper limit.
        rank_low: lowest rank in the interval at `level`, counted from 1.
        rank_high: highest rank in it.
        level: of the intervals.
    """

    names: tuple[str, ...] = jax.tree.static()
    exponent: Float[Array, " t"]
    low: Float[Array, " t"]
    high: Float[Array, " t"]
    rank_low: Int[Array, " t"]
    rank_high: Int[Array, " t"]
    level: float = jax.tree.static(default=0.9)


def rank_tasks(fits: Mapping[str, CurveFit], *, level: float = 0.9) -> Ranking:
    """Rank tasks by `exponent`, with intervals of the ranks from the fits' bootstrap draws.

    The k-th draws of all tasks are ranked together; the interval of a rank holds `level` of its draws. Two tasks whose
    rank intervals overlap are not told apart by their curves.

    Args:
        fits: one fit of a form with an exponent for each task, all with the same number of draws.
        level: of the intervals.

    Returns:
        A `Ranking`.

    Raises:
        ValueError: no task, a batch of curves in one fit, a form without exponent, or numbers of draws that differ.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import lcjax as lc
        >>> size = jnp.array([1e3, 2e3, 4e3, 8e3])
        >>> keys = jax.random.split(jax.random.key(0))
        >>> fits = {
        ...     name: lc.fit_curve(lc.LearningCurve(size, size**b), lc.forms.power_law, key=key, draws=50)
        ...     for name, b, key in zip(("words", "images"), (-0.066, -0.309), keys)
        ... }
        >>> rank_tasks(fits).names
        ('images', 'words')
    """
    if not fits:
        raise ValueError("rank_tasks needs at least one task, got none.")
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
    limits = jnp.array([0.5 - level / 2, 0.5 + level / 2])
    low, high = jnp.quantile(draws, limits, axis=1)
    rank_low = jnp.quantile(ranks.astype(draws.dtype), limits[0], axis=1, method="lower").astype(ranks.dtype)
    rank_high = jnp.quantile(ranks.astype(draws.dtype), limits[1], axis=1, method="higher").astype(ranks.dtype)
    order = np.argsort(np.asarray(exponent))
    names = tuple(np.array(list(fits))[order].tolist())
    return Ranking(names, exponent[order], low[order], high[order], rank_low[order], rank_high[order], level)


@record
class ModelSizeLaw:
    """`parameters = scale * size ** exponent`, the best model's size at each number of examples.

    Attributes:
        scale: parameters at one example, `(*b,)`.
        exponent: between 0.5 and 1 in Hestness et al., `(*b,)`.
        exponent_error: standard error of the exponent from the residuals, nan for two sizes, `(*b,)`.
    """

    scale: Float[Array, "*b"]
    exponent: Float[Array, "*b"]
    exponent_error: Float[Array, "*b"]

    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Parameters of the best model for `size` examples, `(*b, s)`."""
        return jnp.asarray(self.scale)[..., None] * jnp.asarray(size) ** jnp.asarray(self.exponent)[..., None]


@jit
def fit_model_size(size: Num[Array, "*b s"], parameters: Num[Array, "*b s"]) -> ModelSizeLaw:
    """Least squares of `log(parameters)` on `log(size)`: `s(m) = alpha m^beta_p` (Hestness et al. 2017, section 3).

    Args:
        size: training examples, `(*b, s)`; nan marks an absent size.
        parameters: parameters of the model that validated best there, `(*b, s)`.

    Returns:
        A `ModelSizeLaw`; nan with fewer than two sizes.

    Examples:
        >>> import jax.numpy as jnp
        >>> law = fit_model_size(jnp.array([1e4, 1e5, 1e6]), 3 * jnp.array([1e4, 1e5, 1e6]) ** 0.7)
        >>> round(float(law.exponent), 4)
        0.7
    """
    x, y = jnp.log(jnp.asarray(size)), jnp.log(jnp.asarray(parameters))
    present = jnp.isfinite(x) & jnp.isfinite(y)
    count = present.sum(axis=-1)

    def total(values: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(present, values, 0), axis=-1)

    mean_x, mean_y = (total(a) / jnp.where(count > 1, count, jnp.nan) for a in (x, y))
    dx, dy = x - mean_x[..., None], y - mean_y[..., None]
    exponent = total(dx * dy) / total(dx**2)
    residual = total((dy - exponent[..., None] * dx) ** 2) / jnp.where(count > 2, count - 2, jnp.nan)
    return ModelSizeLaw(jnp.exp(mean_y - exponent * mean_x), exponent, jnp.sqrt(residual / total(dx**2)))
