"""Partial pooling: forecasts of related curves, such as those of the classes of one data set, inform each other."""

import dataclasses
import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float

from lcjax.curves.forecast.families import FAMILIES, Curve, Family
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.forecast.posterior import SLOPES, evaluate_curves, log_prior_of_slopes
from lcjax.curves.learning_curve import LearningCurve
from lcjax.typing import Array

__all__ = ["POOLING", "Pooling", "average_curve", "pool_forecasts"]

# The fall of a curve from its largest size to four times, and from there to 16 times that size.
_FACTORS = (1.0, 4.0, 16.0)
_SAMPLE = 4096  # curves drawn from the prior
_CENTERS = 64  # draws of the average curve that represent its forecast
_STEPS = 100
_DEGREES = 4.0  # of the prior of falls


@dataclasses.dataclass(frozen=True)
class Pooling:
    """Strength with which curves inform each other, tuned on curves that no benchmark of pooling is scored on.

    Attributes:
        power: power of the likelihoods in the population, below 1, because the curves have common errors; 0 for
            separate forecasts.
        shares: scatter of the curves about the average one that is possible, as shares of the prior's scatter; a priori
            all are equally likely.
        degrees: degrees of freedom of the population, few, so that a curve may be unlike the others.
        width: width of the pooled draws relative to that of separate ones, for which the prior of shapes is wider than
            most curves need.
    """

    power: float = 0.5
    shares: tuple[float, ...] = (0.02, 0.04, 0.08, 0.15, 0.3, 0.6)
    degrees: float = 2.0
    width: float = 0.8


POOLING = Pooling()
"""Default pooling."""


@dataclasses.dataclass(frozen=True)
class _Student:
    """A bivariate Student distribution."""

    center: Float[np.ndarray, " 2"]
    scatter: Float[np.ndarray, "2 2"]
    degrees: float

    def log_density(self, values: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
        """Return the log density, up to a constant that depends on the degrees of freedom."""
        apart = values - self.center
        square = np.einsum("...d,de,...e->...", apart, np.linalg.inv(self.scatter), apart)
        tail = (self.degrees / 2 + 1) * np.log1p(square / self.degrees)
        density: np.ndarray = -0.5 * np.linalg.slogdet(self.scatter)[1] - tail
        return density

    def step(self, values: Float[np.ndarray, "n 2"], weight: Float[np.ndarray, " n"]) -> "_Student":
        """Take a step of expectation and maximization to weighted values."""
        apart = values - self.center
        square = np.einsum("nd,de,ne->n", apart, np.linalg.inv(self.scatter), apart)
        each = weight * (self.degrees + 2) / (self.degrees + square)
        center = each @ values / each.sum()
        apart = values - center
        scatter = (each[:, None] * apart).T @ apart / weight.sum()
        return dataclasses.replace(self, center=center, scatter=scatter)


def pool_forecasts(
    prediction: Forecast, *, families: tuple[Family, ...] = FAMILIES, pooling: Pooling = POOLING
) -> Forecast:
    """Pool the forecasts of a batch of related curves, so that they inform each other (partial pooling).

    Separate forecasts have the same wide prior of shapes. Here the prior is that of a member of a population, as in the
    hierarchical models of Gelman and Hill (2007, chapter 12). With f the falls of log error from the largest size to 4
    times and on to 16 times that size,

        f_c ~ Student(F, s^2 S),    F ~ forecast of the average curve,    s uniform on `pooling.shares`

    where S is the scatter of f under the original prior. The average curve (`average_curve`) has less noise than a
    single one. The shares are weighted by the likelihood of the batch to the power `pooling.power`. Draws are resampled
    by the ratio, to the same power, of this prior to the original one. A curve that its own data determine hardly
    changes; one whose data leave many shapes open takes the shape of the average. Levels are not pooled. Then the
    deviations of the draws from their median are multiplied by `pooling.width`.

    Args:
        prediction: forecast of b curves, `(b,)`, with the same draws each, such as 512.
        families: families of the forecast, if they are not the default ones.
        pooling: how strongly the curves inform each other.

    Returns:
        `Forecast` with as many draws, some of them repeated. The random numbers are always the same, so that the same
        forecasts have the same result.

    Raises:
        ValueError: the forecast is not one of a batch `(b,)`, or has other families.

    Examples:
        >>> import jax, numpy as np
        >>> from lcjax.curves.forecast.forecast import forecast
        >>> from lcjax.curves.learning_curve import LearningCurve
        >>> size = 100.0 * 2.0 ** np.arange(6)
        >>> noise = np.exp(0.1 * np.random.default_rng(0).normal(size=(8, 6)))
        >>> separate = forecast(jax.random.key(0), LearningCurve(size, 2 * size**-0.4 * noise))
        >>> pooled = pool_forecasts(separate)
        >>> ahead, truth = size[-1:] * 16, 2 * (size[-1] * 16) ** -0.4
        >>> errors = [np.abs(np.log(one.predict(ahead) / truth)).mean() for one in (separate, pooled)]
        >>> bool(errors[1] < errors[0])
        True
    """
    if prediction.deviate.ndim != 2:
        raise ValueError(f"Pooling needs a batch of curves, (b,), got the batch {prediction.deviate.shape[:-1]}.")
    if tuple(family.name for family in families) != prediction.families:
        raise ValueError(f"The forecast has the families {', '.join(prediction.families)}: pass families=.")
    if not prediction.deviate.shape[0] > 1 or not np.isfinite(np.asarray(prediction.largest)).all():
        return prediction
    weight = _weigh(*_compare(prediction, families), pooling)
    width: Any = np.asarray(prediction.width) * np.asarray(pooling.width, np.asarray(prediction.width).dtype)
    return dataclasses.replace(_resample(prediction, weight), width=width)


def average_curve(prediction: Forecast) -> LearningCurve:
    """Return the average of the curves of a batch in log error, at sizes relative to the largest one, `(1, s)`.

    The sizes are those of the curve that has the most; other curves are interpolated linearly between their own sizes.
    Where a curve does not reach, the average is that of the additive model of curves and sizes, by least squares.

    Args:
        prediction: forecast of b curves, `(b,)`.

    Examples:
        >>> import jax, numpy as np
        >>> from lcjax.curves.forecast.forecast import forecast
        >>> size = np.array([[100.0, 200.0, 400.0], [150.0, 300.0, 600.0]])
        >>> ahead = forecast(jax.random.key(0), LearningCurve(size, np.array([[0.4, 0.2, 0.1], [0.1, 0.1, 0.1]])))
        >>> [round(float(error), 3) for error in average_curve(ahead).error[0]]
        [0.2, 0.141, 0.1]
    """
    observed = prediction.observed
    present = np.asarray(observed.present)
    time, log_error = (np.asarray(values, float) for values in (observed.time, observed.log_error))
    count, span = present.sum(axis=1), np.asarray(observed.span, float)
    chosen = np.lexsort((span, count))[-1]
    grid = time[chosen, present[chosen]]
    rows = len(time)
    table = np.stack([np.interp(grid, time[i, present[i]], log_error[i, present[i]], left=np.nan) for i in range(rows)])
    row, column = np.nonzero(~np.isnan(table))
    design = np.zeros((len(row), rows + len(grid)))
    place = np.arange(len(row))
    design[place, row] = design[place, rows + column] = 1
    solved = np.linalg.lstsq(design, table[row, column])[0][rows:]
    # Rounded, so that the order of the curves does not change the random forecast of their average.
    average = np.round(solved - solved[-1] + np.asarray(observed.last, float).mean(), 5)
    largest = np.exp(np.round(np.log(np.asarray(prediction.largest, float)).mean(), 5))
    return LearningCurve((largest * np.exp(grid))[None], np.exp(average)[None])


def _compare(
    prediction: Forecast, families: tuple[Family, ...]
) -> tuple[Float[np.ndarray, "b k 2"], Float[np.ndarray, "j 2"], _Student]:
    """Return the falls of the draws, draws of the fall of the average curve, and the prior of falls."""
    bound, draws = np.asarray(prediction.bound, float), prediction.deviate.shape[1]
    average = forecast(
        jax.random.key(0),
        average_curve(prediction),
        families=families,
        noise=prediction.noise,
        limits=prediction.limits,
        chance=float(np.exp(np.log(bound).mean())) if np.isfinite(bound).all() else None,
        draws=draws,
    )
    span = float(np.median(np.asarray(prediction.observed.span)))
    prior = _prior_of_falls(tuple(family.curve for family in families), families, span)
    return _falls(prediction), _falls(average)[0, :: max(1, draws // _CENTERS)], prior


def _falls(prediction: Forecast) -> Float[np.ndarray, "b k 2"]:
    """Return the falls of every draw beyond the data."""
    size = np.asarray(prediction.largest)[:, None] * np.array(_FACTORS)
    return np.diff(np.asarray(prediction.evaluate(operator.attrgetter("mean"), size), float), axis=-1)


def _prior_of_falls(curves: tuple[Curve, ...], families: tuple[Family, ...], span: float) -> _Student:
    """Return the distribution of the falls under the prior of the families."""
    rng = np.random.default_rng(0)
    log_weight = np.array([float(np.asarray(family.log_weight)) for family in families])
    share = np.exp(log_weight - log_weight.max())
    index = rng.choice(len(families), _SAMPLE, p=share / share.sum())
    widest = max(family.dimension for family in families)
    unit = rng.normal(size=(_SAMPLE, widest))
    location, scale = (
        np.stack([np.pad(np.asarray(getattr(f, name), float), (0, widest - f.dimension)) for f in families])
        for name in ("location", "scale")
    )
    parameters = location[index] + scale[index] * unit
    values, prior = _evaluate_prior(curves, jnp.asarray(index), jnp.asarray(parameters), jnp.asarray(span))
    fall, log_prior = np.diff(np.asarray(values, float), axis=1), np.asarray(prior, float)
    kept = np.isfinite(fall).all(axis=1)
    chance = np.exp(log_prior[kept])
    found = _Student(np.zeros(2), np.eye(2), _DEGREES)
    for _ in range(_STEPS):
        found = found.step(fall[kept], chance / chance.sum())
    return found


@functools.partial(jax.jit, static_argnums=0)
def _evaluate_prior(
    curves: tuple[Curve, ...], index: jax.Array, parameters: jax.Array, span: jax.Array
) -> tuple[jax.Array, jax.Array]:
    time = jnp.log(jnp.asarray(_FACTORS, parameters.dtype))
    values = evaluate_curves(curves, index, parameters, time, span)
    return values, log_prior_of_slopes(curves, index, parameters, span, SLOPES)


def _weigh(
    fall: Float[np.ndarray, "b k 2"], centers: Float[np.ndarray, "j 2"], prior: _Student, pooling: Pooling
) -> Float[np.ndarray, "b k"]:
    """Return the weights of the draws of every curve as members of the population, which add up to 1 for each curve.

    Args:
        fall: falls of the draws.
        centers: draws of the population's center.
        prior: distribution under which the curves were drawn.
        pooling: settings of the population.
    """
    ratios = []
    for share in pooling.shares:
        # The population is symmetric in value and center: the log density of one about the other.
        population = _Student(np.zeros(2), share**2 * prior.scatter, pooling.degrees)
        each = population.log_density(fall[:, :, None] - centers)
        ratios.append(scipy.special.logsumexp(each, axis=2) - prior.log_density(fall))
    ratio = np.stack(ratios, axis=-1)
    evidence = scipy.special.logsumexp(ratio, axis=1).sum(axis=0)
    log_weight = pooling.power * scipy.special.logsumexp(ratio + pooling.power * evidence, axis=-1)
    weight: np.ndarray = scipy.special.softmax(log_weight, axis=1)
    return weight


def _resample(prediction: Forecast, weight: Float[np.ndarray, "b k"]) -> Forecast:
    """Draw again, evenly in proportion to the weights; the order of the draws is scattered."""
    count = weight.shape[1]
    share = np.cumsum(weight, axis=1)
    share /= share[:, -1:]
    place = (np.random.default_rng(0).permutation(count) + 0.5) / count
    index = np.stack([np.searchsorted(row, place) for row in share])

    def take(draws: Array) -> Any:  # as NumPy or JAX arrays, both are draws
        values = np.asarray(draws)
        return np.take_along_axis(values, index.reshape(*index.shape, *(1,) * (values.ndim - 2)), axis=1)

    old = prediction.posterior
    rows = {name: take(getattr(old, name)) for name in ("family", "parameters", "noise", "variance")}
    families = old.weight.shape[-1]
    new = np.stack([np.bincount(row, minlength=families) / count for row in rows["family"]])
    weights: Any = new.astype(np.asarray(old.weight).dtype)
    posterior = dataclasses.replace(old, **rows, weight=weights)
    return dataclasses.replace(prediction, posterior=posterior, deviate=take(prediction.deviate))
