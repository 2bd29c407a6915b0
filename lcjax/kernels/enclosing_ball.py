"""Smallest ball that holds a set of points: exact on the host, or approximate and jitted for any number of points."""

import math
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating, as_real, concrete, power_of_two_above
from lcjax.kernels.compilation import jit
from lcjax.typing import Array

__all__ = ["Sphere", "approximate_sphere", "enclosing_sphere"]


class Sphere(NamedTuple):
    """A sphere that holds all points, its radius at most `factor` times that of the smallest such sphere."""

    center: Float[Array, " d"]
    radius: Float[Array, ""] | float
    factor: Float[Array, ""] | float


def enclosing_sphere(points: Num[Array, "n d"] | Nested, *, tolerance: float = 1e-10) -> Sphere:
    """Compute the smallest sphere that holds all points, exact to rounding, on the host in double precision.

    The centre moves towards the affine hull of the points on the sphere, equally far from them, until it meets another
    point or lies in their convex hull (Fischer et al., 2003). A step costs O(n d); the number of steps grows with d.

    Args:
        points: n points, at most hundreds of thousands; use `approximate_sphere` for more.
        tolerance: relative size below which a length counts as zero.

    Returns:
        Centre, radius, and a bound on its ratio to the smallest one, from the dual solution of the walk: 1 to rounding.

    Raises:
        ValueError: there are no points, or one is not finite.

    Examples:
        >>> sphere = enclosing_sphere(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.5]]))
        >>> sphere.center.tolist(), sphere.radius
        ([1.0, 0.0], 1.0)
    """
    given = as_real(points, "points")
    if not concrete(given):
        raise ValueError("enclosing_sphere runs on the host and needs concrete points: use approximate_sphere.")
    if given.ndim != 2 or not given.size or not np.isfinite(given).all():
        raise ValueError(f"enclosing_sphere needs finite points (n, d), got shape {given.shape}.")
    x = np.unique(np.asarray(given, np.float64), axis=0)
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
        # |y - c - t v|^2 <= |s - c - t v|^2, with s on the sphere, holds up to this fraction t of the way.
        gain = 2 * (y - y[support[0]]) @ direction
        outside = np.delete(np.arange(len(y)), support)
        closing = outside[gain[outside] < -tolerance]
        fraction = (radius - distance[closing]) / -gain[closing]
        stop = int(np.argmin(fraction)) if fraction.size else -1
        if stop < 0 or fraction[stop] >= 1:
            center = target
        else:
            center = center + max(fraction[stop], 0.0) * direction
            support.append(int(closing[stop]))
    radius = math.sqrt(float(np.max(np.sum(np.square(y - center), axis=1))))
    weights = np.clip(_affine_weights(y[support], center), 0, None)
    weights /= weights.sum()
    mean = weights @ y[support]
    least = math.sqrt(max(float(weights @ np.sum(np.square(y[support] - mean), axis=1)), 0.0))
    factor = radius / least if least > 0 else 1.0
    return Sphere(x[0] + scale * center, float(scale * radius), max(factor, 1.0))


def _affine_weights(support: Float[np.ndarray, "k d"], center: Float[np.ndarray, " d"]) -> Float[np.ndarray, " k"]:
    """Return the weights, with sum 1, of the point of the affine hull that is nearest to the centre."""
    edges = (support[1:] - support[0]).T
    rest = np.linalg.lstsq(edges, center - support[0], rcond=None)[0] if edges.size else np.zeros(0)
    return np.concatenate([[1 - rest.sum()], rest])


def approximate_sphere(points: Num[Array, "n d"] | Nested, *, steps: SupportsIndex = 1000) -> Sphere:
    """Compute a sphere that holds all points, its radius at most `1 + 1 / sqrt(steps)` times the smallest one.

    The centre moves the fraction `1 / (i + 1)` of the way to the farthest point, `steps` times (Badoiu and Clarkson,
    2003). Jitted, for any number of points.

    Args:
        points: n points, in any unit.
        steps: number of steps, each of O(n d) work.

    Raises:
        ValueError: `steps` is below 1, there are no points, or they are half precision.

    Examples:
        >>> sphere = approximate_sphere(jnp.array([[0.0, 0.0], [2.0, 0.0]]), steps=10000)
        >>> bool(1 <= sphere.radius <= sphere.factor)
        True
    """
    x = as_floating(points, "points")
    if x.ndim != 2 or 0 in x.shape or x.dtype.itemsize < 4:
        raise ValueError(f"points must be (n, d) in float32 or float64, n and d positive, got {x.shape} in {x.dtype}.")
    return _approximate_sphere(x, as_count(steps, "steps"))


@jit(static_argnames="steps")
def _approximate_sphere(points: Float[jax.Array, "n d"], steps: int) -> Sphere:
    unit = power_of_two_above(points)  # squares neither vanish nor overflow
    points = points / unit

    def farthest(center: Float[jax.Array, " d"]) -> tuple[Float[jax.Array, " d"], Float[jax.Array, ""]]:
        distance = jnp.sum(jnp.square(points - center), axis=1)
        place = jnp.argmax(distance)
        return points[place], distance[place]

    def walk(i: jax.Array, center: jax.Array) -> jax.Array:
        return center + (farthest(center)[0] - center) / (i + 1)

    center = jax.lax.fori_loop(1, steps + 1, walk, points[0])
    return Sphere(center * unit, jnp.sqrt(farthest(center)[1]) * unit, 1 + 1 / math.sqrt(steps))
