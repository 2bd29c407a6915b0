"""Partial pooling: forecasts of related curves, such as those of the classes of one data set, inform each other."""

import dataclasses
import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.curves.forecast.families import FAMILIES, Curve, Family
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.forecast.posterior import SLOPES, evaluate_curves, log_prior_of_slopes
from lcjax.typing import Array

__all__ = ["POOLING", "Pooling", "pool_forecasts"]

# The fall of a curve from its largest size to four times, and from there to 16 times that size.
_FACTORS = (1.0, 4.0, 16.0)
_SAMPLE = 4096  # curves drawn from the prior
_STEPS = 100


@dataclasses.dataclass(frozen=True)
class Pooling:
    """Strength with which curves inform each other; tuned on learners of one kind on the even data sets of LCDB.

    Attributes:
        power: power of the ratio of the learned prior to the original one, below 1, because the population is not
            exact; 0 for separate forecasts.
        count: weight of the original prior in the scatter of the population, as an equivalent number of curves.
        share: share of the original prior's scatter that these curves have.
        degrees: degrees of freedom of the population, so that a curve may be unlike the others.
    """

    power: float = 0.25
    count: float = 4.0
    share: float = 0.05
    degrees: float = 4.0


POOLING = Pooling()
"""Default pooling."""


@dataclasses.dataclass(frozen=True)
class _Student:
    """A bivariate Student distribution."""

    center: Float[np.ndarray, " 2"]
    scatter: Float[np.ndarray, "2 2"]
    degrees: float

    def log_density(self, values: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
        """Return the log density, up to a constant."""
        apart = values - self.center
        square = np.einsum("...d,de,...e->...", apart, np.linalg.inv(self.scatter), apart)
        tail = (self.degrees / 2 + 1) * np.log1p(square / self.degrees)
        density: np.ndarray = -0.5 * np.linalg.slogdet(self.scatter)[1] - tail
        return density

    def step(
        self,
        values: Float[np.ndarray, "*n 2"],
        weight: Float[np.ndarray, "*n"],
        prior: Float[np.ndarray, "2 2"],
        count: float,
    ) -> "_Student":
        """Take a step of expectation and maximization to weighted values, with `count` more of scatter `prior`."""
        values, weight = values.reshape(-1, 2), weight.reshape(-1)
        apart = values - self.center
        square = np.einsum("nd,de,ne->n", apart, np.linalg.inv(self.scatter), apart)
        each = weight * (self.degrees + 2) / (self.degrees + square)
        center = each @ values / each.sum()
        apart = values - center
        scatter = ((each[:, None] * apart).T @ apart + count * prior) / (weight.sum() + count)
        return dataclasses.replace(self, center=center, scatter=scatter)


def pool_forecasts(
    prediction: Forecast, *, families: tuple[Family, ...] = FAMILIES, pooling: Pooling = POOLING
) -> Forecast:
    """Pool the forecasts of a batch of related curves, so that they inform each other (partial pooling).

    The forecast of each curve has the same prior of its shape. Here the prior is learned from the batch, as in
    empirical Bayes: the falls of log error from the largest size to 4 times and on to 16 times that size have a
    Student distribution among the curves, with unknown center and scatter. Draws are resampled by the ratio of this
    prior to the one under which they were drawn. A curve that its own data determine hardly changes; one whose
    data leave many shapes open takes the shape of the others. Levels are not pooled.

    Args:
        prediction: forecast of b curves, `(b,)`, with the same draws each, such as 512.
        families: families of the forecast, if they are not the default ones.
        pooling: how strongly the curves inform each other.

    Returns:
        `Forecast` with as many draws, some of them repeated.

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
    largest = np.asarray(prediction.largest)
    if not prediction.deviate.shape[0] > 1 or not np.isfinite(largest).all():
        return prediction
    center = np.asarray(prediction.evaluate(operator.attrgetter("mean"), largest[:, None] * np.array(_FACTORS)), float)
    fall = np.diff(center, axis=-1)
    span = float(np.median(np.asarray(prediction.observed.span)))
    curves = tuple(family.curve for family in families)
    weight = _weigh(fall, _prior_of_falls(curves, families, span, pooling), pooling)
    return _resample(prediction, weight)


def _prior_of_falls(curves: tuple[Curve, ...], families: tuple[Family, ...], span: float, pooling: Pooling) -> _Student:
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
    found = _Student(np.zeros(2), np.eye(2), pooling.degrees)
    for _ in range(_STEPS):
        found = found.step(fall[kept], chance / chance.sum(), np.eye(2), 0.0)
    return found


@functools.partial(jax.jit, static_argnums=0)
def _evaluate_prior(
    curves: tuple[Curve, ...], index: jax.Array, parameters: jax.Array, span: jax.Array
) -> tuple[jax.Array, jax.Array]:
    time = jnp.log(jnp.asarray(_FACTORS, parameters.dtype))
    values = evaluate_curves(curves, index, parameters, time, span)
    return values, log_prior_of_slopes(curves, index, parameters, span, SLOPES)


def _weigh(fall: Float[np.ndarray, "b k 2"], prior: _Student, pooling: Pooling) -> Float[np.ndarray, "b k"]:
    """Return the weights of the draws of every curve under the population that is learned from all of them."""
    drawn = prior.log_density(fall)
    weight = np.full(fall.shape[:2], 1.0 / fall.shape[1])
    population = _Student(fall.mean(axis=(0, 1)), prior.scatter, pooling.degrees)
    for _ in range(_STEPS):
        population = population.step(fall, weight, prior.scatter * pooling.share, pooling.count)
        weight = np.exp(pooling.power * (population.log_density(fall) - drawn))
        weight /= weight.sum(axis=1, keepdims=True)
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
