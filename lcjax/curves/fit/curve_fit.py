"""The result of a fit: a form, its parameters for each curve, diagnostics, and predictions."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.fit.objective import unpack
from lcjax.curves.forms import Form, power_law_offset
from lcjax.curves.intervals import central_interval
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["CurveFit", "FitFlags"]


@record
class FitFlags:
    """Diagnostics of a fit, each of shape `(*b,)`.

    Attributes:
        at_bound: a parameter lies at its bound, for instance an offset of 0 or of the smallest error.
        ill_conditioned: a parameter or a combination of parameters is not identifiable from the curve.
        too_few_sizes: there are no more distinct sizes than parameters, so that the quality of the fit is unknown.
        starts_disagree: two optima agree within 1 % in the sum of squares but differ by more than 5 % at 4 times the
            largest size; forms with one shape parameter have one start, the best point of a line.
        not_monotone: the error rises by more than 5 % and by more than four standard errors of a difference, computed
            from the smaller of the form's noise and the noise about lines through neighbors, which no rise inflates.
        break_suspected: neighboring residuals agree in sign, as when a form misses a bend.
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
    """A form fitted to one curve or to each curve of a batch.

    Attributes:
        coordinates: optimum in the form's internal coordinates, `(*b, p)`.
        reference: logarithm of the size at which `z = 0`, `(*b,)`.
        unit: logarithm of the error that is the internal unit, `(*b,)`.
        residual_sum: weighted sum of squared residuals, `(*b,)`.
        noise: standard deviation of a residual, `(*b,)`; a relative error for the relative loss.
        converged: True where the optimization converged, `(*b,)`.
        flags: diagnostics, a `FitFlags`.
        draws: coordinates of bootstrap fits, `(*b, k, p)`, or None.
        guess: error of guessing, an upper limit of all predictions, `(*b,)` or `()`, or None.
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
        >>> round(float(fit.size_for_error(0.02).value))
        10000
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
        return _natural_parameters(self.form, *self._optimum())

    @property
    def parameter_draws(self) -> dict[str, jax.Array]:
        """Named parameters of the bootstrap fits, each `(*b, k)`."""
        return _natural_parameters(self.form, *self._bootstrap())

    def predict(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Evaluate the fitted error, `(*b, s)`, at sizes `(s,)` for all curves or `(*b, s)`."""
        return self._predict(*self._optimum(), jnp.asarray(size))

    def predict_draws(self, size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Evaluate the error of every bootstrap fit, `(*b, k, s)`, at sizes `(s,)` for all curves or `(*b, s)`.

        Raises:
            ValueError: the fit has no bootstrap draws.
        """
        size = jnp.asarray(size)
        return self._predict(*self._bootstrap(), size[..., None, :] if size.ndim > 1 else size)

    def interval(
        self, size: Num[Array, "..."], level: float = 0.9
    ) -> tuple[Float[jax.Array, "..."], Float[jax.Array, "..."]]:
        """Return the central bootstrap interval of nominal coverage `level`: lower and upper limits, each `(*b, s)`.

        It includes the effect of noise on this form; `forecast` adds the uncertainty of the choice of form. Sizes are
        `(s,)` for all curves or `(*b, s)`.

        Raises:
            ValueError: the fit has no bootstrap draws.
        """
        return central_interval(self.predict_draws(size), level, axis=-2)

    def size_for_error(self, error: Num[Array, "..."] | float, level: float = 0.9) -> SizeForError:
        """Return the number of training examples at which the fit falls to an error, `()` or `(*b,)`.

        The interval, of nominal coverage `level`, needs bootstrap draws.

        Returns:
            `SizeForError`, fields `(*b,)`: inf where the fit never falls to the error; limits nan without draws.
        """
        size = _invert(self.form, *self._optimum(), error)
        if self.draws is None:
            return SizeForError.without_interval(size)
        draws = _invert(self.form, *self._bootstrap(), jnp.asarray(error)[..., None])
        return SizeForError.from_draws(size, draws, level)

    def _optimum(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return coordinates, reference and unit of the fit."""
        return jnp.asarray(self.coordinates), jnp.asarray(self.reference), jnp.asarray(self.unit)

    def _bootstrap(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return coordinates, reference and unit of the bootstrap fits."""
        if self.draws is None:
            raise ValueError("This fit has no bootstrap draws: call fit_curve(..., key=key, draws=200).")
        _, reference, unit = self._optimum()
        return jnp.asarray(self.draws), reference[..., None], unit[..., None]

    def _predict(
        self,
        coordinates: Float[jax.Array, "*b p"],
        reference: Float[jax.Array, "*#b"],
        unit: Float[jax.Array, "*#b"],
        size: Num[jax.Array, "..."],
    ) -> Float[jax.Array, "..."]:
        reference, unit = reference[..., None], unit[..., None]
        offset, log_scale, shape = unpack(self.form, jnp.moveaxis(coordinates[..., None], -2, 0), reference)
        z = jnp.log(size.astype(reference.dtype)) - reference
        error = jnp.exp(self.form.log_error(z, offset, log_scale, shape, reference) + unit)
        if self.guess is None:
            return error
        guess = jnp.asarray(self.guess, error.dtype)
        return jnp.minimum(error, guess.reshape(*guess.shape, *(1,) * (error.ndim - guess.ndim)))


def _natural_parameters(
    form: Form, coordinates: jax.Array, reference: jax.Array, unit: jax.Array
) -> dict[str, jax.Array]:
    offset, log_scale, shape = unpack(form, jnp.moveaxis(coordinates, -1, 0), reference)
    values = form.natural(offset * jnp.exp(unit), log_scale + unit, shape, reference)
    return {name: jnp.asarray(value) for name, value in zip(form.parameters, values, strict=True)}


def _invert(
    form: Form, coordinates: jax.Array, reference: jax.Array, unit: jax.Array, error: Num[Array, "..."] | float
) -> jax.Array:
    """Return the size at which a fit falls to an error."""
    offset, log_scale, shape = unpack(form, jnp.moveaxis(coordinates, -1, 0), reference)
    target = jnp.asarray(error, reference.dtype) * jnp.exp(-unit)
    z = form.log_size(jnp.broadcast_to(target, log_scale.shape), offset, log_scale, shape, reference)
    return jnp.exp(z + reference)
