"""Scrambled Sobol points: evenly spread, and random by key, so that means over them have honest standard errors."""

import functools
import math
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special
from jax.typing import DTypeLike
from jaxtyping import Float, Int, Num, UInt32

from lcjax.kernels.arguments import Nested, as_count, as_floating
from lcjax.kernels.compilation import jit
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = ["chi_quantile", "sobol", "sobol_block", "sobol_gaussian"]

BITS = 32
# Primitive polynomials over GF(2) of degree 1, 2, ...: phi(2^s - 1) / s of them; Joe and Kuo take them in this order.
PRIMITIVE = (1, 1, 2, 2, 6, 6, 18, 16, 48, 60, 176, 144, 630, 756, 1800, 2048, 7710, 7776)
MAX_COORDINATES = 1 + sum(PRIMITIVE)  # 21201


@functools.cache
def direction_numbers(d: int) -> np.ndarray:
    """Return generator matrices of the first d Sobol coordinates, `(32, d)` uint32, first digit in the highest bit.

    They are those of Joe and Kuo (2008), "new-joe-kuo-6.21201", recovered from the points of SciPy's unscrambled
    sequence: in its Gray-code order, point 2^i is column i plus column i - 1. For a primitive polynomial of degree s
    the first s columns are the initial numbers, one more determines the polynomial, and their Eq. (2) gives the rest.

    Raises:
        ValueError: `d` is outside 1..21201.
    """
    if not 1 <= d <= MAX_COORDINATES:
        raise ValueError(f"Sobol points have 1 <= d <= {MAX_COORDINATES} coordinates, got d={d}.")
    from scipy.stats import qmc

    degree = np.repeat(np.arange(len(PRIMITIVE) + 1), (1, *PRIMITIVE))[:d]
    known = int(degree.max()) + 1
    sequence = qmc.Sobol(d, scramble=False, bits=BITS)
    odd = np.ones((BITS, d), np.uint64)  # the odd integers m_i, of which digit i is m_i / 2^(i + 1)
    column = np.zeros(d, np.uint64)
    for i in range(known):
        sequence.fast_forward(2**i - sequence.num_generated)
        column ^= np.ldexp(sequence.random(1)[0], BITS).astype(np.uint64)
        odd[i] = column >> np.uint64(BITS - 1 - i)
    for s in range(1, known):
        coordinates = degree == s
        m = odd[:, coordinates]
        rest = m[s] ^ m[0] ^ m[0] << np.uint64(s)  # the polynomial's middle: its lowest digit is the next term
        middle = np.zeros((s, m.shape[1]), np.uint64)
        for step in range(1, s):
            middle[step] = rest >> np.uint64(step) & np.uint64(1)
            rest ^= middle[step] * m[s - step] << np.uint64(step)
        for i in range(s, BITS):
            m[i] = m[i - s] ^ m[i - s] << np.uint64(s)
            for step in range(1, s):
                m[i] ^= middle[step] * m[i - step] << np.uint64(step)
        odd[:, coordinates] = m
    odd[:, 0] = 1  # van der Corput's sequence
    return (odd << np.arange(BITS - 1, -1, -1, dtype=np.uint64)[:, None]).astype(np.uint32)


def sobol_block(
    key: KeyArray, start: Int[Array, ""] | int, n: SupportsIndex, d: SupportsIndex, *, dtype: DTypeLike | None = None
) -> Float[jax.Array, "n d"]:
    """Return points `start` to `start + n - 1` of the scrambled sequence of `sobol`, in the open unit cube.

    Args:
        key: the randomization; blocks of one key belong to one sequence.
        start: number of the first point, a multiple of n; may be traced.
        n: number of points, a power of two, static.
        d: coordinates, static.
        dtype: "float32" or "float64"; None for JAX's default.

    Raises:
        ValueError: `n` is not a power of two up to 2^32, `d` is outside 1..21201, or the dtype is another one.

    Examples:
        >>> import jax
        >>> key = jax.random.key(0)
        >>> bool((sobol_block(key, 4, 4, 2) == sobol(key, 8, 2)[4:]).all())
        True
    """
    count = as_count(n, "n", 1, 2**BITS)
    if count & (count - 1):
        raise ValueError(f"The number of points in a block must be a power of two up to 2^{BITS}, got n={count}.")
    return _sobol_block(key, start, count, as_count(d, "d", 1, MAX_COORDINATES), _dtype(dtype))


def _dtype(dtype: DTypeLike | None) -> str:
    """Return the name of the dtype of points, that of JAX's default if None."""
    kind = jax.dtypes.canonicalize_dtype(jnp.dtype(dtype or float))
    if kind not in (jnp.float32, jnp.float64):
        raise ValueError(f"Sobol points have the dtype float32 or float64, got {kind}; others round to 0 or 1.")
    return str(kind)


@jit(static_argnames=("n", "d", "dtype"))
def _sobol_block(key: KeyArray, start: Int[Array, ""] | int, n: int, d: int, dtype: str) -> Float[jax.Array, "n d"]:
    generator = direction_numbers(d)
    start = jnp.asarray(start).astype(jnp.uint32)
    shift = (start[None] >> jnp.arange(BITS, dtype=jnp.uint32)) & 1
    first = lax.reduce(shift[:, None] * generator, np.uint32(0), lax.bitwise_xor, (0,))
    digits = first[None, :]
    for bit in range(n.bit_length() - 1):
        digits = jnp.concatenate([digits, digits ^ generator[bit]])
    return _uniform(_scramble(digits, jax.random.bits(key, (2, d), jnp.uint32)), dtype)


def sobol(
    key: KeyArray, n: SupportsIndex, d: SupportsIndex, *, dtype: DTypeLike | None = None
) -> Float[jax.Array, "n d"]:
    """Draw scrambled Sobol points `(n, d)` in the open unit cube.

    The sequence of Sobol (1967) with the direction numbers of Joe and Kuo (2008), under a nested uniform scrambling
    (Owen, 1995) that the hash of Burley (2020), "Practical Hash-based Owen Scrambling", draws with independent words
    for its sum and its product: every point is exactly uniform, and any two keys are independent randomizations.
    Balance is best where n is a power of two.

    Args:
        key: the randomization.
        n: number of points, 1 <= n <= 2^32, static.
        d: coordinates, at most 21201, static.
        dtype: "float32" or "float64"; None for JAX's default.

    Returns:
        Points `(n, d)` in (0, 1): odd multiples of 2^-24 in float32, of 2^-33 in float64.

    Raises:
        ValueError: `n` or `d` is outside its range, or the dtype is another one.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> points = sobol(jax.random.key(0), 8, 2)
        >>> jnp.sort(jnp.floor(8 * points[:, 0])).tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    check_key(key)
    return _sobol(key, as_count(n, "n", 1, 2**BITS), as_count(d, "d", 1, MAX_COORDINATES), _dtype(dtype))


@jit(static_argnames=("n", "d", "dtype"))
def _sobol(key: KeyArray, n: int, d: int, dtype: str) -> Float[jax.Array, "n d"]:
    return _sobol_block(key, 0, 1 << (n - 1).bit_length(), d, dtype)[:n]


def sobol_gaussian(
    key: KeyArray, n: SupportsIndex, d: SupportsIndex, *, dtype: DTypeLike | None = None
) -> Float[jax.Array, "n d"]:
    """Draw standard normal points from scrambled Sobol points, by radius and direction.

    The first coordinate gives the radius by the inverse of the chi distribution function, the others the direction
    (an angle for d = 2, height and angle for d = 3, a normalized vector of d normal variates beyond). For integrands
    that depend mostly on the radius, the error is far smaller than with the inverse normal distribution function of
    each coordinate.

    Args:
        key: the randomization.
        n: number of points, best a power of two, static.
        d: dimension, at most 21200, static.
        dtype: "float32" or "float64"; None for JAX's default.

    Raises:
        ValueError: `n` or `d` is outside its range, or the dtype is another one.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> points = sobol_gaussian(jax.random.key(0), 1024, 3)
        >>> bool(jnp.abs(jnp.mean(points[:, 0] ** 2) - 1) < 0.02)
        True
    """
    count, width = as_count(n, "n", 1, 2**BITS), as_count(d, "d", 1, MAX_COORDINATES - 1)
    return _sobol_gaussian(key, count, width, _dtype(dtype))


@jit(static_argnames=("n", "d", "dtype"))
def _sobol_gaussian(key: KeyArray, n: int, d: int, dtype: str) -> Float[jax.Array, "n d"]:
    return gaussian_map(_sobol(key, n, gaussian_coordinates(d), dtype), d)


def gaussian_coordinates(d: int) -> int:
    """Return the number of uniform coordinates that `gaussian_map` needs."""
    return d if d <= 3 else d + 1


def gaussian_map(uniform: Float[Array, "n c"], d: int) -> Float[jax.Array, "n d"]:
    """Map uniform points to standard normal points by radius and direction; see `sobol_gaussian`."""
    if d == 1:
        return special.ndtri(uniform)
    radius = chi_quantile(uniform[:, 0], d)[:, None]
    if d > 3:
        direction = special.ndtri(uniform[:, 1:])
        return jnp.asarray(radius * direction / jnp.linalg.norm(direction, axis=1, keepdims=True))
    angle = 2 * jnp.pi * uniform[:, -1]
    circle = jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1)
    if d == 2:
        return radius * circle
    height = 2 * uniform[:, 1:2] - 1
    return radius * jnp.concatenate([jnp.sqrt((1 - height) * (1 + height)) * circle, height], 1)


def chi_quantile(probability: Num[Array, "*b"] | Nested | Scalar, d: SupportsIndex) -> Float[jax.Array, "*b"]:
    """Return the radius of the ball that holds a given probability of the standard normal in d dimensions.

    Solves P(d/2, r^2/2) = probability, P the regularized lower incomplete gamma function: in closed form for d <= 2, or
    by Newton steps for the logarithm of the smaller tail, from the approximation of Wilson and Hilferty (1931).

    Args:
        probability: in [0, 1].
        d: dimension, static.

    Returns:
        Radius in standard deviations; 0 and inf at the ends, nan outside. Its derivative is 1 / density. Half precision
        is computed in float32.

    Raises:
        ValueError: `d` is not a positive whole number, or the probability is not a real number.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(chi_quantile(jnp.array(0.5), 3)), 4)
        1.5382
    """
    p, width = as_floating(probability, "probability"), as_count(d, "d")
    radius: jax.Array = _chi_quantile(p.astype(jnp.promote_types(p.dtype, jnp.float32)), width)
    return jnp.where((p >= 0) & (p <= 1), radius, jnp.nan).astype(p.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
@jit(static_argnames="d")
def _chi_quantile(p: Float[jax.Array, "*b"], d: int) -> Float[jax.Array, "*b"]:
    if d == 1:
        return jnp.where(p < 0.5, math.sqrt(2) * special.erfinv(p), -special.ndtri((1 - p) / 2))
    if d == 2:
        return jnp.sqrt(-2 * jnp.log1p(-p))
    kind = np.finfo(p.dtype)
    inside = jnp.clip(p, kind.tiny, 1 - kind.epsneg)
    a = d / 2
    leading = jnp.exp((jnp.log(inside) + math.lgamma(a + 1)) / a)  # of P for small x
    cube = 1 - 2 / (9 * d) + special.ndtri(inside) * math.sqrt(2 / (9 * d))
    near = leading < 0.2 * (a + 1)
    x = jnp.where(near, leading * (1 + leading / (a + 1)), a * jnp.maximum(cube, 0.05) ** 3)
    for _ in range(3 if p.dtype == jnp.float32 else 4):
        lower, upper, density = _tails(x, d)
        below = x * jnp.exp(jnp.log(inside / lower) * lower / (x * density))  # log P is nearly linear in log x,
        above = x + jnp.log(upper / (1 - inside)) * upper / density  # log Q in x
        x = jnp.clip(jnp.where(inside < 0.5, below, above), x / 4, 4 * x)
    return jnp.where(p <= 0, 0, jnp.where(p >= 1, jnp.inf, jnp.sqrt(2 * x)))


@_chi_quantile.defjvp
def _chi_quantile_jvp(d: int, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (probability,), (change,) = primals, tangents
    radius = _chi_quantile(probability, d)
    logarithm = (d - 1) * jnp.log(radius) - radius**2 / 2 - ((d / 2 - 1) * math.log(2) + math.lgamma(d / 2))
    return radius, change * jnp.exp(-logarithm)


def _tails(x: Float[Array, "*b"], d: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return P(d/2, x), Q(d/2, x) and the derivative of the first."""
    a = d / 2
    density = jnp.exp((a - 1) * jnp.log(x) - x - math.lgamma(a))
    if d == 3:
        edge = 2 * jnp.sqrt(x / jnp.pi) * jnp.exp(-x)
        series = jnp.ones_like(x)
        for i in range(17, 0, -1):
            series = 1 + series * x / (a + i)
        lower = jnp.where(x < 1, series * edge * x / a, special.erf(jnp.sqrt(x)) - edge)
        return lower, special.erfc(jnp.sqrt(x)) + edge, density
    return special.gammainc(a, x), special.gammaincc(a, x), density


def _scramble(digits: UInt32[Array, "n d"], words: UInt32[Array, "2 d"]) -> UInt32[jax.Array, "n d"]:
    """Permute each coordinate so that a digit depends only on the digits before it (a hash of a tree)."""
    x = _reverse_bits(digits)
    x ^= x * np.uint32(0x3D20ADEA)
    x += words[0]
    x *= words[1] | 1
    x ^= x * np.uint32(0x05526C56)
    x ^= x * np.uint32(0x53A22864)
    return _reverse_bits(x)


def _reverse_bits(x: UInt32[Array, "*b"]) -> UInt32[jax.Array, "*b"]:
    for width, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF)):
        x = (x >> width & np.uint32(mask)) | (x & np.uint32(mask)) << width
    return jnp.asarray(x >> 16 | x << 16)


def _uniform(digits: UInt32[jax.Array, "n d"], dtype: str) -> Float[jax.Array, "n d"]:
    kind = jnp.dtype(dtype)
    if kind == jnp.float32:  # 23 digits and a half: one digit more would round to 1
        return jnp.asarray(((digits >> 9).astype(kind) + 0.5) * kind.type(2.0**-23))
    return jnp.asarray((digits.astype(kind) + 0.5) * kind.type(2.0**-32))
