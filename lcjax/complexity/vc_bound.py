"""The VC bound of a linear classifier, each step from it to the penalty of Sharma et al., and quantization's effect.

Sharma et al., "Smaller Models, Better Generalization", sections 3 and 4; their equations are numbered as there.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.kernels.compilation import jit

__all__ = [
    "BoundStep",
    "Sphere",
    "approximate_sphere",
    "bound_steps",
    "enclosing_sphere",
    "geometric_margin",
    "larger_scores",
    "surrogate",
    "theorem_one",
    "vc_dimension_bound",
]

Array = jax.Array | np.ndarray


class Sphere(NamedTuple):
    """A sphere that holds all points, `radius` at most `factor` times that of the smallest one."""

    center: Float[Array, " d"]
    radius: Float[Array, ""] | float
    factor: Float[Array, ""] | float


def enclosing_sphere(points: Float[Array, "n d"], *, tolerance: float = 1e-10) -> Sphere:
    """The smallest sphere that holds all points, exact to rounding, on the host in double precision.

    The centre walks to the affine hull of the points on the sphere, equally far from them, until another point is met
    or the centre is in their convex hull (Fischer, Gaertner and Kutz, "Fast smallest-enclosing-ball computation in
    high dimensions", 2003). O(n d) work a step; steps grow with d.

    Args:
        points: n points; the work is for hundreds of thousands at most, `approximate_sphere` is for more.
        tolerance: relative, of what counts as zero.

    Returns:
        Centre, radius, and how much larger the radius may be than the least: a certificate from the walk's own dual
        solution, 1 to rounding.

    Raises:
        ValueError: there is no point, or one is not finite.

    Examples:
        >>> sphere = enclosing_sphere(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.5]]))
        >>> sphere.center.tolist(), sphere.radius
        ([1.0, 0.0], 1.0)
    """
    x = np.unique(np.asarray(points, np.float64), axis=0)
    if x.ndim != 2 or not x.size or not np.isfinite(x).all():
        raise ValueError(f"enclosing_sphere needs finite points (n, d), got shape {np.shape(points)}.")
    scale = np.abs(x - x[0]).max() or 1.0
    y = (x - x[0]) / scale
    center = y[0].copy()
    support = [int(np.argmax(np.sum(np.square(y - center), axis=1)))]
    for _ in range(100 * (y.shape[1] + 10)):
        weights = _affine_weights(y[support], center)
        target = weights @ y[support]
        direction = target - center
        if direction @ direction <= tolerance**2:
            if len(support) == 1 or weights.min() >= -tolerance:
                break
            support.pop(int(np.argmin(weights)))
            continue
        distance = np.sum(np.square(y - center), axis=1)
        radius = distance[support].mean()
        # |y - c - t v|^2 <= |s - c - t v|^2, with s on the sphere, stays true up to this share of the way.
        gain = 2 * (y - y[support[0]]) @ direction
        outside = np.delete(np.arange(len(y)), support)
        closing = outside[gain[outside] < -tolerance]
        share = (radius - distance[closing]) / -gain[closing]
        stop = int(np.argmin(share)) if share.size else -1
        if stop < 0 or share[stop] >= 1:
            center = target
        else:
            center = center + max(share[stop], 0.0) * direction
            support.append(int(closing[stop]))
    radius = math.sqrt(float(np.max(np.sum(np.square(y - center), axis=1))))
    weights = np.clip(_affine_weights(y[support], center), 0, None)
    weights /= weights.sum()
    mean = weights @ y[support]
    least = math.sqrt(max(float(weights @ np.sum(np.square(y[support] - mean), axis=1)), 0.0))
    factor = radius / least if least > 0 else 1.0
    return Sphere(x[0] + scale * center, float(scale * radius), max(factor, 1.0))


def _affine_weights(support: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Weights, of sum 1, of the point of the affine hull that is nearest to the centre."""
    edges = (support[1:] - support[0]).T
    rest = np.linalg.lstsq(edges, center - support[0], rcond=None)[0] if edges.size else np.zeros(0)
    return np.concatenate([[1 - rest.sum()], rest])


def approximate_sphere(points: Float[Array, "n d"], *, steps: int = 1000) -> Sphere:
    """A sphere that holds all points and is little larger than the smallest one; jitted, for any number of points.

    The centre goes `1 / (i + 1)` of the way to the farthest point, `steps` times (Badoiu and Clarkson, "Smaller
    core-sets for balls", 2003, who show that the radius is then at most `1 + 1 / sqrt(steps)` times the least).

    Args:
        points: n points.
        steps: O(n d) work each.

    Returns:
        Centre, radius, and the factor `1 + 1 / sqrt(steps)`.

    Examples:
        >>> sphere = approximate_sphere(jnp.array([[0.0, 0.0], [2.0, 0.0]]), steps=10000)
        >>> bool(1 <= sphere.radius <= sphere.factor)
        True
    """
    if steps < 1:
        raise ValueError(f"approximate_sphere needs at least one step, got {steps}.")
    return _approximate_sphere(jnp.asarray(points), steps)


@jit(static_argnames="steps")
def _approximate_sphere(points: jax.Array, steps: int) -> Sphere:
    def farthest(center: jax.Array) -> tuple[jax.Array, jax.Array]:
        distance = jnp.sum(jnp.square(points - center), axis=1)
        place = jnp.argmax(distance)
        return points[place], distance[place]

    def walk(i: jax.Array, center: jax.Array) -> jax.Array:
        return center + (farthest(center)[0] - center) / (i + 1)

    center = jax.lax.fori_loop(1, steps + 1, walk, points[0])
    return Sphere(center, jnp.sqrt(farthest(center)[1]), 1 + 1 / math.sqrt(steps))


def geometric_margin(
    weights: Float[Array, " d"], bias: Float[Array, ""] | float, inputs: Float[Array, "n d"], labels: Num[Array, " n"]
) -> Float[jax.Array, ""]:
    """Least distance from the hyperplane `w.x + b = 0`; negative where an example is on the wrong side.

    Args:
        weights: w, not all zero.
        bias: b.
        inputs: n examples.
        labels: -1 or 1.

    Examples:
        >>> geometric_margin(jnp.array([2.0]), -1.0, jnp.array([[0.0], [2.0]]), jnp.array([-1, 1]))
        Array(0.5, dtype=float32)
    """
    return jnp.min(labels * (inputs @ weights + bias)) / jnp.linalg.norm(weights)


def vc_dimension_bound(
    radius: Float[Array, "*b"] | float | int, margin: Float[Array, "*b"] | float | int, dimension: int
) -> Float[jax.Array, "*b"]:
    """Vapnik's bound for hyperplanes of a margin, Eq. (1): `1 + min(ceil(R^2 / d^2), n)`.

    Args:
        radius: R, of a sphere that holds the data.
        margin: d, of the hyperplanes; where it is not positive the data are not separated, and the bound is n + 1.
        dimension: n, of the inputs.

    Examples:
        >>> vc_dimension_bound(3.0, 1.0, 100), vc_dimension_bound(3.0, 0.1, 100), vc_dimension_bound(3.0, -1.0, 100)
        (Array(10., dtype=float32), Array(101., dtype=float32), Array(101., dtype=float32))
    """
    ratio = jnp.square(jnp.asarray(radius, jnp.result_type(float)) / margin)
    return 1 + jnp.minimum(jnp.ceil(jnp.where(jnp.asarray(margin) > 0, ratio, jnp.inf)), dimension)


def surrogate(
    weights: Float[Array, " d"],
    bias: Float[Array, ""] | float,
    inputs: Float[Array, "n d"],
    strength: float | int = 1.0,
) -> Float[jax.Array, ""]:
    """What takes the bound's place, Eq. (15): `sum_i (w.x_i + b)^2 + C |w|^2`.

    Examples:
        >>> surrogate(jnp.array([2.0]), -1.0, jnp.array([[0.0], [2.0]]), 0.5)
        Array(12., dtype=float32)
    """
    return jnp.sum(jnp.square(inputs @ weights + bias)) + strength * jnp.sum(jnp.square(weights))


class BoundStep(NamedTuple):
    """One step of the derivation on data: `left <= right`, or `left = right`, as the paper says; what it needs."""

    equation: str
    claim: str
    left: float
    right: float
    holds: bool
    needs: str


def bound_steps(
    weights: Float[Array, " d"],
    bias: float | int,
    inputs: Float[Array, "n d"],
    labels: Num[Array, " n"],
    *,
    least_margin: float | None = None,
    strength: float | int = 1.0,
) -> tuple[BoundStep, ...]:
    """Every step from Eq. (2) to (15) on data: both sides, whether it holds there, and what it needs to hold always.

    Computed on the host in double precision, after scaling w and b to `min |w.x + b| = 1` where Eq. (7) asks for it.

    Args:
        weights: w, of a hyperplane that separates the examples.
        bias: b.
        inputs: n examples.
        labels: -1 or 1.
        least_margin: d_min < d of Eq. (2), (4) and (12); 0.9 d by default.
        strength: C of Eq. (15).

    Returns:
        The steps in order.

    Raises:
        ValueError: the hyperplane does not separate the examples, so that nothing of it applies.

    Examples:
        >>> x = np.array([[-1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
        >>> steps = bound_steps(np.array([1.0, 0.0]), 0.0, x, np.array([-1, -1, 1, 1]))
        >>> [step.equation for step in steps if not step.holds]
        ['4', '11']
    """
    w, x = np.asarray(weights, float), np.asarray(inputs, float)
    y = np.asarray(labels)
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
    norm = float(np.linalg.norm(v))
    largest = float(np.linalg.norm(x, axis=1).max())
    ratio = radius / margin
    farthest = float(np.abs(a).max())
    bound = float(1 + min(math.ceil((radius / d_min) ** 2), dimension))
    total = float(np.sum(a**2))
    equal, least = "=", "<="
    rows = [
        ("2", "1 + min(ceil(R^2/d_min^2), n) <= 1 + R^2/d_min^2", least, bound, 1 + (radius / d_min) ** 2,
         "the ceiling kept, or n below R^2/d_min^2"),
        ("4", "R/d_min <= R/d", least, radius / d_min, ratio, "d_min = d: d_min < d makes R/d the smaller"),
        ("5", "R = max |x|", equal, radius, largest, "data centred at their sphere's centre; R <= max |x| else"),
        ("7", "min |w.x + b| = 1", equal, float(np.abs(scores).min()), 1.0, "scaling of w and b: always possible"),
        ("8", "R/d = max |x| |w|", equal, ratio, largest * norm, "(5) and (7)"),
        ("9", "A B <= A^2 + B^2", least, largest * norm, largest**2 + norm**2, "nothing"),
        ("10", "R/d <= max |x|^2 + |w|^2", least, ratio, largest**2 + norm**2, "(7); R <= max |x| is enough of (5)"),
        ("11", "max |x| <= max |w.x + b| / |w|", least, largest, farthest / norm,
         "the farthest x parallel to w, or a large b; for b = 0 the reverse holds (Cauchy-Schwarz)"),
        ("12", "R/d_min <= max |w.x + b|^2/|w|^2 + |w|^2", least, radius / d_min, (farthest / norm) ** 2 + norm**2,
         "(11), and d_min = d"),
        ("13", "max a <= sum a", least, farthest**2, total, "nothing, for a >= 0"),
        ("14", "R/d <= sum |w.x + b|^2/|w|^2 + |w|^2", least, ratio, total / norm**2 + norm**2, "(11)"),
        ("15", "(14) <= sum |w.x + b|^2 + C |w|^2", least, total / norm**2 + norm**2, total + strength * norm**2,
         "|w| >= 1 and C >= 1: 1/|w|^2 is dropped"),
    ]  # fmt: skip
    slack = 1e-9

    def holds(relation: str, left: float, right: float) -> bool:
        below = left <= right * (1 + slack)
        return below and (relation == least or right <= left * (1 + slack))

    return tuple(
        BoundStep(equation, claim, left, right, holds(relation, left, right), needs)
        for equation, claim, relation, left, right, needs in rows
    )


def larger_scores(
    weights: Float[Array, "d *k"], quantized: Float[Array, "d *k"], inputs: Float[Array, "n d"]
) -> Bool[jax.Array, "n *k"]:
    """Which examples' scores grow in magnitude under quantization: where Eq. (23), `(u.x)^2 >= (u^Q.x)^2`, fails.

    Args:
        weights: u, one or several vectors, the bias as a last entry if the inputs end in 1.
        quantized: u^Q.
        inputs: n examples.

    Examples:
        >>> larger_scores(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jnp.array([[1.0, -1.0], [1.0, 1.0]]))
        Array([ True, False], dtype=bool)
    """
    exact = jax.lax.Precision.HIGHEST
    return jnp.abs(jnp.matmul(inputs, quantized, precision=exact)) > jnp.abs(
        jnp.matmul(inputs, weights, precision=exact)
    )


class TheoremOne(NamedTuple):
    """What Theorem 1 assumes and says, on data.

    Attributes:
        shrinks: Eq. (21): no entry grows in magnitude, `()`.
        norm: Eq. (22): the norm does not grow, `()`; it follows from (21).
        agrees: Eq. (19) and its premise, by example: `y (u - u^Q).x >= 0` and both say y, `(n,)`.
        score: Eq. (23), by example, `(n,)`; it follows where `agrees`, not from (21).
        bound: Eq. (24): `sum_i (u^Q.x_i)^2 + C |u^Q|^2` is not larger than that of u, `()`.
    """

    shrinks: Bool[Array, ""]
    norm: Bool[Array, ""]
    agrees: Bool[Array, " n"]
    score: Bool[Array, " n"]
    bound: Bool[Array, ""]


def theorem_one(
    weights: Float[Array, " d"],
    quantized: Float[Array, " d"],
    inputs: Float[Array, "n d"],
    labels: Num[Array, " n"],
    strength: float | int = 1.0,
) -> TheoremOne:
    """Check Theorem 1 on data: which of its assumptions and claims hold for a classifier and its quantization.

    Args:
        weights: u, the bias as its last entry if the inputs end in 1.
        quantized: u^Q.
        inputs: n examples.
        labels: -1 or 1.
        strength: C of Eq. (15).

    Examples:
        >>> found = theorem_one(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), jnp.array([[1.0, -1.0]]), jnp.array([1]))
        >>> bool(found.shrinks), bool(found.norm), found.score.tolist(), bool(found.bound)
        (True, True, [False], True)
    """
    exact = jax.lax.Precision.HIGHEST
    full, small = (jnp.matmul(inputs, vector, precision=exact) for vector in (weights, quantized))
    return TheoremOne(
        shrinks=jnp.all(jnp.abs(quantized) <= jnp.abs(weights)),
        norm=jnp.sum(jnp.square(quantized)) <= jnp.sum(jnp.square(weights)),
        agrees=(labels * full >= labels * small) & (labels * small >= 0),
        score=jnp.abs(full) >= jnp.abs(small),
        bound=surrogate(quantized, 0.0, inputs, strength) <= surrogate(weights, 0.0, inputs, strength),
    )
