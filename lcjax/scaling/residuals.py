"""Losses of residuals: how a fit of a scaling law weighs the runs that are off the law.

A loss is called with the residuals, prediction minus observation, and a factor by which its corner is widened: a fit
begins with a wide corner, where the loss is smooth, and narrows it step by step.
"""

import dataclasses
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

__all__ = ["Asymmetric", "Gaussian", "Huber", "LossValues", "ResidualLoss", "Student"]


class LossValues(NamedTuple):
    """A loss, its derivative, its second derivative, and the curvature of the parabola above it, elementwise."""

    value: jax.Array
    slope: jax.Array
    curvature: jax.Array
    majorant: jax.Array


@runtime_checkable
class ResidualLoss(Protocol):
    """A loss of residuals, hashable: half the square near 0."""

    def __hash__(self) -> int:
        """Return the hash."""
        ...

    @property
    def smooth(self) -> bool:
        """True if the loss needs no widening."""
        ...

    def describe(self) -> str:
        """Return its name, as the end of "sum of ..."."""
        ...

    def __call__(self, residual: jax.Array, widening: jax.Array | float = 1.0) -> LossValues:
        """Evaluate the loss with its corner widened."""
        ...


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Half the square.

    Examples:
        >>> import jax.numpy as jnp
        >>> Gaussian()(jnp.array([2.0])).value.tolist()
        [2.0]
    """

    @property
    def smooth(self) -> bool:
        """True."""
        return True

    def describe(self) -> str:
        """Return its name, as the end of "sum of ..."."""
        return "half squares"

    def __call__(self, residual: jax.Array, widening: jax.Array | float = 1.0) -> LossValues:
        """Evaluate the loss."""
        one = jnp.ones_like(residual)
        return LossValues(0.5 * residual**2, residual, one, one)


@dataclasses.dataclass(frozen=True)
class Huber:
    """Huber's loss: half the square up to the corner, then linear (Hoffmann et al., 2022, Eq. (3), with corner 1e-3).

    Attributes:
        corner: size of a residual from which it counts linearly.

    Examples:
        >>> import jax.numpy as jnp
        >>> Huber(0.5)(jnp.array([0.5, 4.0])).value.tolist()
        [0.125, 1.875]
    """

    corner: float = 1e-3

    @property
    def smooth(self) -> bool:
        """False."""
        return False

    def describe(self) -> str:
        """Return its name, as the end of "sum of ..."."""
        return f"Huber losses (corner {self.corner:g})"

    def __call__(self, residual: jax.Array, widening: jax.Array | float = 1.0) -> LossValues:
        """Evaluate the loss."""
        corner = jnp.asarray(self.corner * widening, residual.dtype)
        size = jnp.abs(residual)
        inside = size <= corner
        value = jnp.where(inside, 0.5 * residual**2, corner * (size - 0.5 * corner))
        slope = jnp.where(inside, residual, corner * jnp.sign(residual))
        majorant = corner / jnp.maximum(size, corner)
        return LossValues(value, slope, inside.astype(residual.dtype), majorant)


@dataclasses.dataclass(frozen=True)
class Student:
    """Negative log density of a Student distribution, in units of `scale**2`.

    Attributes:
        scale: scale of the distribution, such as the noise of a log loss.
        degrees: degrees of freedom.

    Examples:
        >>> import jax.numpy as jnp
        >>> [round(float(x), 3) for x in Student(0.1)(jnp.array([0.01, 1.0])).value]  # half a square is 0.5
        [0.0, 0.076]
    """

    scale: float = 0.01
    degrees: float = 4.0

    @property
    def smooth(self) -> bool:
        """False."""
        return False

    def describe(self) -> str:
        """Return its name, as the end of "sum of ..."."""
        return f"Student losses (scale {self.scale:g}, {self.degrees:g} degrees)"

    def __call__(self, residual: jax.Array, widening: jax.Array | float = 1.0) -> LossValues:
        """Evaluate the loss."""
        square = jnp.asarray((self.scale * widening) ** 2 * (self.degrees + 1), residual.dtype)
        share = residual**2 / square
        value = 0.5 * square * jnp.log1p(share)
        majorant = 1 / (1 + share)
        return LossValues(value, residual * majorant, (1 - share) * majorant**2, majorant)


@dataclasses.dataclass(frozen=True)
class Asymmetric:
    """A loss in which runs above the law count less: a run that is trained badly errs upwards only.

    Attributes:
        above: weight of a run whose loss is above the law, in (0, 1].
        loss: the loss that is weighted.

    Examples:
        >>> import jax.numpy as jnp
        >>> [float(x) for x in Asymmetric(0.5, Gaussian())(jnp.array([-2.0, 2.0])).value]  # prediction - observation
        [1.0, 2.0]
    """

    above: float = 0.25
    loss: "ResidualLoss" = dataclasses.field(default_factory=Huber)

    def __post_init__(self) -> None:
        """Check the weight."""
        if not 0 < self.above <= 1:
            raise ValueError(f"The weight of runs above the law lies in (0, 1], got above={self.above}.")

    @property
    def smooth(self) -> bool:
        """True if the weighted loss is."""
        return self.loss.smooth

    def describe(self) -> str:
        """Return its name, as the end of "sum of ..."."""
        return f"{self.loss.describe()}, times {self.above:g} above the law"

    def __call__(self, residual: jax.Array, widening: jax.Array | float = 1.0) -> LossValues:
        """Evaluate the loss."""
        weight = jnp.where(residual < 0, jnp.asarray(self.above, residual.dtype), 1)
        return LossValues(*(weight * part for part in self.loss(residual, widening)))
