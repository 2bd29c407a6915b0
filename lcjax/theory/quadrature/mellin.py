"""Expected error of a local law between two Gaussians, as one contour integral in any dimension.

A local law depends on a test point through `L = A exp(-q/2)`, with q the squared distance from the train mean in
train standard deviations. Its Mellin transform and the Gaussian mean of `exp(s q / 2)` are elementary, so that

    E[law(L)] = 1/(2 pi i) int m(s) A^(-s) E[exp(s q / 2)] ds,    0 < Re s < min(p/d, 1/lambda_max)

by Parseval's formula, with `m(s) = int_0^inf law(L) L^(s-1) dL` and lambda the eigenvalues of the whitened test
covariance. Neither the kink of the law nor the dimension limits the accuracy. On the real axis the integrand has one
minimum; it decays exponentially along a hyperbola through it, so that the trapezoidal rule converges geometrically,
with an error relative to the (small) result. Left of the pole at 0 the same integral is `error - 1`, which is used
where the error is near 1.

NumPy arrays are computed by NumPy, which needs no compilation; all others by JAX, with derivatives.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from lcjax.kernels.compilation import namespace, repeat
from lcjax.typing import Array

__all__ = ["MellinTransform", "expected_value", "hypercube_transform", "poisson_transform"]

MellinTransform: TypeAlias = Callable[[Array], Array]  # s, complex (...,) -> ln(m(s) (1 - s d/p)), complex


def hypercube_transform(s: Complex[Array, "*k"]) -> Complex[Array, "*k"]:
    """Return `ln(1/s)`, because `min(1, L^(-a))` has the transform `1 / (s (1 - s/a))`."""
    value: Array = -namespace(s).log(s)
    return value


def poisson_transform(s: Complex[Array, "*k"]) -> Complex[Array, "*k"]:
    """Return `ln Gamma(s)`, because `int_0^1 exp(-L u^(1/a)) du` has the transform `Gamma(s) / (1 - s/a)`.

    Computed by Stirling's series after eight steps of the recurrence, for `Re s > -1`.
    """
    xp = namespace(s)
    shifted, product = s + 8, s
    for k in range(1, 8):
        product = product * (s + k)
    inverse, tail = 1 / shifted, xp.zeros_like(s)
    square = inverse * inverse
    for coefficient in (-3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        tail = tail * square + coefficient
    log_shifted = xp.log(shifted)
    stirling: Array = (shifted - 0.5) * log_shifted - shifted + 0.5 * math.log(2 * math.pi) + tail * inverse
    value: Array = stirling - xp.log(product)
    return value


def expected_value(
    log_count: Float[Array, "*s"],
    covariance: Float[Array, "d d"],
    shift: Float[Array, " d"],
    *,
    exponent: float,
    transform: MellinTransform,
    order: int = 0,
) -> Float[Array, "k *s"]:
    """Compute the mean of a local law over a Gaussian test point, and its derivatives by `log_count`.

    Args:
        log_count: `ln A`, with `L = A exp(-q/2)` the law's argument at a test point.
        covariance: of the test point in the coordinates where the train density is standard normal.
        shift: mean of the test point in these coordinates.
        exponent: `a = p/d`; the law falls as `L^(-a)`.
        transform: of the law, `hypercube_transform` or `poisson_transform`.
        order: of the highest derivative, computed from the same nodes.

    Returns:
        `E[law(A exp(-|y|^2/2))]` for `y ~ N(shift, covariance)` and its first `order` derivatives by `log_count`, one
        row each. Automatic differentiation gives first derivatives in all three arrays, also at equal eigenvalues.
    """
    xp = namespace(log_count, covariance, shift)
    dtype = xp.result_type(log_count, covariance, shift)
    log_count, covariance, shift = (xp.asarray(v, dtype) for v in (log_count, covariance, shift))
    if xp is np:
        contour, log_moment = _Contour(log_count, covariance, shift, exponent, transform), _log_moment_of
        s, step = contour.points, contour.steps
    else:
        fixed = jax.lax.stop_gradient((log_count, covariance, shift))
        contour, log_moment = _Contour(*fixed, exponent, transform), _log_moment
        s, step = jax.lax.optimization_barrier((contour.points, contour.steps))
    log_value = transform(s) + log_moment(s, covariance, shift) - s * log_count[..., None]
    term, rows = xp.exp(log_value) * step / (1 - s / exponent), []
    for _ in range(order + 1):
        rows.append(xp.sum(xp.imag(term), axis=-1))
        term = -s * term
    rows[0] = contour.residue + rows[0]
    stacked: Array = xp.stack(rows)
    return stacked


class _Contour:
    """Nodes on the upper half of the hyperbola for each `log_count`; the result does not depend on their positions."""

    def __init__(self, log_count: Array, covariance: Array, shift: Array, a: float, transform: MellinTransform) -> None:
        xp, dtype = namespace(log_count), log_count.dtype
        gamma = transform is poisson_transform
        variance, axes = xp.linalg.eigh(covariance)
        squares = xp.einsum("ij,i->j", axes, shift) ** 2
        end = xp.minimum(a, 1 / xp.max(variance))  # nearest singularity right of 0
        right = log_count > 0.5 * xp.sum(variance + squares)

        def place(v: Array) -> tuple[Array, Array, Array]:
            """Return a point of the real axis and its distances from the singularities to its left and right."""
            low, high = _sigmoid(v), _sigmoid(-v)
            c = xp.where(right, end * low, -high if gamma else -xp.exp(-v))
            return c, xp.where(right, c, low if gamma else xp.inf), xp.where(right, end * high, -c)

        def slope(v: Array) -> Array:
            """Return the derivative of the integrand's logarithm, which is convex on the real axis."""
            c, left, _ = place(v)
            u = 1 - c[..., None] * variance
            value: Array = 0.5 * xp.sum(variance / u + squares / u**2, axis=-1) - log_count + 1 / (a - c) - 1 / c
            # Between its poles at -1 and 0, and up to 1/2, digamma(1 + s) is near -1/(1 + s) + pi^2/6 s + 0.42.
            if gamma:
                value = value + xp.where(right, 0, -1 / left + 0.4)
            return value

        zero = xp.zeros_like(log_count)
        saddle = _zero(slope, zero - 16, zero + 16, 3)
        c, left, distance = place(saddle)
        tilt = xp.clip(log_count * (math.pi / 32), -math.pi / 4, math.pi / 4) if gamma else zero + math.pi / 4
        sine, cosine = xp.sin(tilt), xp.cos(tilt)
        # The widest hyperbola that can open or close by pi/4 without meeting a singularity; left of 0 half as wide,
        # because the integrand falls slowly while it passes the pole.
        width = xp.minimum(distance / (1 - sine), left / (sine - xp.sin(tilt - math.pi / 4)))
        width = xp.where(right, width, width / 2)

        def decay(t: Array) -> Array:
            """Return a lower bound of the logarithm by which the integrand falls from the saddle to parameter t."""
            r = width * xp.maximum(xp.exp(t) / 2 - 1, 1e-6)  # below cosh(t) - 1 and sinh(t)
            value: Array = t + 0.5 * xp.sum(xp.log1p(r[..., None] * variance), axis=-1) + log_count * r * sine
            if gamma:
                value = value + r * ((math.pi / 2 - tilt) * cosine - sine * (xp.log(r) - 1))
            return value

        digits = 40.0 if dtype == np.float64 else 24.0
        # Far out on a tilted contour Gamma grows again; at |s| = 45 all digits are converged, before it does.
        longest = xp.log(2 * (45 / width + 1)) if gamma else zero + digits
        length = _zero(lambda t: decay(t) - digits, zero, longest, 2)
        count = 60 if dtype == np.float64 else 32
        spacing = (length / count)[..., None]
        angle = spacing * (xp.arange(count, dtype=dtype) + 0.5)
        open_, up = (sine * width)[..., None], (cosine * width)[..., None]
        growing = xp.exp(angle)
        cosh, sinh = (growing + 1 / growing) / 2, (growing - 1 / growing) / 2
        indefinite = variance[0] < -100 * np.finfo(dtype).eps * variance[-1]
        self.residue = xp.where(indefinite, xp.nan, xp.where(right, 0, 1)).astype(dtype)
        self.points = _complex(c[..., None] + open_ * (cosh - 1), up * sinh)
        self.steps = _complex(open_ * sinh, up * cosh) * (spacing / math.pi)


def _sigmoid(x: Array) -> Array:
    value: Array = jax.nn.sigmoid(x) if isinstance(x, jax.Array) else 1 / (1 + np.exp(-x))
    return value


def _complex(real: Array, imaginary: Array) -> Array:
    value: Array = jax.lax.complex(real, imaginary) if isinstance(real, jax.Array) else real + 1j * imaginary
    return value


def _zero(increasing: Callable[[Array], Array], low: Array, high: Array, levels: int) -> Array:
    """Find the zero of an increasing function of `(k, *s)` to 16^-levels of the bracket, enough for contours."""
    xp = namespace(low)
    part = (xp.arange(1, 16, dtype=low.dtype) / 16).reshape(-1, *(1,) * low.ndim)

    def refine(bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, width = bracket
        below = xp.sum(increasing(low + width * part) < 0, axis=0)
        return low + (below * (width / 16)).astype(low.dtype), width / 16

    bracket = repeat(levels, refine, (low, high - low))
    return bracket[0] + bracket[1] / 2


def _log_moment_of(s: Complex[Array, "*k"], covariance: Float[Array, "d d"], shift: Float[Array, " d"]) -> Array:
    xp = namespace(s)
    variance, axes = xp.linalg.eigh(covariance)
    squares = xp.einsum("ij,i->j", axes, shift) ** 2
    u = 1 - s[..., None] * variance
    value: Array = 0.5 * xp.sum(s[..., None] * squares / u - xp.log(u), axis=-1)
    return value


@jax.custom_jvp
def _log_moment(
    s: Complex[jax.Array, "*k"], covariance: Float[jax.Array, "d d"], shift: Float[jax.Array, " d"]
) -> Complex[jax.Array, "*k"]:
    """Return `ln E[exp(s |y|^2 / 2)]` for `y ~ N(shift, covariance)`.

    The derivative is written out, because that of the eigenvectors is nan at equal eigenvalues, where this is regular.
    """
    return jnp.asarray(_log_moment_of(s, covariance, shift))


@_log_moment.defjvp
def _log_moment_jvp(
    primals: tuple[jax.Array, jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    s, covariance, shift = primals
    s_dot, covariance_dot, shift_dot = tangents
    variance, axes = jnp.linalg.eigh(covariance)
    along = jnp.einsum("ij,i->j", axes, shift)
    rotated = jnp.einsum("ki,kl,lj->ij", axes, covariance_dot, axes)
    rotated_shift = jnp.einsum("ij,i->j", axes, shift_dot)
    u = 1 - s[..., None] * variance
    pulled = along / u
    by_s = 0.5 * jnp.sum(variance / u + pulled**2, axis=-1)
    by_covariance = jnp.sum(jnp.diagonal(rotated) / u, axis=-1)
    by_covariance += s * jnp.sum(pulled * jnp.einsum("...j,ij->...i", pulled, rotated.astype(u.dtype)), axis=-1)
    by_shift = jnp.sum(pulled * rotated_shift, axis=-1)
    value = 0.5 * jnp.sum(s[..., None] * along**2 / u - jnp.log(u), axis=-1)
    return value, by_s * s_dot + s * (0.5 * by_covariance + by_shift)
