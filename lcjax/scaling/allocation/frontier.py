"""Power laws of the compute-optimal parameters and tokens in compute."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.records import record
from lcjax.scaling.allocation.allocation import Allocation, check_compute, check_level, is_near
from lcjax.scaling.allocation.optimum import limit_draws, refuse_far
from lcjax.typing import Array, KeyArray

__all__ = ["Frontier", "draw_student", "fit_frontier", "fit_lines"]

_NAMES = ("params_exponent", "params_scale", "tokens_exponent", "tokens_scale")


@record
class Frontier:
    """Power laws `params = params_scale * compute ** params_exponent`, and tokens likewise.

    Attributes:
        compute: compute of the optima, `(g,)`.
        params: optimal parameters, `(g,)`.
        tokens: optimal tokens, `(g,)`.
        params_exponent: exponent a of the params (Hoffmann et al., 2022, section 3), `()`.
        params_scale: parameters at a compute of 1, `()`.
        tokens_exponent: exponent b of the tokens, `()`.
        tokens_scale: tokens at a compute of 1, `()`.
        largest: largest compute of the runs, `()`.
        draws: bootstrap draws of these four numbers, `(k,)` each; None without them.
    """

    compute: Float[np.ndarray, " g"]
    params: Float[np.ndarray, " g"]
    tokens: Float[np.ndarray, " g"]
    params_exponent: Float[np.ndarray, ""]
    params_scale: Float[np.ndarray, ""]
    tokens_exponent: Float[np.ndarray, ""]
    tokens_scale: Float[np.ndarray, ""]
    largest: Float[np.ndarray, ""]
    draws: Mapping[str, Float[np.ndarray, " k"]] | None = None

    def allocate(self, compute: Num[Array, "*c"] | float, *, level: float = 0.9) -> Allocation:
        """Return the allocation of budgets by the power laws, with the intervals of the draws.

        Raises:
            ValueError: compute or level is out of its range.
        """
        check_level(level)
        budgets = check_compute(compute)
        parts = {name: np.atleast_1d(np.asarray(getattr(self, name))) for name in _NAMES}
        if self.draws is not None:
            parts = {name: np.concatenate([part, self.draws[name]]) for name, part in parts.items()}
        columns = {}
        for name in ("params", "tokens"):
            exponent, scale = (
                parts[f"{name}_{part}"].reshape(-1, *(1,) * budgets.ndim) for part in ("exponent", "scale")
            )
            columns[f"{name}_exponent"] = exponent + np.zeros_like(budgets)
            columns[name] = scale * budgets**exponent
        decades = np.asarray(np.log10(budgets / self.largest))
        told = is_near(decades)
        return Allocation(
            compute=budgets,
            decades=decades,
            told=told,
            intervals=None if self.draws is None else limit_draws(columns, level, told),
            refused=refuse_far(budgets, decades),
            **{name: np.asarray(column[0]) for name, column in columns.items()},
        )


def fit_frontier(
    compute: Float[np.ndarray, " g"],
    log_params: Float[np.ndarray, "k g"],
    log_tokens: Float[np.ndarray, "k g"],
    used: Bool[np.ndarray, "k g"],
    largest: float,
) -> Frontier:
    """Fit both power laws by least squares of the logarithms; the first row is the estimate, the others are draws.

    A draw with fewer than two optima is nan.

    Args:
        compute: budgets.
        log_params: logarithms of the optimal parameters.
        log_tokens: logarithms of the optimal tokens.
        used: True for the optima that enter.
        largest: largest compute of the runs.

    Examples:
        >>> budgets = np.array([1e18, 1e20])
        >>> row = np.log(budgets)[None]
        >>> law = fit_frontier(budgets, 0.5 * row, 0.5 * row - np.log(6), np.full((1, 2), True), 1e20)
        >>> round(float(law.params_exponent), 3), round(float(law.tokens_scale), 3), law.draws is None
        (0.5, 0.167, True)
    """
    lines = [fit_lines(np.log(compute), column, used) for column in (log_params, log_tokens)]
    (a, params_level), (b, tokens_level) = lines
    parts = dict(zip(_NAMES, (a, np.exp(params_level), b, np.exp(tokens_level)), strict=True))
    first = used[0]
    return Frontier(
        compute=compute[first],
        params=np.exp(log_params[0, first]),
        tokens=np.exp(log_tokens[0, first]),
        **{name: np.asarray(part[0]) for name, part in parts.items()},
        largest=np.asarray(largest),
        draws={name: part[1:] for name, part in parts.items()} if len(used) > 1 else None,
    )


def fit_lines(
    x: Float[np.ndarray, "... g"], y: Float[np.ndarray, "*b g"], used: Bool[np.ndarray, "*b g"]
) -> tuple[Float[np.ndarray, "*b"], Float[np.ndarray, "*b"]]:
    """Fit lines through the points that are used; return slopes and intercepts, nan for fewer than two points.

    Examples:
        >>> slope, intercept = fit_lines(np.arange(3.0), np.array([1.0, 3.0, 9.0]), np.array([True, True, False]))
        >>> float(slope), float(intercept)
        (2.0, 1.0)
    """
    count = used.sum(axis=-1)
    safe = np.where(count > 1, count, np.nan)

    def average(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(used, values, 0.0).sum(axis=-1) / safe)

    middle, level = average(np.broadcast_to(x, y.shape)), average(y)
    dx, dy = x - middle[..., None], np.where(used, y, 0) - level[..., None]
    slope = np.asarray(average(dx * dy) / average(dx**2))
    return slope, np.asarray(level - slope * middle)


def draw_student(key: KeyArray, shape: tuple[int, int], degrees: int) -> Float[np.ndarray, "k g"]:
    """Draw normal numbers in units of a standard deviation that is estimated with few degrees of freedom.

    The rows, one for each bootstrap draw, have a common standard deviation each.

    Examples:
        >>> import jax
        >>> rows = draw_student(jax.random.key(0), (5000, 3), 1000)
        >>> round(float(rows.std()), 1)
        1.0
    """
    normal, spread = jax.random.split(key)
    with jax.enable_x64(True):
        chi = jax.random.chisquare(spread, degrees, (shape[0], 1))
        return np.asarray(jax.random.normal(normal, shape) * np.sqrt(degrees / np.asarray(chi)))
