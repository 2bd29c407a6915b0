"""Functional forms of learning curves: `error = offset + scale * basis(size)` with a decreasing basis.

A form works in coordinates in which all bounds are boxes and all curves have the same scale: sizes as `z = log(size) -
reference`, with the reference near the middle of the observed range, and positive parameters by their logarithms. Named
parameters are in the units of the data; exponents are negative, `error = offset + scale * size ** exponent`.

The file is long because it is one table: a form is one entry, to be read beside the others.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.numpy import exp, log
from jaxtyping import Float, Num

from lcjax.typing import Array, Scalar

__all__ = [
    "FORMS",
    "Form",
    "broken_power_law",
    "exponential",
    "inverse_logarithm",
    "janoschek",
    "last_value",
    "linear",
    "logarithm",
    "m3",
    "m4",
    "mmf",
    "power_law",
    "power_law_offset",
    "shifted_power_law",
    "twice_broken_power_law",
    "vapor_pressure",
    "weibull",
]

Value: TypeAlias = jax.Array | float
Shape: TypeAlias = tuple[Value, ...]

# Bounds of the logarithms of exponents and powers.
_STEEP = (float(np.log(1e-4)), float(np.log(20.0)))
# Value of a linear basis, positive over the observed range, beyond its zero.
_FLOOR = 1e-6


class Form:
    """A functional form, callable on its named parameters, and an argument of `fit_curve`.

    Attributes:
        parameters: names of the parameters, in the order of a call.
        offset: True if the form has an irreducible error.
        last_only: True if the largest size alone determines the fit.
        exponent_place: index of the shape coordinate `log(-exponent)`, for forms with a parameter of that name.
        starts: number of points of the form's grid from which a fit starts; one if the grid is a line.
        log_basis: logarithm of the basis as a function of `z`, the reference and the shape coordinates.
        log_size: inverse of `log_basis` in `z`; None where bisection finds it.
        bounds: bounds of the shape coordinates for the smallest and largest `z`.
        seeds: grid of shape coordinates for the smallest and largest `z`.
        natural: named parameters as a function of offset, logarithm of the scale, shape and reference.
        internal: the inverse of `natural`; calls on named parameters use the reference 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> power_law_offset.parameters
        ('offset', 'scale', 'exponent')
        >>> round(float(power_law_offset(jnp.array(100.0), 0.05, 1.0, -0.5)), 6)
        0.15
        >>> round(float(power_law_offset.inverse(jnp.array(0.15), 0.05, 1.0, -0.5)), 3)
        100.0
    """

    def __init__(
        self,
        name: str,
        formula: str,
        parameters: Sequence[str],
        log_basis: Callable[..., jax.Array],
        *,
        offset: bool = True,
        log_size: Callable[..., jax.Array] | None = None,
        bounds: Callable[[Value, Value], Sequence[tuple[Value, Value]]] = lambda low, high: (),
        seeds: Callable[[Value, Value], Sequence[Shape]] = lambda low, high: ((),),
        natural: Callable[..., Shape],
        internal: Callable[..., tuple[Value, Value, Shape]],
        last_only: bool = False,
        exponent_place: int = 0,
        starts: int = 2,
    ) -> None:
        self.__name__ = self.__qualname__ = name
        self.__module__ = __name__
        self.__doc__ = formula
        self.parameters = tuple(parameters)
        self.offset = offset
        self.last_only = last_only
        self.exponent_place = exponent_place
        self.starts = starts
        self.log_basis = log_basis
        self._log_size = log_size
        self.bounds = bounds
        self.seeds = seeds
        self.natural = natural
        self._internal = internal

    def __repr__(self) -> str:
        """Return the qualified name."""
        return f"{self.__module__}.{self.__qualname__}"

    def __call__(self, size: Num[Array, "*b"], *parameters: Scalar) -> Float[jax.Array, "*b"]:
        """Return the error at `size` for the named parameters, in their order; all arguments broadcast."""
        offset, log_scale, shape = self._to_internal(parameters)
        return exp(self.log_error(log(size), offset, log_scale, shape, 0.0))

    def inverse(self, error: Float[Array, "*b"], *parameters: Scalar) -> Float[jax.Array, "*b"]:
        """Return the size at which the form falls to `error`; inf where it never does, 0 where it starts below."""
        offset, log_scale, shape = self._to_internal(parameters)
        return exp(self.log_size(jnp.asarray(error), offset, log_scale, shape, 0.0))

    def log_error(self, z: Value, offset: Value, log_scale: Value, shape: Shape, reference: Value) -> jax.Array:
        """Return the logarithm of the error in internal coordinates."""
        log_part = log_scale + self.log_basis(z, reference, *shape)
        return log(offset + exp(log_part)) if self.offset else jnp.asarray(log_part)

    def log_size(self, error: Value, offset: Value, log_scale: Value, shape: Shape, reference: Value) -> jax.Array:
        """Return the `z` at which the form falls to `error`; inf where it never does, -inf where it starts below."""
        part = jnp.maximum(error - offset, 0.0) if self.offset else jnp.asarray(error)
        target = log(part) - log_scale
        if self._log_size is None:
            return self._bisect(target, shape, reference)
        return jnp.where(jnp.isneginf(target), jnp.inf, self._log_size(target, reference, *shape))

    def _bisect(self, target: jax.Array, shape: Shape, reference: Value) -> jax.Array:
        low = jnp.zeros_like(target) - 60.0 - reference * 0
        high = -low

        def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = bracket
            middle = 0.5 * (low + high)
            above = self.log_basis(middle, reference, *shape) > target
            return jnp.where(above, middle, low), jnp.where(above, high, middle)

        low, high = jax.lax.fori_loop(0, 60, halve, (low, high))
        return jnp.where(high >= 59.99, jnp.inf, jnp.where(low <= -59.99, -jnp.inf, 0.5 * (low + high)))

    def _to_internal(self, parameters: tuple[Scalar, ...]) -> tuple[Value, Value, Shape]:
        """Convert named parameters to offset, logarithm of the scale, and shape."""
        if len(parameters) != len(self.parameters):
            raise ValueError(
                f"{self.__name__} takes the {len(self.parameters)} parameters {', '.join(self.parameters)}, "
                f"got {len(parameters)}."
            )
        return self._internal(*(jnp.asarray(p) for p in parameters))


@jax.custom_jvp
def _softplus(x: jax.Array) -> jax.Array:
    """Compute `log(1 + e^x)` by a plain logarithm: terms are of order 1, so that rounding `1 + small` is harmless."""
    return jnp.maximum(x, 0) + log(1 + exp(-jnp.abs(x)))


@_softplus.defjvp
def _softplus_derivative(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return _softplus(*primals), jax.nn.sigmoid(*primals) * tangents[0]


@jax.custom_jvp
def _solve_m4(target: jax.Array, log_power: jax.Array) -> jax.Array:
    """Solve `a softplus(t) - softplus(-t) = target` for `t`, where `a = exp(log_power)`, by Newton's method."""
    power = exp(log_power)
    # The function increases with slopes 1 and a, and its asymptotes are within log 2 of it.
    t = jnp.where(target > 0, target / power, target)
    for _ in range(7):
        small = exp(-jnp.abs(t))
        both = jnp.log1p(small)
        value = power * (jnp.maximum(t, 0) + both) - jnp.maximum(-t, 0) - both - target
        high, low = 1 / (1 + small), small / (1 + small)
        t = t - value / jnp.where(t > 0, power * high + low, power * low + high)
    return t


@_solve_m4.defjvp
def _solve_m4_derivative(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    t, power = _solve_m4(*primals), exp(primals[1])
    slope = power * jax.nn.sigmoid(t) + jax.nn.sigmoid(-t)
    return t, (tangents[0] - power * jax.nn.softplus(t) * tangents[1]) / slope


def _grid(*axes: Sequence[Value]) -> list[Shape]:
    return list(itertools.product(*axes))


def _logs(*values: float) -> tuple[float, ...]:
    return tuple(float(np.log(v)) for v in values)


def _within(low: Value, high: Value, *fractions: float) -> list[Value]:
    return [low + f * (high - low) for f in fractions]


_EXPONENTS = _logs(0.03, 0.1, 0.2, 0.35, 0.5, 0.75, 1.1, 1.7, 2.6, 4.0)

last_value = Form(
    "last_value",
    "`error = level`, the error at the largest size, a baseline for forecasts.",
    ("level",),
    lambda z, r: 0.0 * z,
    offset=False,
    last_only=True,
    log_size=lambda v, r: jnp.where(v >= 0, -jnp.inf, jnp.inf),
    natural=lambda o, a, s, r: (exp(a),),
    internal=lambda level: (0.0, log(level), ()),
)

linear = Form(
    "linear",
    "`error = intercept + slope * size`, slope <= 0, positive over the observed range.",
    ("intercept", "slope"),
    lambda z, r, k: log(jnp.maximum(1 - k * exp(z), _FLOOR)),
    offset=False,
    log_size=lambda v, r, k: log(jnp.maximum(-jnp.expm1(v), 0) / k),
    bounds=lambda low, high: ((0.0, 0.999999 * exp(-high)),),
    seeds=lambda low, high: [(f * exp(-high),) for f in (0.05, 0.2, 0.5, 0.8, 0.95)],
    starts=1,
    natural=lambda o, a, s, r: (exp(a), -s[0] * exp(a - r)),
    internal=lambda intercept, slope: (0.0, log(intercept), (-slope / intercept,)),
)

logarithm = Form(
    "logarithm",
    "`error = intercept + slope * log(size)`, slope <= 0, positive over the observed range.",
    ("intercept", "slope"),
    lambda z, r, k: log(jnp.maximum(1 - k * z, _FLOOR)),
    offset=False,
    log_size=lambda v, r, k: -jnp.expm1(v) / k,
    bounds=lambda low, high: ((0.0, 0.999999 / high),),
    seeds=lambda low, high: [(f / high,) for f in (0.05, 0.2, 0.5, 0.8, 0.95)],
    starts=1,
    natural=lambda o, a, s, r: (exp(a) * (1 + s[0] * r), -s[0] * exp(a)),
    internal=lambda intercept, slope: (0.0, log(intercept), (-slope / intercept,)),
)

power_law = Form(
    "power_law",
    "`error = scale * size ** exponent` (Hestness et al., 2019; pow2).",
    ("scale", "exponent"),
    lambda z, r, b: -exp(b) * z,
    offset=False,
    log_size=lambda v, r, b: -v * exp(-b),
    bounds=lambda low, high: (_STEEP,),
    seeds=lambda low, high: _grid(_EXPONENTS),
    starts=1,
    natural=lambda o, a, s, r: (exp(a + exp(s[0]) * r), -exp(s[0])),
    internal=lambda scale, exponent: (0.0, log(scale), (log(-exponent),)),
)

power_law_offset = Form(
    "power_law_offset",
    "`error = offset + scale * size ** exponent` (Hestness et al., 2019, section 3; pow3).",
    ("offset", "scale", "exponent"),
    lambda z, r, b: -exp(b) * z,
    log_size=lambda v, r, b: -v * exp(-b),
    bounds=lambda low, high: (_STEEP,),
    seeds=lambda low, high: _grid(_EXPONENTS),
    starts=1,
    natural=lambda o, a, s, r: (o, exp(a + exp(s[0]) * r), -exp(s[0])),
    internal=lambda offset, scale, exponent: (offset, log(scale), (log(-exponent),)),
)

shifted_power_law = Form(
    "shifted_power_law",
    "`error = offset + scale * (size + shift) ** exponent` (pow4).",
    ("offset", "scale", "exponent", "shift"),
    lambda z, r, b, s: -exp(b) * log(exp(z) + exp(s)),
    log_size=lambda v, r, b, s: log(jnp.maximum(exp(-v * exp(-b)) - exp(s), 0)),
    bounds=lambda low, high: (_STEEP, (low - 30, high + 4)),
    seeds=lambda low, high: _grid(
        _logs(0.1, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0), _within(low, high, -1.0, 0.0, 0.25, 0.5, 0.8, 1.2)
    ),
    starts=6,
    natural=lambda o, a, s, r: (o, exp(a + exp(s[0]) * r), -exp(s[0]), exp(s[1] + r)),
    internal=lambda offset, scale, exponent, shift: (offset, log(scale), (log(-exponent), log(shift))),
)

m3 = Form(
    "m3",
    "`error = scale * (1 / size + rate) ** -exponent` (M3 of Alabdulmohsin et al., 2022).",
    ("scale", "exponent", "rate"),
    lambda z, r, b, g: exp(b) * log(exp(-z) + exp(g)),
    offset=False,
    log_size=lambda v, r, b, g: -log(jnp.maximum(exp(v * exp(-b)) - exp(g), 0)),
    bounds=lambda low, high: (_STEEP, (-high - 30, -low + 4)),
    seeds=lambda low, high: _grid(
        _logs(0.1, 0.3, 0.6, 1.0, 1.6, 2.5), [-x for x in _within(low, high, 0.3, 0.6, 1.0, 1.5, 2.5)]
    ),
    natural=lambda o, a, s, r: (exp(a + exp(s[0]) * r), -exp(s[0]), exp(s[1] - r)),
    internal=lambda scale, exponent, rate: (0.0, log(scale), (log(-exponent), log(rate))),
)

mmf = Form(
    "mmf",
    "`error = offset + (start - offset) / (1 + (size / middle) ** -exponent)` (Morgan, Mercer and Flodin; mmf4).",
    ("offset", "start", "exponent", "middle"),
    lambda z, r, d, m: -_softplus(exp(d) * (z - m)),
    log_size=lambda v, r, d, m: m + log(jnp.expm1(jnp.maximum(-v, 0))) * exp(-d),
    bounds=lambda low, high: (_STEEP, (low - 10, high + 10)),
    seeds=lambda low, high: _grid(
        _logs(0.2, 0.4, 0.7, 1.1, 1.8, 3.0), _within(low, high, -0.6, 0.0, 0.25, 0.5, 0.75, 1.0, 1.4)
    ),
    natural=lambda o, a, s, r: (o, o + exp(a), -exp(s[0]), exp(s[1] + r)),
    internal=lambda offset, start, exponent, middle: (offset, log(start - offset), (log(-exponent), log(middle))),
)

m4 = Form(
    "m4",
    "`(error - offset) / (start - error) ** power = scale * size ** exponent` (M4 of Alabdulmohsin et al., 2022).",
    ("offset", "start", "power", "scale", "exponent"),
    lambda z, r, c, m, a: -jax.nn.softplus(-_solve_m4(exp(c) * (m - z), a)),
    log_size=lambda v, r, c, m, a: m - (v - exp(a) * log(-jnp.expm1(jnp.minimum(v, 0)))) * exp(-c),
    bounds=lambda low, high: (_STEEP, (low - 10, high + 10), (-2.5, 2.5)),
    seeds=lambda low, high: _grid(
        _logs(0.25, 0.5, 1.0, 2.0), _within(low, high, -0.4, 0.1, 0.4, 0.7, 1.1), _logs(0.4, 1.0, 2.5)
    ),
    starts=3,
    natural=lambda o, a, s, r: (
        *(o, o + exp(a), exp(s[2])),
        *(exp(exp(s[0]) * (s[1] + r) + (1 - exp(s[2])) * a), -exp(s[0])),
    ),
    internal=lambda offset, start, power, scale, exponent: (
        offset,
        log(start - offset),
        (log(-exponent), (log(scale) - (1 - power) * log(start - offset)) / -exponent, log(power)),
    ),
)


def _stretched_exponential(
    name: str,
    formula: str,
    third: str,
    natural: Callable[..., Shape],
    internal: Callable[..., tuple[Value, Value, Shape]],
) -> Form:
    return Form(
        name,
        formula,
        ("offset", "scale", third, "power"),
        lambda z, r, d, m: -exp(jnp.minimum(exp(d) * (z - m), 30.0)),
        log_size=lambda v, r, d, m: m + log(jnp.maximum(-v, 0)) * exp(-d),
        bounds=lambda low, high: (_STEEP, (low - 10, high + 10)),
        seeds=lambda low, high: _grid(
            _logs(0.2, 0.4, 0.7, 1.0, 1.6, 2.5), _within(low, high, -0.6, 0.0, 0.25, 0.5, 0.75, 1.1)
        ),
        natural=natural,
        internal=internal,
    )


weibull = _stretched_exponential(
    "weibull",
    "`error = offset + scale * exp(-(size / width) ** power)`, the stretched exponential (wbl4).",
    "width",
    natural=lambda o, a, s, r: (o, exp(a), exp(s[1] + r), exp(s[0])),
    internal=lambda offset, scale, width, power: (offset, log(scale), (log(power), log(width))),
)

janoschek = _stretched_exponential(
    "janoschek",
    "`error = offset + scale * exp(-rate * size ** power)`, the curves of `weibull` with other parameters.",
    "rate",
    natural=lambda o, a, s, r: (o, exp(a), exp(-exp(s[0]) * (s[1] + r)), exp(s[0])),
    internal=lambda offset, scale, rate, power: (offset, log(scale), (log(power), -log(rate) / power)),
)

exponential = Form(
    "exponential",
    "`error = offset + scale * exp(-size / width)` (exp3).",
    ("offset", "scale", "width"),
    lambda z, r, m: -exp(jnp.minimum(z - m, 30.0)),
    log_size=lambda v, r, m: m + log(jnp.maximum(-v, 0)),
    bounds=lambda low, high: ((low - 10, high + 10),),
    seeds=lambda low, high: _grid(_within(low, high, -0.4, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.4)),
    starts=1,
    natural=lambda o, a, s, r: (o, exp(a), exp(s[0] + r)),
    internal=lambda offset, scale, width: (offset, log(scale), (log(width),)),
)

inverse_logarithm = Form(
    "inverse_logarithm",
    "`error = offset + scale / log(size)`, sizes above 1 (ilog2).",
    ("offset", "scale"),
    lambda z, r: -log(jnp.maximum(z + r, 1e-2)),
    log_size=lambda v, r: exp(-v) - r,
    natural=lambda o, a, s, r: (o, exp(a)),
    internal=lambda offset, scale: (offset, log(scale), ()),
)

vapor_pressure = Form(
    "vapor_pressure",
    "`error = exp(intercept + reciprocal / size + exponent * log(size))`, exponent negative (vap3).",
    ("intercept", "reciprocal", "exponent"),
    lambda z, r, k, b: k * exp(-z) - exp(b) * z,
    offset=False,
    exponent_place=1,
    bounds=lambda low, high: ((-50 * exp(low), 50 * exp(low)), _STEEP),
    seeds=lambda low, high: _grid([f * exp(low) for f in (-1.0, -0.2, 0.0, 0.3, 1.0)], _logs(0.03, 0.1, 0.3, 0.6, 1.2)),
    natural=lambda o, a, s, r: (a + exp(s[1]) * r, s[0] * exp(r), -exp(s[1])),
    internal=lambda intercept, reciprocal, exponent: (0.0, intercept, (reciprocal, log(-exponent))),
)


def _bend(z: jax.Array, middle: jax.Array, log_width: jax.Array) -> jax.Array:
    width = exp(log_width)
    return width * _softplus((z - middle) / width)


_SHARPNESS = (float(np.log(0.02)), float(np.log(5.0)))

broken_power_law = Form(
    "broken_power_law",
    "`error = offset + scale * size ** exponent * (1 + (size / break) ** (1 / width)) ** (change * width)`.\n\n"
    "A smoothly broken power law (Caballero et al., 2023, Eq. (1) with n = 1), decreasing on both sides of the break.",
    ("offset", "scale", "exponent", "change", "break_size", "width"),
    lambda z, r, b, c, m, f: -exp(b) * z - (exp(c) - exp(b)) * _bend(z, m, f),
    bounds=lambda low, high: (_STEEP, _STEEP, (low, high), _SHARPNESS),
    # The direction and position of the bend decide which minimum is reached, so starts differ in both.
    seeds=lambda low, high: [
        (b, c, m, f)
        for b, f, c, m in itertools.product(
            _logs(0.05, 0.3, 1.0), _logs(0.2, 0.8), _logs(0.1, 0.5, 1.5, 4.0), _within(low, high, 0.2, 0.4, 0.6, 0.8)
        )
    ],
    starts=16,
    natural=lambda o, a, s, r: (o, exp(a + exp(s[0]) * r), -exp(s[0]), exp(s[0]) - exp(s[1]), exp(s[2] + r), exp(s[3])),
    internal=lambda offset, scale, exponent, change, break_size, width: (
        offset,
        log(scale),
        (log(-exponent), log(-exponent - change), log(break_size), log(width)),
    ),
)

twice_broken_power_law = Form(
    "twice_broken_power_law",
    "The smoothly broken power law with two breaks (Caballero et al., 2023, Eq. (1) with n = 2).\n\n"
    "It may rise between the breaks, as in double descent.",
    ("offset", "scale", "exponent", "change", "break_size", "width", "change2", "break_size2", "width2"),
    lambda z, r, b, s, c, m, f, n, g: -exp(b) * z - (s - exp(b)) * _bend(z, m, f) - (exp(c) - s) * _bend(z, n, g),
    bounds=lambda low, high: (_STEEP, (-20.0, 20.0), _STEEP, (low, high), _SHARPNESS, (low, high), _SHARPNESS),
    seeds=lambda low, high: [
        (b, s, c, m, f, n, f)
        for b, s, c, (m, n), f in itertools.product(
            _logs(0.1, 0.6),
            (-0.6, 0.1, 1.5),
            _logs(0.2, 1.0),
            itertools.combinations(_within(low, high, 0.15, 0.4, 0.6, 0.85), 2),
            _logs(0.15),
        )
    ],
    starts=6,
    natural=lambda o, a, s, r: (
        *(o, exp(a + exp(s[0]) * r), -exp(s[0])),
        *(exp(s[0]) - s[1], exp(s[3] + r), exp(s[4])),
        *(s[1] - exp(s[2]), exp(s[5] + r), exp(s[6])),
    ),
    internal=lambda offset, scale, exponent, change, break_size, width, change2, break_size2, width2: (
        offset,
        log(scale),
        (
            *(log(-exponent), -exponent - change, log(-exponent - change - change2)),
            *map(log, (break_size, width, break_size2, width2)),
        ),
    ),
)

FORMS: tuple[Form, ...] = (last_value, power_law, power_law_offset, shifted_power_law, mmf, weibull, vapor_pressure)
"""Forms that `forecast` combines by default."""
