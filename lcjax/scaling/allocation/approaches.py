"""The three approaches of Hoffmann et al. (2022) to the optimal allocation of compute, side by side."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float, Num

from lcjax.records import record
from lcjax.scaling.allocation.allocation import Allocation, check_compute, check_level
from lcjax.scaling.allocation.bias import ParabolaBias, parabola_bias
from lcjax.scaling.allocation.envelope import Envelope, fit_envelope
from lcjax.scaling.allocation.isoflop import IsoFlops, fit_isoflops
from lcjax.scaling.allocation.optimum import allocate, check_law
from lcjax.scaling.fit import ScalingFit, fit_scaling_law
from lcjax.scaling.law import Law
from lcjax.scaling.laws import chinchilla
from lcjax.scaling.runs import FLOPS
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["Approaches", "compare_approaches"]

_TITLES = {"envelope": "training curves", "isoflops": "isoFLOP parabolas", "surface": "the fitted law"}


@record
class Approaches:
    """Allocations by up to three approaches.

    Attributes:
        compute: budgets, `(*c,)`.
        allocations: allocation by each approach that applies: "envelope" (1), "isoflops" (2) and "surface" (3).
        absent: for each other approach, why it does not apply.
        envelope: approach 1.
        isoflops: approach 2.
        surface: the fit of approach 3.
        bias: bias of approach 2 if approach 3 were right.
    """

    compute: Float[np.ndarray, "*c"]
    allocations: Mapping[str, Allocation]
    absent: Mapping[str, str]
    envelope: Envelope | None = None
    isoflops: IsoFlops | None = None
    surface: ScalingFit | None = None
    bias: ParabolaBias | None = None

    @property
    def disagreement(self) -> Float[np.ndarray, "*c"]:
        """Largest of the optimal params over the smallest, `(*c,)`; nan where fewer than two approaches give them."""
        told = np.stack([one.told for one in self.allocations.values()])
        params = np.stack([one.params for one in self.allocations.values()])
        most, least = np.where(told, params, 0).max(axis=0), np.where(told, params, np.inf).min(axis=0)
        return np.where(told.sum(axis=0) > 1, most / least, np.nan)

    def headline(self) -> str:
        """Return the optimal params by all approaches and their disagreement, as sentences.

        The budget is the largest of those that most approaches give.
        """
        count = np.sum([one.told for one in self.allocations.values()], axis=0)
        row = np.unravel_index(np.argmax(np.where(count == count.max(), self.compute, 0)), np.shape(self.compute))
        if not count[row]:
            reasons = [*self.absent.values(), *(text for one in self.allocations.values() for text in one.refused)]
            return f"No approach gives an allocation: {'; '.join(dict.fromkeys(reasons))}."
        parts = [
            f"{one.params[row]:.3g} by {_TITLES[name]} (exponent {one.params_exponent[row]:.3f})"
            for name, one in self.allocations.items()
            if one.told[row]
        ]
        text = f"Optimal parameters at compute {self.compute[row]:.3g}: {', '.join(parts)}."
        if len(parts) > 1:
            return f"{text} The largest is {self.disagreement[row]:.3g} times the smallest."
        return f"{text} No other approach confirms it."


def compare_approaches(
    key: KeyArray,
    runs: Mapping[str, Num[Array, " n"]],
    compute: Num[Array, "*c"] | float,
    *,
    law: Law = chinchilla,
    draws: int = 200,
    level: float = 0.9,
    curve: str | None = None,
    flops: float = FLOPS,
) -> Approaches:
    """Allocate budgets by all approaches that the runs allow.

    Approach 1 takes the envelope of training curves, approach 2 the minima of parabolas at fixed budgets, and approach
    3 the minimum of a law fitted to all runs (Hoffmann et al., 2022, sections 3.1 to 3.3).

    Args:
        key: a typed key.
        runs: columns of the table, `(n,)` each: "params", "tokens", "loss", and "compute" if it is not
            `flops * params * tokens`.
        compute: budgets in floating-point operations, `()` or `(c,)`.
        law: law of params and tokens for approach 3.
        draws: number of bootstrap draws of each approach; 0 for none.
        level: probability of the intervals, in (0, 1).
        curve: column whose equal values make a training curve; None for equal params.
        flops: operations per parameter and token.

    Returns:
        `Approaches`, whose `absent` says why an approach does not apply.

    Raises:
        ValueError: a column is missing or has a value out of its range, the law has further variables, or compute,
            draws, level or flops is out of its range.

    Examples:
        >>> import jax
        >>> size, budget = (a.ravel() for a in np.meshgrid(np.geomspace(0.2, 5, 7), [1e18, 1e19, 1e20]))
        >>> n = 0.1 * budget**0.5 * size
        >>> d = budget / 6 / n
        >>> table = {"params": n, "tokens": d, "loss": 1.7 + 400 * n**-0.35 + 400 * d**-0.35}
        >>> three = compare_approaches(jax.random.key(0), table, 1e21, draws=0)
        >>> sorted(three.allocations), three.absent["envelope"][:48]
        (['isoflops', 'surface'], 'Approach 1 needs 3 training curves of 3 points; ')
    """
    check_key(key)
    check_level(level)
    check_law(law, {})
    budgets = check_compute(compute)
    if "tokens" not in runs:
        raise ValueError(f"The table of runs needs the column tokens, it has {', '.join(runs)}.")
    keys = jax.random.split(key, 3)
    surface = fit_scaling_law(keys[2], runs, law=law, draws=draws)
    allocations, absent = {}, {}
    envelope, isoflops, bias = None, None, None
    try:
        envelope = fit_envelope(keys[0], runs, curve=curve, draws=draws, flops=flops)
        allocations["envelope"] = envelope.frontier.allocate(budgets, level=level)
    except ValueError as error:
        absent["envelope"] = str(error).rstrip(".")
    try:
        isoflops = fit_isoflops(keys[1], runs, draws=draws, flops=flops)
        allocations["isoflops"] = isoflops.frontier.allocate(budgets, level=level)
        bias = parabola_bias(surface, runs, flops=flops)
    except ValueError as error:
        absent["isoflops"] = str(error).rstrip(".")
    allocations["surface"] = allocate(surface, budgets, flops=flops, level=level)
    return Approaches(budgets, allocations, absent, envelope, isoflops, surface, bias)
