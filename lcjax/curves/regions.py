"""Regions of a learning curve: best guess, power law, irreducible error (Hestness et al., 2019, section 1)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.intervals import central_interval
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["Regions", "find_regions"]


@record
class Regions:
    """Sizes at which a fitted curve leaves the plateau of guessing and reaches its irreducible error.

    Attributes:
        start: size at which the power law begins, `(*b,)`; 0 for a form without a plateau.
        start_low: lower limit of `start` at `level`, nan without bootstrap draws.
        start_high: upper limit of `start`.
        end: size at which the power law falls to the irreducible error, `(*b,)`; inf where that is 0.
        end_low: lower limit of `end`.
        end_high: upper limit of `end`.
        plateau: error of the plateau, `(*b,)`; inf for a form without one.
        irreducible: error that remains with unlimited data, `(*b,)`.
        level: nominal coverage of the intervals.
    """

    start: Float[Array, "*b"]
    start_low: Float[Array, "*b"]
    start_high: Float[Array, "*b"]
    end: Float[Array, "*b"]
    end_low: Float[Array, "*b"]
    end_high: Float[Array, "*b"]
    plateau: Float[Array, "*b"]
    irreducible: Float[Array, "*b"]
    level: float = jax.tree.static(default=0.9)

    def region(self, size: Num[Array, "..."]) -> Int[jax.Array, "..."]:
        """Classify sizes, `(s,)` or `(*b, s)`: -1 best guess, 0 power law, 1 irreducible error, `(*b, s)`.

        A curve whose plateau meets its irreducible error has no power law: its sizes are divided at `start` alone.
        """
        size = jnp.asarray(size)
        start, end = (jnp.asarray(a)[..., None] for a in (self.start, self.end))
        return jnp.where(size < start, -1, jnp.where(size > jnp.maximum(start, end), 1, 0))


def find_regions(fit: CurveFit, *, level: float = 0.9) -> Regions:
    """Locate the limits of the power-law region of a fitted curve.

    In a log-log plot of the error above the irreducible error, the curve has two straight asymptotes: the plateau and
    the power law. The region starts where they cross (there the fitted slope is half of the exponent for `mmf`; for
    other forms it is the middle of the bend) and ends where the power law falls to the irreducible error (there the
    slope of the error itself is half of the exponent). Intervals come from the bootstrap draws of the fit; limits
    outside the measured sizes are extrapolated and should be read with their intervals.

    Args:
        fit: fit of `mmf`, `m4`, `shifted_power_law` (both limits), `power_law_offset` or `power_law`.
        level: nominal coverage of the intervals.

    Returns:
        `Regions`, fields `(*b,)`: limits in training examples, `plateau` and `irreducible` in units of the error.

    Raises:
        ValueError: the form has no such asymptotes.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> size = 10.0 * 2.0 ** jnp.arange(14)
        >>> fit = lc.fit_curve(lc.LearningCurve(size, lc.forms.mmf(size, 0.02, 0.9, -0.8, 300.0)), lc.forms.mmf)
        >>> regions = find_regions(fit)
        >>> round(float(regions.start), -1), [int(r) for r in regions.region(jnp.array([50.0, 5e3, 1e6]))]
        (300.0, [-1, 0, 1])
    """
    start, end, plateau, irreducible = _limits(fit, fit.parameters)
    unknown = jnp.full_like(start, jnp.nan)
    starts = ends = unknown, unknown
    if fit.draws is not None:
        draws = _limits(fit, fit.parameter_draws)[:2]
        starts, ends = (central_interval(limits, level, interpolate=False) for limits in draws)
    return Regions(start, *starts, end, *ends, plateau, irreducible, level)


def _limits(fit: CurveFit, parameters: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return start, end, plateau and irreducible error."""
    names = set(parameters)
    if "exponent" not in names or not names <= {"offset", "scale", "exponent", "start", "middle", "power", "shift"}:
        raise ValueError(
            f"find_regions takes fits of mmf, m4, shifted_power_law, power_law_offset or power_law, got "
            f"{fit.form.__name__}."
        )
    exponent = parameters["exponent"]
    offset = parameters.get("offset", jnp.zeros_like(exponent))
    # Logarithms of the plateau above the offset (`height`) and of the power law at one example (`law`).
    height = jnp.full_like(exponent, jnp.inf)
    if "start" in names:
        height = jnp.log(parameters["start"] - offset)
        if "middle" in names:
            law = height - exponent * jnp.log(parameters["middle"])
        else:
            law = parameters["power"] * height + jnp.log(parameters["scale"])
    else:
        law = jnp.log(parameters["scale"])
        if "shift" in names:
            height = law + exponent * jnp.log(parameters["shift"])
    if fit.guess is not None:
        guess = jnp.asarray(fit.guess, exponent.dtype)
        guess = guess[..., None] if guess.ndim and exponent.ndim > guess.ndim else guess
        height = jnp.minimum(height, jnp.log(jnp.maximum(guess - offset, np.finfo(exponent.dtype).tiny)))
    start = jnp.exp((height - law) / exponent)
    end = jnp.exp((jnp.log(offset) - law) / exponent)
    return start, end, offset + jnp.exp(height), offset
