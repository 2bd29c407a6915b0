"""The VC bound of a linear classifier, the steps from it to the penalty of Sharma et al. (2019), and quantization.

Equations are numbered as in Sharma et al. (2019), "Smaller Models, Better Generalization", sections 3 and 4.
"""

import math
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating, as_real, check_finite, power_of_two_above
from lcjax.kernels.enclosing_ball import enclosing_sphere
from lcjax.typing import Array, Scalar

__all__ = [
    "BoundStep",
    "TheoremOne",
    "bound_steps",
    "geometric_margin",
    "larger_scores",
    "surrogate",
    "theorem_one",
    "vc_dimension_bound",
]

_HIGHEST = jax.lax.Precision.HIGHEST


def geometric_margin(
    weights: Num[Array, " d"] | Nested,
    bias: Scalar,
    inputs: Num[Array, "n d"] | Nested,
    labels: Num[Array, " n"] | Nested,
) -> Float[jax.Array, ""]:
    """Return the least distance from the hyperplane `w.x + b = 0`, negative if an example is on the wrong side.

    Args:
        weights: w, not all zero.
        bias: b.
        inputs: n examples.
        labels: -1 or 1.

    Examples:
        >>> geometric_margin(jnp.array([2.0]), -1.0, jnp.array([[0.0], [2.0]]), jnp.array([-1, 1]))
        Array(0.5, dtype=float32)
    """
    w, x, y = as_floating(weights, "weights"), as_floating(inputs, "inputs"), as_real(labels, "labels")
    if x.ndim != 2 or len(x) == 0 or w.shape != x.shape[1:] or y.shape != x.shape[:1]:
        raise ValueError(f"A margin needs (d,), (n, d) and (n,), n >= 1, got {w.shape}, {x.shape} and {y.shape}.")
    unit = power_of_two_above(w)  # no square vanishes or overflows
    score = jnp.matmul(x, w / unit, precision=_HIGHEST) + jnp.asarray(bias) / unit
    return jnp.min(y * score) / jnp.asarray(jnp.linalg.norm(w / unit))


def vc_dimension_bound(
    radius: Num[Array, "*b"] | Nested | float | int,
    margin: Num[Array, "*b"] | Nested | float | int,
    dimension: SupportsIndex,
) -> Float[jax.Array, "*b"]:
    """Return Vapnik's bound for hyperplanes of a given margin, Eq. (1): `1 + min(ceil(R^2 / d^2), n)`.

    Args:
        radius: R, of a sphere that holds the data.
        margin: d, of the hyperplanes; if it is not positive the data are not separated, and the bound is n + 1.
        dimension: n, of the inputs.

    Examples:
        >>> vc_dimension_bound(3.0, 1.0, 100), vc_dimension_bound(3.0, 0.1, 100), vc_dimension_bound(3.0, -1.0, 100)
        (Array(10., dtype=float32), Array(101., dtype=float32), Array(101., dtype=float32))
    """
    width, count = as_floating(margin, "margin"), as_count(dimension, "dimension")
    ratio = jnp.square(as_floating(radius, "radius") / width)
    return 1 + jnp.minimum(jnp.ceil(jnp.where(width <= 0, jnp.inf, ratio)), count)


def surrogate(
    weights: Num[Array, " d"] | Nested, bias: Scalar, inputs: Num[Array, "n d"] | Nested, strength: float | int = 1.0
) -> Float[jax.Array, ""]:
    """Return the surrogate of the bound, Eq. (15): `sum_i (w.x_i + b)^2 + C |w|^2`.

    Examples:
        >>> surrogate(jnp.array([2.0]), -1.0, jnp.array([[0.0], [2.0]]), 0.5)
        Array(12., dtype=float32)
    """
    w = as_floating(weights, "weights")
    scores = jnp.matmul(as_floating(inputs, "inputs"), w, precision=_HIGHEST) + jnp.asarray(bias)
    return jnp.sum(jnp.square(scores)) + strength * jnp.sum(jnp.square(w))


class BoundStep(NamedTuple):
    """One step of the derivation on data: `left <= right` or `left = right` as claimed, and its assumptions."""

    equation: str
    claim: str
    left: float
    right: float
    holds: bool
    needs: str


def bound_steps(
    weights: Num[Array, " d"] | Nested,
    bias: float | int,
    inputs: Num[Array, "n d"] | Nested,
    labels: Num[Array, " n"] | Nested,
    *,
    least_margin: float | None = None,
    strength: float | int = 1.0,
) -> tuple[BoundStep, ...]:
    """Check every step from Eq. (2) to (15) on data, in order: both sides, if it holds, and the assumptions it needs.

    Computed on the host in double precision, after scaling w and b to `min |w.x + b| = 1` where Eq. (7) requires it.

    Args:
        weights: w, of a hyperplane that separates the examples.
        bias: b.
        inputs: n examples.
        labels: -1 or 1.
        least_margin: d_min < d of Eq. (2), (4) and (12); 0.9 d by default.
        strength: C of Eq. (15).

    Raises:
        ValueError: the hyperplane does not separate the examples, so that the derivation does not apply, or
            `least_margin` lies outside (0, margin].

    Examples:
        >>> x = np.array([[-1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
        >>> steps = bound_steps(np.array([1.0, 0.0]), 0.0, x, np.array([-1, -1, 1, 1]))
        >>> [step.equation for step in steps if not step.holds]
        ['4', '11']
    """
    w, x, y = (
        np.asarray(as_real(value, name), float)
        for value, name in ((weights, "weights"), (inputs, "inputs"), (labels, "labels"))
    )
    if x.ndim != 2 or len(x) == 0 or w.shape != x.shape[1:] or y.shape != x.shape[:1]:
        raise ValueError(f"A margin needs (d,), (n, d) and (n,), n >= 1, got {w.shape}, {x.shape} and {y.shape}.")
    for name, values in (("weights", w), ("inputs", x)):
        check_finite(name, values)
    scores = x @ w + bias
    margin = float(np.min(y * scores) / max(np.linalg.norm(w), np.finfo(float).tiny))
    if not margin > 0:
        raise ValueError(f"The hyperplane does not separate the examples: its margin is {margin:g}.")
    d_min = 0.9 * margin if least_margin is None else least_margin
    if not 0 < d_min <= margin:
        raise ValueError(f"least_margin must lie in (0, {margin:g}], the margin; got {least_margin}.")
    radius, dimension = float(enclosing_sphere(x).radius), x.shape[1]
    scaling = 1 / np.abs(scores).min()
    v, a = w * scaling, scores * scaling  # canonical: min |a| = 1
    norm, largest = float(np.linalg.norm(v)), float(np.linalg.norm(x, axis=1).max())
    ratio, farthest = radius / margin, float(np.abs(a).max())
    bound = float(1 + min(math.ceil((radius / d_min) ** 2), dimension))
    total = float(np.sum(a**2))
    equal, least = "=", "<="
    rows = [
        ("2", "1 + min(ceil(R^2/d_min^2), n) <= 1 + R^2/d_min^2", least, bound, 1 + (radius / d_min) ** 2,
         "the ceiling in the bound, or n below R^2/d_min^2"),
        ("4", "R/d_min <= R/d", least, radius / d_min, ratio, "d_min = d: d_min < d makes R/d the smaller"),
        ("5", "R = max |x|", equal, radius, largest, "data centred at their sphere's centre; otherwise R <= max |x|"),
        ("7", "min |w.x + b| = 1", equal, float(np.abs(scores).min()), 1.0, "scaling of w and b, always possible"),
        ("8", "R/d = max |x| |w|", equal, ratio, largest * norm, "(5) and (7)"),
        ("9", "A B <= A^2 + B^2", least, largest * norm, largest**2 + norm**2, "nothing"),
        ("10", "R/d <= max |x|^2 + |w|^2", least, ratio, largest**2 + norm**2, "(7), and R <= max |x| instead of (5)"),
        ("11", "max |x| <= max |w.x + b| / |w|", least, largest, farthest / norm,
         "the farthest x parallel to w, or a large b; for b = 0 the converse holds (Cauchy-Schwarz)"),
        ("12", "R/d_min <= max |w.x + b|^2/|w|^2 + |w|^2", least, radius / d_min, (farthest / norm) ** 2 + norm**2,
         "(11), and d_min = d"),
        ("13", "max a <= sum a", least, farthest**2, total, "nothing, for a >= 0"),
        ("14", "R/d <= sum |w.x + b|^2/|w|^2 + |w|^2", least, ratio, total / norm**2 + norm**2, "(11)"),
        ("15", "(14) <= sum |w.x + b|^2 + C |w|^2", least, total / norm**2 + norm**2, total + strength * norm**2,
         "|w| >= 1 and C >= 1, because 1/|w|^2 is dropped"),
    ]  # fmt: skip

    def holds(relation: str, left: float, right: float) -> bool:
        return left <= right * (1 + 1e-9) and (relation == least or right <= left * (1 + 1e-9))

    return tuple(
        BoundStep(equation, claim, left, right, holds(relation, left, right), needs)
        for equation, claim, relation, left, right, needs in rows
    )


def larger_scores(
    weights: Num[Array, "d *k"] | Nested, quantized: Float[Array, "d *k"], inputs: Float[Array, "n d"]
) -> Bool[jax.Array, "n *k"]:
    """Mark the examples whose scores grow under quantization, against Eq. (23), `(u.x)^2 >= (u^Q.x)^2`.

    Args:
        weights: u, one or several vectors, with the bias as the last entry if the inputs end in 1.
        quantized: u^Q.
        inputs: n examples.

    Examples:
        >>> larger_scores(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jnp.array([[1.0, -1.0], [1.0, 1.0]]))
        Array([ True, False], dtype=bool)
    """
    score, after = _scores(inputs, weights, quantized)
    return jnp.abs(after) > jnp.abs(score)


class TheoremOne(NamedTuple):
    """Assumptions and claims of Theorem 1 on data.

    Attributes:
        shrinks: Eq. (21): no entry grows in magnitude, `()`.
        norm: Eq. (22): the norm does not grow, `()`; follows from (21).
        agrees: Eq. (19) and its premise, by example: `y (u - u^Q).x >= 0` and both predict y, `(n,)`.
        score: Eq. (23), by example, `(n,)`; follows from `agrees`, not from (21).
        bound: Eq. (24): `sum_i (u^Q.x_i)^2 + C |u^Q|^2` is at most that of u, `()`.
    """

    shrinks: Bool[Array, ""]
    norm: Bool[Array, ""]
    agrees: Bool[Array, " n"]
    score: Bool[Array, " n"]
    bound: Bool[Array, ""]


def theorem_one(
    weights: Num[Array, " d"] | Nested,
    quantized: Num[Array, " d"] | Nested,
    inputs: Num[Array, "n d"] | Nested,
    labels: Num[Array, " n"] | Nested,
    strength: float | int = 1.0,
) -> TheoremOne:
    """Check the assumptions and claims of Theorem 1 for a classifier and its quantization on data.

    Args:
        weights: u, with the bias as the last entry if the inputs end in 1.
        quantized: u^Q.
        inputs: n examples.
        labels: -1 or 1.
        strength: C of Eq. (15).

    Examples:
        >>> check = theorem_one(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jnp.array([[1.0, -1.0]]), jnp.array([1]))
        >>> bool(check.shrinks), bool(check.norm), check.score.tolist(), bool(check.bound)
        (True, True, [False], True)
    """
    before, rounded = as_floating(weights, "weights"), as_floating(quantized, "quantized")
    score, after = _scores(inputs, before, rounded)
    y = as_real(labels, "labels")
    return TheoremOne(
        shrinks=jnp.all(jnp.abs(rounded) <= jnp.abs(before)),
        norm=jnp.sum(jnp.square(rounded)) <= jnp.sum(jnp.square(before)),
        agrees=(y * score >= y * after) & (y * after >= 0),
        score=jnp.abs(score) >= jnp.abs(after),
        bound=surrogate(rounded, 0.0, inputs, strength) <= surrogate(before, 0.0, inputs, strength),
    )


def _scores(
    inputs: Num[Array, "n d"] | Nested, weights: Num[Array, "d *k"] | Nested, quantized: Num[Array, "d *k"] | Nested
) -> tuple[jax.Array, jax.Array]:
    x = as_floating(inputs, "inputs")
    before, after = as_floating(weights, "weights"), as_floating(quantized, "quantized")
    if x.ndim != 2 or before.shape != after.shape or before.shape[:1] != x.shape[1:]:
        raise ValueError(
            f"weights and quantized need one shape, (d, *k), and inputs (n, d), got {before.shape}, {after.shape} "
            f"and {x.shape}."
        )
    return jnp.matmul(x, before, precision=_HIGHEST), jnp.matmul(x, after, precision=_HIGHEST)
