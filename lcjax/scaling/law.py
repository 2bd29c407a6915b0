"""A scaling law: a function of named parameters and variables, with bounds, and its coordinates in a fit.

A fit does not work in the parameters. The contribution of each term at the geometric mean of the runs replaces its
scale, `E + A N^a` becoming `E + t (N / mean N)^a`, because scale and exponent are all but collinear; and positive
parameters are replaced by their logarithms. Both are derived here from the function itself, for a user's law as well.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.typing import Scalar

__all__ = ["Law", "LawFunction", "Parameter", "bounds", "evaluate", "natural_values", "terms"]

Values: TypeAlias = Mapping[str, jax.Array | float]
LawFunction: TypeAlias = Callable[[Values, Values], jax.Array]
"""Loss as a function of named parameters and named variables, written with operations that broadcast."""

_LEAST, _MOST = -30.0, 10.0  # bounds of the logarithm of a term, in units of the mean loss
_WIDE = 100.0  # a range of one sign whose ends have at least this ratio is searched by logarithms


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a law.

    Attributes:
        name: key in the mapping that the law's function receives.
        lower: lower bound.
        upper: upper bound.
        linear: True if the law is linear in it (and in all other linear parameters together): it is solved for exactly
            where a fit begins. Its bounds are 0 and inf, or both infinite.
        start: range in which a fit begins; its bounds if None, which are then finite.

    Raises:
        ValueError: the bounds are in the wrong order, or there is no finite range to begin in.

    Examples:
        >>> Parameter("exponent", -2.0, -0.01).start
        (-2.0, -0.01)
    """

    name: str
    lower: float = 0.0
    upper: float = math.inf
    linear: bool = False
    start: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the bounds and complete the range of the starts."""
        if not self.lower < self.upper:
            raise ValueError(f"Parameter {self.name}: the bounds {self.lower} and {self.upper} are not in order.")
        if self.linear:
            if (self.lower, self.upper) not in ((0.0, math.inf), (-math.inf, math.inf)):
                raise ValueError(
                    f"Parameter {self.name} is linear: its bounds are 0 and inf or -inf and inf, got {self.lower} and "
                    f"{self.upper}."
                )
            return
        low, high = self.start or (self.lower, self.upper)
        if not (math.isfinite(low) and math.isfinite(high) and self.lower <= low < high <= self.upper):
            raise ValueError(
                f"Parameter {self.name}: give start=(low, high), finite and within {self.lower} and {self.upper}, "
                f"got {self.start}."
            )
        object.__setattr__(self, "start", (float(low), float(high)))

    @property
    def sign(self) -> int:
        """1 or -1 for a parameter of that sign that is searched by the logarithm of its size, 0 for others."""
        least, most = sorted((abs(self.lower), abs(self.upper)))
        if self.lower < 0 < self.upper or most < _WIDE * least:
            return 0
        return 1 if self.upper > 0 else -1

    def coordinate(self, value: float) -> float:
        """Return the coordinate of a value of a parameter that is not linear."""
        return math.log(max(abs(value), 1e-30)) if self.sign else value

    def value(self, coordinate: Scalar) -> jax.Array:
        """Return the value at a coordinate of a parameter that is not linear."""
        return self.sign * jnp.exp(jnp.asarray(coordinate)) if self.sign else jnp.asarray(coordinate)


@dataclasses.dataclass(frozen=True)
class Law:
    """A scaling law.

    Attributes:
        name: name in messages and tables.
        function: loss as a function of the parameters and variables.
        parameters: its parameters.
        variables: names of the columns that it needs beside the loss, such as "params" and "tokens".
        formula: the law as one line of text.
        residual: how losses are compared unless a fit says otherwise: "log", or "raw" for a loss of any sign.

    Examples:
        >>> import jax.numpy as jnp
        >>> def function(p, x):
        ...     return p["offset"] + p["scale"] * x["tokens"] ** p["exponent"]
        >>> mine = Law(
        ...     "mine",
        ...     function,
        ...     (Parameter("offset", linear=True), Parameter("scale", linear=True), Parameter("exponent", -2, -0.01)),
        ...     ("tokens",),
        ... )
        >>> values = {"offset": 1.0, "scale": 8.0, "exponent": -0.5}
        >>> mine(values, tokens=jnp.array([4.0, 16.0])).tolist()
        [5.0, 3.0]
    """

    name: str
    function: LawFunction
    parameters: tuple[Parameter, ...]
    variables: tuple[str, ...]
    formula: str = ""
    residual: str = "log"

    def __post_init__(self) -> None:
        """Check names."""
        names = self.names
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"Law {self.name} needs parameters of different names, got {', '.join(names) or 'none'}.")
        if self.residual not in ("log", "raw"):
            raise ValueError(f'Law {self.name}: residual is "log" or "raw", got {self.residual!r}.')

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    def __call__(self, values: Values, **variables: Scalar) -> jax.Array:
        """Evaluate the law; parameters and variables broadcast.

        Raises:
            ValueError: a variable is missing or unknown.
        """
        if set(variables) != set(self.variables):
            raise ValueError(
                f"The law {self.name} needs {' and '.join(self.variables)}, got {' and '.join(variables) or 'nothing'}."
            )
        return self.function(values, {name: jnp.asarray(value) for name, value in variables.items()})


def bounds(law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bounds of the coordinates, `(p,)` each.

    Examples:
        >>> law = Law("l", lambda p, x: p["a"] * x["n"], (Parameter("a", linear=True),), ("n",))
        >>> bounds(law)
        (array([-30.]), array([10.]))
    """
    rows = []
    for parameter in law.parameters:
        if parameter.linear:
            rows.append((_LEAST, _MOST) if parameter.lower == 0 else (-math.inf, math.inf))
        else:
            ends = sorted(parameter.coordinate(value) for value in (parameter.lower, parameter.upper))
            infinite = math.isinf(parameter.lower) or math.isinf(parameter.upper)
            rows.append((ends[0], 700.0 if infinite and parameter.sign else ends[1]))
    low, high = np.array(rows, float).T
    return low, high


def terms(
    law: Law, coordinates: tuple[Float[jax.Array, "*b"], ...], variables: Mapping[str, Float[jax.Array, "n #*b"]]
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Return the terms of a law at linear parameters of 1, `(n, *b)` each, and their geometric means, `(*b,)` each.

    Args:
        law: law with linear parameters.
        coordinates: p coordinates; those of linear parameters are not read.
        variables: variables of the runs, the axis of the runs first.
    """
    own = _nonlinear(law, coordinates)
    linear = [parameter.name for parameter in law.parameters if parameter.linear]
    values, means = [], []
    for name in linear:
        value = law.function({**own, **{other: float(other == name) for other in linear}}, variables)
        value = jnp.asarray(value) + jnp.zeros_like(next(iter(variables.values())))
        tiny = jnp.finfo(value.dtype).tiny
        size = jnp.maximum(jnp.abs(value), tiny)
        values.append(value)
        means.append(jnp.exp(jnp.mean(jnp.log(size), axis=0)))
    return values, means


def evaluate(
    law: Law,
    coordinates: tuple[Float[jax.Array, "*b"], ...],
    variables: Mapping[str, Float[jax.Array, "n #*b"]],
    unit: Float[jax.Array, ""] | float,
) -> Float[jax.Array, "n *b"]:
    """Evaluate a law at the runs from which its coordinates are derived.

    Args:
        law: the law.
        coordinates: p coordinates, `(*b,)` each.
        variables: variables of the runs, the axis of the runs first.
        unit: mean size of the losses, the unit of the terms.
    """
    if not any(parameter.linear for parameter in law.parameters):
        return law.function(_nonlinear(law, coordinates), variables)
    values, means = terms(law, coordinates, variables)
    size = _contributions(law, coordinates)
    parts = [t / mean * value for t, mean, value in zip(size, means, values, strict=True)]
    return unit * functools.reduce(operator.add, parts)


def natural_values(
    law: Law,
    coordinates: Float[jax.Array, "p *b"],
    variables: Mapping[str, Float[jax.Array, "n #*b"]],
    unit: Float[jax.Array, ""] | float,
) -> Float[jax.Array, "p *b"]:
    """Return the parameters at coordinates, in the order of the law."""
    u = tuple(coordinates)
    own = _nonlinear(law, u)
    scales: dict[str, jax.Array] = {}
    if len(own) < len(u):
        _, means = terms(law, u, variables)
        linear = [parameter.name for parameter in law.parameters if parameter.linear]
        scales = {name: unit * t / mean for name, t, mean in zip(linear, _contributions(law, u), means, strict=True)}
    return jnp.stack([jnp.broadcast_to((own | scales)[name], u[0].shape) for name in law.names])


def _nonlinear(law: Law, coordinates: tuple[jax.Array, ...]) -> dict[str, jax.Array]:
    pairs = zip(law.parameters, coordinates, strict=True)
    return {parameter.name: parameter.value(u) for parameter, u in pairs if not parameter.linear}


def _contributions(law: Law, coordinates: tuple[jax.Array, ...]) -> list[jax.Array]:
    pairs = zip(law.parameters, coordinates, strict=True)
    return [jnp.exp(u) if parameter.lower == 0 else u for parameter, u in pairs if parameter.linear]
