"""The record of a fit: a form, its parameters for each curve, what is doubtful about them, and predictions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.curves.fit.objective import unpack
from lcjax.curves.forms import Form, power_law_offset
from lcjax.records import record

__all__ = ["CurveFit", "FitFlags"]

Array = jax.Array | np.ndarray


@record
class FitFlags:
    """What is doubtful about a fit, each `(*b,)`.

    Attributes:
        at_bound: a parameter lies at its bound: an offset of 0 or at the smallest error, for instance.
        ill_conditioned: some parameter or combination of parameters is not determined by the curve.
        too_few_sizes: not more distinct sizes than parameters, so nothing is left to judge the fit by.
        starts_disagree: two starts ended within 1 % in the sum of squares, but more than 5 % apart at
            4 x the largest size; forms of one shape parameter have one start, the best of a line.
        not_monotone: the error rises by more than 5 % and four standard errors of a difference, with the smaller of
            the form's noise and that about the lines through neighbours, which no rise inflates.
        break_suspected: neighbouring residuals agree in sign, as with a form that misses a bend.
        changed: zero errors were raised to a floor, or negative ones left out.
    """

    at_bound: Bool[Array, "*b"]
    ill_conditioned: Bool[Array, "*b"]
    too_few_sizes: Bool[Array, "*b"]
    starts_disagree: Bool[Array, "*b"]
    not_monotone: Bool[Array, "*b"]
    break_suspected: Bool[Array, "*b"]
    changed: Bool[Array, "*b"]


@record
class CurveFit:
    """A form fitted to one curve or to each of a batch.

    Attributes:
        coordinates: the fit in the form's internal coordinates, `(*b, p)`.
        reference: logarithm of the size at which `z = 0`, `(*b,)`.
        unit: logarithm of the error that counts as 1 inside, `(*b,)`.
        residual_sum: weighted sum of squared residuals, `(*b,)`.
        noise: standard deviation of a residual, `(*b,)`; for the relative loss a relative error.
        converged: `(*b,)`.
        flags: what is doubtful, a `FitFlags`.
        draws: coordinates of bootstrap fits, `(*b, k, p)`, or `None`.
        guess: error of guessing, an upper limit of every prediction, `(*b,)` or `()`, or `None`.
        form: the form.

    Examples:
        >>> import jax.numpy as jnp
        >>> from lcjax.curves.fit.fit_curve import fit_curve
        >>> from lcjax.curves.forms import power_law
        >>> from lcjax.curves.learning_curve import LearningCurve
        >>> size = jnp.array([100.0, 200.0, 400.0, 800.0, 1600.0])
        >>> fit = fit_curve(LearningCurve(size, 2.0 * size**-0.5), power_law)
        >>> round(float(fit.parameters["exponent"]), 3), round(float(fit.predict(jnp.array([1e4]))[0]), 3)
        (-0.5, 0.02)
    """

    coordinates: Float[Array, "*b p"]
    reference: Float[Array, "*b"]
    unit: Float[Array, "*b"]
    residual_sum: Float[Array, "*b"]
    noise: Float[Array, "*b"]
    converged: Bool[Array, "*b"]
    flags: FitFlags
    draws: Float[Array, "*b k p"] | None = None
    guess: Float[Array, "..."] | None = None
    form: Form = jax.tree.static(default=power_law_offset)

    @property
    def parameters(self) -> dict[str, jax.Array]:
        """Named parameters in the units of the data, each `(*b,)`."""
        return self._natural(self.coordinates, self.reference, self.unit)

    @property
    def parameter_draws(self) -> dict[str, jax.Array]:
        """Named parameters of the bootstrap fits, each `(*b, k)`."""
        draws, reference, unit = self._drawn()
        return self._natural(draws, reference, unit)

    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Fitted error, `(*b, s)`.

        Args:
            size: training examples, `(s,)` for all curves or `(*b, s)`.
        """
        return self._errors(self.coordinates, self.reference, self.unit, size)

    def predict_draws(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Error of every bootstrap fit, `(*b, k, s)`; `size` is `(s,)` or `(*b, s)`."""
        draws, reference, unit = self._drawn()
        size = jnp.asarray(size)
        return self._errors(draws, reference, unit, size[..., None, :] if size.ndim > 1 else size)

    def interval(self, size: Num[Array, "..."], level: float = 0.9) -> tuple[jax.Array, jax.Array]:
        """Central interval of the fitted curve at `level`, from the bootstrap: low and high, each `(*b, s)`.

        It holds what noise does to this form; `forecast` adds what the choice of the form does.
        """
        low, high = jnp.quantile(self.predict_draws(size), jnp.array([0.5 - level / 2, 0.5 + level / 2]), axis=-2)
        return low, high

    def size_for_error(self, error: Num[Array, "..."] | float) -> Float[jax.Array, "..."]:
        """Training examples at which the fit falls to `error` (`()` or `(*b,)`); inf where it never does."""
        return self._sizes(self.coordinates, self.reference, self.unit, error)

    def size_for_error_draws(self, error: Num[Array, "..."] | float) -> Float[jax.Array, "..."]:
        """`size_for_error` of every bootstrap fit, `(*b, k)`."""
        draws, reference, unit = self._drawn()
        return self._sizes(draws, reference, unit, jnp.asarray(error)[..., None])

    def _drawn(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        if self.draws is None:
            raise ValueError("This fit has no bootstrap draws: call fit_curve(..., key=key, draws=200).")
        reference, unit = jnp.asarray(self.reference)[..., None], jnp.asarray(self.unit)[..., None]
        return jnp.asarray(self.draws), reference, unit

    def _natural(self, coordinates: Array, reference: Array, unit: Array) -> dict[str, jax.Array]:
        offset, log_scale, shape = unpack(self.form, tuple(jnp.moveaxis(jnp.asarray(coordinates), -1, 0)), reference)
        values = self.form.natural(offset * jnp.exp(unit), log_scale + unit, shape, reference)
        return dict(zip(self.form.parameters, values, strict=True))

    def _errors(self, coordinates: Array, reference: Array, unit: Array, size: Num[Array, "..."]) -> jax.Array:
        columns = tuple(jnp.moveaxis(jnp.asarray(coordinates)[..., None], -2, 0))
        reference, unit = jnp.asarray(reference)[..., None], jnp.asarray(unit)[..., None]
        offset, log_scale, shape = unpack(self.form, columns, reference)
        z = jnp.log(jnp.asarray(size, reference.dtype)) - reference
        error = jnp.exp(self.form.log_error(z, offset, log_scale, shape, reference) + unit)
        if self.guess is None:
            return error
        guess = jnp.asarray(self.guess, error.dtype)
        return jnp.minimum(
            error, guess.reshape(guess.shape + (1,) * (error.ndim - guess.ndim)) if guess.ndim else guess
        )

    def _sizes(self, coordinates: Array, reference: Array, unit: Array, error: Any) -> jax.Array:
        offset, log_scale, shape = unpack(self.form, tuple(jnp.moveaxis(jnp.asarray(coordinates), -1, 0)), reference)
        inside = jnp.asarray(error, jnp.asarray(reference).dtype) * jnp.exp(-unit)
        z = self.form.log_size(jnp.broadcast_to(inside, log_scale.shape), offset, log_scale, shape, reference)
        return jnp.exp(z + reference)
