"""Sum of squares of a form over learning curves, its first and second derivatives, bounds and starting points.

Curves lie on the trailing axis: a curve has 3 to 100 sizes, a batch thousands of curves, and vector instructions need
the long axis innermost.
"""

import functools
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lcjax.curves.fit.residual_losses import Loss
from lcjax.curves.forms import Form, Value
from lcjax.kernels.least_squares import Expansion
from lcjax.records import record

__all__ = ["CurveData", "box", "expansion", "log_prediction", "residuals", "starts", "unpack"]


@record
class CurveData:
    """Curves in the form's internal units, sizes in ascending order on the first axis.

    Attributes:
        z: `log(size) - reference`, 0 where absent, `(s, *b)`.
        log_error: logarithm of the error in units of the curve's geometric mean error, 0 where absent, `(s, *b)`.
        weight: weight of each squared residual, 0 where absent, `(s, *b)`.
        reference: logarithm of the size at which `z = 0`, `(*b,)`.
        log_guess: logarithm of the error of guessing, `(*b,)`, or None.
    """

    z: Float[jax.Array, "s *b"]
    log_error: Float[jax.Array, "s *b"]
    weight: Float[jax.Array, "s *b"]
    reference: Float[jax.Array, "*b"]
    log_guess: Float[jax.Array, "*b"] | None


def unpack(form: Form, u: Iterable[jax.Array], reference: Value) -> tuple[jax.Array, jax.Array, tuple[jax.Array, ...]]:
    """Split coordinates into offset, logarithm of the scale, and shape.

    The coordinate of the scale is its value at `z = 0`, which is the least correlated with the shape.
    """
    u = tuple(u)
    offset, level, shape = (u[0], u[1], u[2:]) if form.offset else (jnp.zeros_like(u[0]), u[0], u[1:])
    return offset, level - form.log_basis(jnp.zeros_like(level), reference, *shape), shape


def log_prediction(form: Form, u: Float[jax.Array, "p *b"], data: CurveData) -> Float[jax.Array, "s *b"]:
    """Return the logarithm of the fitted error at every size, at most that of guessing."""
    offset, log_scale, shape = unpack(form, u, data.reference)
    prediction = form.log_error(data.z, offset, log_scale, shape, data.reference)
    return prediction if data.log_guess is None else jnp.minimum(prediction, data.log_guess)


def residuals(form: Form, loss: Loss, u: Float[jax.Array, "p *b"], data: CurveData) -> Float[jax.Array, "s *b"]:
    """Return the weighted residuals."""
    return jnp.sqrt(data.weight) * loss(log_prediction(form, u, data), data.log_error)


@functools.cache
def expansion(form: Form, loss: Loss) -> Callable[[jax.Array, CurveData], Expansion]:
    """Return the `expand` function of `least_squares`, one object per form and loss, so that its code is reused.

    With `f = o + e^q`, `q = level + basis(shape)` and `s = e^q / f`, every derivative of `log f` is a product of
    `1 / f`, `s`, `1 - s` and derivatives of the basis, which alone are left to automatic differentiation.
    """

    def expand(u: jax.Array, data: CurveData) -> Expansion:
        shape = tuple(u[form.offset + 1 :])
        z, y, weight = data.z, data.log_error, data.weight

        def basis(*theta: jax.Array) -> jax.Array:
            zero = jnp.zeros_like(u[0])
            return form.log_basis(z, data.reference, *theta) - form.log_basis(zero, data.reference, *theta)

        phi, slopes, bends = _derivatives(basis, shape)
        q = u[int(form.offset)] + phi
        if form.offset:
            power = jnp.exp(q)
            inverse = 1 / (u[0] + power)
            prediction, share, part = jnp.log(u[0] + power), power * inverse, u[0] * inverse
        else:
            prediction, share, part, inverse = q + jnp.zeros_like(z), jnp.ones_like(z), None, None
        if data.log_guess is not None:
            weight = jnp.where(prediction > data.log_guess, 0.0, weight)
            prediction = jnp.minimum(prediction, data.log_guess)
        r, first, second = _loss_derivatives(loss, prediction, y)
        wr = weight * r * first
        gauss = weight * first * first
        curved = gauss + weight * r * second

        def total(values: jax.Array) -> jax.Array:
            return jnp.sum(jnp.broadcast_to(values, z.shape), axis=0)

        # Weights of the products of the basis's derivatives.
        slope_weight = wr * share
        square_weight = curved * share * share if part is None else share * (curved * share + wr * part)
        gauss_weight = gauss * share * share
        # The value includes points that the error of guessing has made constant.
        value = 0.5 * total(data.weight * r * r)
        gradient = [total(slope_weight), *(total(slope_weight * d) for d in slopes)]
        scale = [total(gauss_weight), *(total(gauss_weight * d * d) for d in slopes)]
        ones: list[jax.Array | float] = [1.0, *slopes]
        entries: dict[tuple[int, int], jax.Array] = {}
        for i in range(len(ones)):
            for j in range(i + 1):
                terms = square_weight * (ones[i] * ones[j])
                if j >= 1:
                    terms = terms + slope_weight * bends[i - 1][j - 1]
                entries[i, j] = total(terms)
        if inverse is not None:
            by_offset = wr * inverse
            mixed = (curved - wr) * inverse * share
            gradient.insert(0, total(by_offset))
            scale.insert(0, total(gauss * inverse * inverse))
            entries = {(i + 1, j + 1): v for (i, j), v in entries.items()}
            entries[0, 0] = total((curved - wr) * inverse * inverse)
            for i in range(len(ones)):
                entries[i + 1, 0] = total(mixed * ones[i])
        p = u.shape[0]
        hessian = jnp.stack([jnp.stack([entries[max(i, j), min(i, j)] for j in range(p)]) for i in range(p)])
        return Expansion(value, jnp.stack(gradient), hessian, jnp.stack(scale))

    return expand


def _derivatives(
    basis: Callable[..., jax.Array], shape: tuple[jax.Array, ...]
) -> tuple[jax.Array, list[jax.Array], list[list[jax.Array]]]:
    """Return value, first and second derivatives of the basis, pair by pair because most pairs are zero."""
    if not shape:
        return basis(), [], []

    def column(i: int, *theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        one = jnp.ones_like(theta[i])
        return jax.jvp(lambda t: basis(*theta[:i], t, *theta[i + 1 :]), (theta[i],), (one,))

    def second(i: int, j: int) -> jax.Array:
        one = jnp.ones_like(shape[j])
        return jnp.asarray(jax.jvp(lambda t: column(i, *shape[:j], t, *shape[j + 1 :])[1], (shape[j],), (one,))[1])

    columns = [column(i, *shape) for i in range(len(shape))]
    bends = [[second(i, j) for j in range(i + 1)] for i in range(len(shape))]
    return columns[0][0], [c[1] for c in columns], bends


def _loss_derivatives(loss: Loss, prediction: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return value, first and second derivatives of the loss by the prediction."""
    one = jnp.ones_like(prediction)

    def slope(p: jax.Array) -> jax.Array:
        return jnp.asarray(jax.jvp(lambda t: loss(t, y), (p,), (one,))[1])

    first, second = jax.jvp(slope, (prediction,), (one,))
    return loss(prediction, y), first, second


def box(
    form: Form, y: Float[jax.Array, "s *b"], present: Bool[jax.Array, "s *b"], half: Float[jax.Array, "*b"]
) -> tuple[Float[jax.Array, "p *b"], Float[jax.Array, "p *b"]]:
    """Return lower and upper bounds of the coordinates, from the log errors `y` and half the range of `z`.

    An offset lies between 0 and the smallest error.
    """
    smallest = jnp.exp(jnp.min(jnp.where(present, y, jnp.inf), axis=0))
    pairs: list[tuple[Value, Value]] = [(0.0, smallest)] if form.offset else []
    pairs += [(-40.0, 40.0), *form.bounds(-half, half)]
    low, high = (jnp.stack([jnp.broadcast_to(jnp.asarray(q[i], y.dtype), half.shape) for q in pairs]) for i in (0, 1))
    return low, high


def starts(
    form: Form,
    data: CurveData,
    lower: Float[jax.Array, "p n"],
    upper: Float[jax.Array, "p n"],
    half: Float[jax.Array, " n"],
    keep: int,
) -> Float[jax.Array, "p k n"]:
    """Return the coordinates of up to `keep` good points of the form's grid.

    Offset and scale are solved in closed form at each point (variable projection; Golub and Pereyra, 1973) for relative
    residuals; points are compared by their log residuals. Single precision suffices for starting points.
    """
    z, y, weight, reference = (
        jnp.asarray(a, jnp.float32) for a in (data.z, data.log_error, data.weight, data.reference)
    )
    half, top = half.astype(jnp.float32), upper[0].astype(jnp.float32)
    grid = form.seeds(-half, half)
    axes = [
        jnp.stack([jnp.broadcast_to(jnp.asarray(v, jnp.float32), half.shape) for v in axis])
        for axis in zip(*grid, strict=True)
    ]
    error = jnp.exp(y)
    v = weight / error**2
    s0, t0, weights = jnp.sum(v, axis=0), jnp.sum(v * error, axis=0), jnp.sum(weight, axis=0)

    def solve(shape: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        """Return cost and coordinates of one grid point."""
        phi = form.log_basis(z, reference, *shape) - form.log_basis(jnp.zeros_like(half), reference, *shape)
        phi = jnp.broadcast_to(phi, z.shape)
        if not form.offset:
            level = jnp.sum(weight * (y - phi), axis=0) / weights
            return jnp.sum(weight * (y - phi - level) ** 2, axis=0), jnp.stack([level, *shape])
        power = jnp.exp(jnp.clip(phi, -60.0, 60.0))
        s1, s2, t1 = jnp.sum(v * power, axis=0), jnp.sum(v * power**2, axis=0), jnp.sum(v * error * power, axis=0)
        offset = (s2 * t0 - s1 * t1) / (s0 * s2 - s1**2)
        offset = jnp.clip(jnp.where(jnp.isfinite(offset), offset, 0.0), 0.0, 0.98 * top)
        scale = jnp.maximum((t1 - offset * s1) / s2, 1e-4)
        scale = jnp.where(jnp.isfinite(scale), scale, 1e-4)
        cost = jnp.sum(weight * (jnp.log(offset + scale * power) - y) ** 2, axis=0)
        return cost, jnp.stack([offset, jnp.log(scale), *shape])

    if len(grid) == 1:
        return solve(tuple(a[0] for a in axes))[1][:, None].astype(lower.dtype)
    cost, points = jax.lax.map(solve, tuple(axes))
    cost = jnp.where(jnp.isfinite(cost), cost, jnp.inf)
    # The best and the second-best point are neighbors and lead to the same minimum. The best of every `keep`-th point
    # differ in the grid's last axes, which vary fastest, and include the best of all.
    best_points = []
    keep = min(keep, len(grid))
    for j in range(keep):
        best = jnp.argmin(cost[j::keep], axis=0)
        best_points.append(jnp.take_along_axis(points[j::keep], best[None, None], axis=0)[0])
    return jnp.stack(best_points, axis=1).astype(lower.dtype)
