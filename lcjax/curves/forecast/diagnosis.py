"""Diagnosis of a learning curve: probabilities that data, the model or label noise limits the present error."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num, Shaped

from lcjax.curves.answer.crossing import HORIZON
from lcjax.curves.floors.error_floor import ErrorFloor, as_floor
from lcjax.curves.forecast.batching import is_traced
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.metrics import ERROR, Metric
from lcjax.formats import format_probability
from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["MULTIPLES", "Diagnosis", "diagnose", "diagnose_draws"]

MULTIPLES = (1.0, 2.0, 10.0, HORIZON)
"""Sizes of the forecast errors of a diagnosis, as multiples of the largest size measured."""
_TEN = 2  # place of ten times the data
_ROUNDING = 1e-6
_CAUSES = ("data", "model", "noise", "undecided")


@record
class Diagnosis:
    """Cause that limits the error at the largest size measured, with the errors that more data would reach.

    The four probabilities add up to 1.

    Attributes:
        data: probability that ten times the data lower the error by `gain` or more, `(*b,)`.
        model: probability that they do not, and that label noise causes at most half of what remains, `(*b,)`.
        noise: probability that they do not, and that label noise causes more than half of what remains, `(*b,)`.
        undecided: probability that they do not, and that the floors do not tell the model from label noise, `(*b,)`.
        noise_low: lower limit of the share of what remains that is label noise, median over draws, `(*b,)`.
        noise_high: upper limit likewise, `(*b,)`; 0 to 1 if neither floor is known.
        size: largest size measured, in training examples, `(*b,)`.
        multiple: multiples of that size: 1, 2, 10 and 1e6, `(m,)`.
        error: forecast of the error at these multiples, median over draws, `(*b, m)`.
        low: lower limit of the forecast, `(*b, m)`.
        high: upper limit, `(*b, m)`.
        level: probability of the interval.
        gain: relative reduction of the error that counts as substantial.
    """

    data: Float[Array, "*b"]
    model: Float[Array, "*b"]
    noise: Float[Array, "*b"]
    undecided: Float[Array, "*b"]
    noise_low: Float[Array, "*b"]
    noise_high: Float[Array, "*b"]
    size: Float[Array, "*b"]
    multiple: Float[Array, " m"]
    error: Float[Array, "*b m"]
    low: Float[Array, "*b m"]
    high: Float[Array, "*b m"]
    level: float = jax.tree.static(default=0.9)
    gain: float = jax.tree.static(default=0.2)

    @property
    def cause(self) -> Shaped[np.ndarray, "*b"] | str:
        """The cause of probability above one half: "data", "model" or "noise"; "undecided" if there is none."""
        likely = np.stack([np.asarray(getattr(self, name)) for name in _CAUSES[:3]], axis=-1) > 0.5
        word = np.where(likely.any(axis=-1), np.asarray(_CAUSES)[np.argmax(likely, axis=-1)], _CAUSES[3])
        return str(word) if word.ndim == 0 else word

    def sentence(self, index: tuple[int, ...] | int = (), *, percent: bool = True, metric: Metric | None = None) -> str:
        """State the forecast at ten times the data and the cause in words.

        Args:
            index: curve of a batch.
            percent: True for an error that is a fraction, False for a loss.
            metric: metric in which to write values; by default, and in percent, the error.

        Raises:
            IndexError: the index does not select one curve.

        Examples:
            >>> draws = np.array([[0.041, 0.036, 0.024, 0.001], [0.041, 0.037, 0.028, 0.009]])
            >>> print(diagnose_draws(1000.0, draws).sentence())
            Ten times the data would lower the error from 4.1 % to about 2.6 % (mean of trainings: 2.4 to
            2.8 %): limited by data (probability more than 99 %).
            >>> from lcjax.curves.metrics import METRICS
            >>> print(diagnose_draws(1000.0, draws).sentence(metric=METRICS["accuracy"]))
            Ten times the data would raise the accuracy from 0.9590 to about 0.9740 (mean of trainings: 0.9722 to
            0.9758): limited by data (probability more than 99 %).
        """
        place = index if isinstance(index, tuple) else (index,)
        if len(place) != np.ndim(self.data):
            raise IndexError(f"An index of {np.ndim(self.data)} numbers selects a curve, got {place}.")
        share = {name: float(np.asarray(getattr(self, name))[place]) for name in _CAUSES}
        if not np.isfinite(share["data"]):
            return "There is no curve to diagnose."

        now, then, low, high = (
            float(np.asarray(values)[(*place, i)])
            for values, i in ((self.error, 0), (self.error, _TEN), (self.low, _TEN), (self.high, _TEN))
        )
        measure = metric or ERROR
        in_percent = percent and measure.name == ERROR.name

        def write(value: float) -> str:
            return f"{100 * value:.2g}" if in_percent else measure.format(value)

        unit = " %" if in_percent else ""
        first, last = (write(measure.from_error(error)) for error in (now, then))
        limits = " to ".join(write(value) for value in measure.interval(low, high))
        change = f"{'raise' if measure.rises else 'lower'} the {measure.title}"
        better = f"would {change} from {first}{unit} to about {last}{unit}"
        same = f"would not {change} of {first}{unit}"
        forecast = better if then < 0.99 * now else same
        return f"Ten times the data {forecast} (mean of trainings: {limits}{unit}): {_conclude(share)}"


def diagnose(
    forecast: Forecast,
    *,
    noise_floor: ErrorFloor | Float[Array, "*b"] | float | None = None,
    model_floor: ErrorFloor | Float[Array, "*b"] | float | None = None,
    gain: float = 0.2,
    level: float = 0.9,
) -> Diagnosis:
    """Find out whether more data, another model or better labels would lower the error at the largest size measured.

    The error at the largest size n is the sum of three parts: label noise (the smallest error that any model can reach,
    because the inputs do not determine the labels), the model's own part (the excess that it keeps with infinitely many
    examples), and the part that more data removes. A draw of the forecast is a whole curve e. The floors are intervals:
    label noise lies in [u, v] and the model's part in [a, b]; without information [0, inf]. As e cannot fall below both
    lower limits, the error at ten times the data is

        r = min(e(n), max(e(10 n), u + a)).

    Each draw counts for one of four events:

    - data: `r <= (1 - gain) e(n)`;
    - otherwise the data leave r, of which the share that is label noise lies in
      `[max(u, h - b) / r, min(v, r - a) / r]` by the two floors, with h the value of r at a million times the data
      instead of ten times. Noise: both limits are above 1/2; model: both are at most 1/2; undecided: one of each.

    A noise floor that was measured too high for a draw (u > r) counts as noise, and contradictory floors as undecided.
    A curve without a plateau that falls so slowly that ten times the data gain less than `gain` is not limited by data
    here: with little label noise, a model that learns faster is needed.

    Args:
        forecast: forecast of one curve or a batch.
        noise_floor: floor that label noise sets, a fraction, `(*b,)`: an exact value, or an interval such as those of
            `floor_from_repeats` and `lcjax.curves.floors.neighbor_noise.neighbor_noise_floor`.
        model_floor: the part of the error that the model keeps beyond label noise with infinitely many examples,
            `(*b,)`, such as `lcjax.scaling.model_floor.model_floor` of networks of several widths.
        gain: relative reduction of the error that counts as substantial, in (0, 1).
        level: probability of the intervals of the errors.

    Returns:
        `Diagnosis`; nan for a curve without sizes.

    Raises:
        ValueError: `gain` or `level` is outside (0, 1).

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(8)
        >>> ahead = lc.forecast(jax.random.key(0), lc.LearningCurve(size, 0.1 + 30 / size))
        >>> diagnose(ahead).cause, diagnose(ahead, noise_floor=0.1).cause, diagnose(ahead, noise_floor=0.0).cause
        ('undecided', 'noise', 'model')
    """
    multiple = np.asarray(MULTIPLES, forecast.deviate.dtype)
    xp = jnp if is_traced(forecast) else np
    size = xp.asarray(forecast.largest)
    draws = forecast.predict_draws(size[..., None] * multiple)
    return diagnose_draws(size, draws, noise_floor=noise_floor, model_floor=model_floor, gain=gain, level=level)


def diagnose_draws(
    size: Num[Array, "*b"] | float,
    draws: Float[Array, "*b k 4"],
    *,
    noise_floor: ErrorFloor | Float[Array, "*b"] | float | None = None,
    model_floor: ErrorFloor | Float[Array, "*b"] | float | None = None,
    gain: float = 0.2,
    level: float = 0.9,
) -> Diagnosis:
    """Diagnose a learning curve from joint draws of it, such as bootstrap fits; see `diagnose`.

    Works under `jit` and `vmap`.

    Args:
        size: largest size measured, in training examples, `(*b,)`.
        draws: errors of k equally likely curves at 1, 2, 10 and 1e6 times that size (`MULTIPLES`), `(*b, k, 4)`.
        noise_floor: as in `diagnose`.
        model_floor: as in `diagnose`.
        gain: as in `diagnose`.
        level: as in `diagnose`.

    Raises:
        ValueError: `gain` or `level` is outside (0, 1).

    Examples:
        >>> draws = np.array([[0.10, 0.08, 0.05, 0.01], [0.10, 0.09, 0.09, 0.08]])
        >>> diagnosis = diagnose_draws(1000.0, draws, noise_floor=0.08)
        >>> float(diagnosis.data), float(diagnosis.noise)  # the floor keeps the first curve from falling to 0.05
        (0.5, 0.5)
    """
    for name, value in (("gain", gain), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}.")
    xp = namespace(draws, size) if not is_traced(noise_floor, model_floor) else jnp
    draws = xp.moveaxis(xp.asarray(draws), -1, 0)
    (u, v), (a, b) = (_limits(floor, draws) for floor in (noise_floor, model_floor))
    draws = xp.concatenate([draws[:1], xp.minimum(draws[:1], xp.maximum(draws[1:], u + a))])

    now, remains, plateau = draws[0], draws[_TEN], xp.minimum(draws[_TEN], draws[-1])
    scale = xp.maximum(remains, xp.finfo(remains.dtype).tiny)
    low = xp.clip(xp.maximum(u, plateau - b) / scale, 0, 1)
    high = xp.clip(xp.minimum(v, remains - a) / scale, 0, 1)
    by_data = remains <= (1 - gain) * now * (1 + _ROUNDING)
    present = xp.isfinite(now).all(axis=-1)

    def probability(event: Array) -> Array:
        share: Array = xp.where(present, xp.mean(event, axis=-1, dtype=now.dtype), xp.nan)
        return share

    def over_draws(values: Array, level: float) -> Array:
        quantile: Array = xp.asarray(xp.quantile(values, level, axis=-1))
        return quantile

    median, lower, upper = (
        xp.moveaxis(over_draws(draws, order), 0, -1) for order in (0.5, 0.5 - level / 2, 0.5 + level / 2)
    )
    return Diagnosis(
        data=probability(by_data),
        model=probability(~by_data & (low <= 0.5) & (high <= 0.5)),
        noise=probability(~by_data & (low > 0.5) & (high > 0.5)),
        undecided=probability(~by_data & ((low > 0.5) != (high > 0.5))),
        noise_low=over_draws(low, 0.5),
        noise_high=over_draws(high, 0.5),
        size=xp.asarray(size, now.dtype),
        multiple=xp.asarray(MULTIPLES, now.dtype),
        error=median,
        low=lower,
        high=upper,
        level=level,
        gain=gain,
    )


def _limits(
    floor: ErrorFloor | Num[Array, "*b"] | float | None, draws: Float[Array, "m *b k"]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return the limits of a floor, each `(*b, 1)`; 0 and inf if it is not known."""
    xp = namespace(draws) if not is_traced(floor) else jnp
    known = as_floor(floor) or ErrorFloor(0.0, np.inf)
    low, high = (xp.asarray(limit, draws.dtype)[..., None] for limit in (known.low, known.high))
    return low, high


def _conclude(share: dict[str, float]) -> str:
    """Return the conclusion from the probability of every cause."""
    rest = 1 - share["data"]
    if share["data"] > 0.5:
        return f"limited by data (probability {format_probability(share['data'])})."
    if share["noise"] > 0.5:
        return f"limited by label noise (probability {format_probability(share['noise'])})."
    if share["model"] > 0.5:
        return f"limited by the model (probability {format_probability(share['model'])})."
    if share["undecided"] > 0.5:
        remedy = "Measure a larger model, or the disagreement of labels, to tell the model from label noise."
        return f"not limited by data (probability {format_probability(rest)}). {remedy}"
    listed = ", ".join(f"{name} {format_probability(share[name])}" for name in _CAUSES[:3])
    return f"not decided (probabilities: {listed})."
