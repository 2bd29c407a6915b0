"""Families of learning curves with proper priors, the components of a forecast.

A family maps latent parameters u to a curve in t = log(size / largest size measured). T is the log range of the sizes,
so that the data lie in [-T, 0]. The parameters have normal priors, u ~ N(location, scale^2). All bounds are enforced by
transformations, so that no offset can be negative.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "FAMILIES",
    "Family",
    "Shape",
    "check_families",
    "double_descent",
    "fine_tuning",
    "flat_curve",
    "nearest_neighbor",
    "one_break",
    "power_law_with_floor",
    "power_law_with_pretraining",
    "sigmoid",
    "stretched_exponential",
    "two_falls",
]


@record
class Shape:
    """A curve with slopes that change smoothly at two breaks, an exponential, and an irreducible share.

        log error = log(f + (1 - f) exp(g(t) - g(0))),
        g(t) = -slope t + width (change_1 S((t - break_1) / width) + change_2 S((t - break_2) / width))
               - exp(power (t - place)),    S(x) = log(1 + exp(x))

    Attributes:
        slope: negated slope far below the breaks.
        changes: changes of the slope at the two breaks.
        breaks: their positions in t.
        width: width of the breaks in t, positive.
        power: power of the size in the exponential; 0 for no exponential.
        place: position in t at which the exponential term exp(power (t - place)) equals one.
        floor: logit of the irreducible share f of the error at the largest size; -inf for none.
    """

    slope: Float[jax.Array, ""] | float = 0.0
    changes: tuple[Float[jax.Array, ""] | float, Float[jax.Array, ""] | float] = (0.0, 0.0)
    breaks: tuple[Float[jax.Array, ""] | float, Float[jax.Array, ""] | float] = (0.0, 0.0)
    width: Float[jax.Array, ""] | float = 1.0
    power: Float[jax.Array, ""] | float = 0.0
    place: Float[jax.Array, ""] | float = 0.0
    floor: Float[jax.Array, ""] | float = -jnp.inf

    def log_error(self, time: Float[jax.Array, " s"]) -> Float[jax.Array, " s"]:
        """Evaluate the curve, 0 at t = 0."""

        def g(t: jax.Array) -> jax.Array:
            bends = sum(
                change * _soft((t - place) / self.width)
                for change, place in zip(self.changes, self.breaks, strict=True)
            )
            decay = jnp.exp(jnp.clip(self.power * (t - self.place), -30.0, 8.0))
            return -self.slope * t + self.width * bends - jnp.where(jnp.asarray(self.power) > 0, decay, 0.0)

        share = jax.nn.sigmoid(self.floor)
        return jnp.log(share + (1 - share) * jnp.exp(jnp.clip(g(time) - g(jnp.zeros_like(time[:1])), -40.0, 25.0)))


Curve = Callable[[Float[jax.Array, " d"], Float[jax.Array, " s"], Float[jax.Array, ""]], Float[jax.Array, " s"] | Shape]


@record
class Family:
    """A family of curves with its prior.

    Attributes:
        name: short name.
        words: description of the shape, to complete "the curve is ...".
        curve: function of latent parameters `(d,)`, values of t `(s,)` and the log range `()`, that returns the log
            error up to a constant, `(s,)`, or a `Shape`; it must work under `vmap`.
        location: prior means of the parameters, `(d,)`.
        scale: prior standard deviations, `(d,)`.
        log_weight: logarithm of the prior weight of the family.
        from_chance: True if the curve levels off at the chance error as the size falls.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> def slow(u, t, span):
        ...     return -jnp.exp(u[0]) * jnp.log1p(jnp.exp(t + span))
        >>> Family("slow", "falling with the logarithm", slow, jnp.zeros(1), jnp.ones(1)).dimension
        1
    """

    name: str = jax.tree.static()
    words: str = jax.tree.static()
    curve: Curve = jax.tree.static()
    location: Float[Array, " d"]
    scale: Float[Array, " d"]
    log_weight: Float[Array, ""] | float = 0.0
    from_chance: bool = jax.tree.static(default=False)

    @property
    def dimension(self) -> int:
        """Return the number of parameters."""
        return int(self.location.shape[0])


def check_families(families: Sequence[Any]) -> None:
    """Raise ValueError unless the families are distinct and their priors have one mean and spread per parameter.

    Examples:
        >>> check_families(FAMILIES)
    """
    for one in families:
        if not isinstance(one, Family):
            raise ValueError(
                "families must be a sequence of Family records, such as those of "
                f"lcjax.curves.forecast.families.FAMILIES, got {one!r} among them."
            )
    names = [family.name for family in families]
    if len(set(names)) < len(names):
        raise ValueError(f"Families need different names, got {', '.join(names)}.")
    for family in families:
        location, scale = np.shape(family.location), np.shape(family.scale)
        if len(location) != 1 or location != scale:
            raise ValueError(
                f"Location and scale of the family {family.name!r} need one shape (d,), got {location} and {scale}."
            )
        if not isinstance(family.scale, jax.core.Tracer) and not np.all(np.asarray(family.scale) > 0):
            raise ValueError(
                f"Scales of the family {family.name!r} must be positive, got {np.asarray(family.scale).tolist()}."
            )


def family(
    name: str,
    words: str,
    curve: Curve,
    prior: Sequence[tuple[float, float]],
    log_weight: float = 0.0,
    *,
    from_chance: bool = False,
) -> Family:
    """Return a family from pairs of prior mean and standard deviation of its parameters."""
    table = np.asarray(prior, np.float32).reshape(-1, 2)
    return Family(name, words, curve, table[:, 0], table[:, 1], log_weight, from_chance)


def _soft(x: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def power_law_with_floor(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return `a + b size^-c` (Hestness et al., 2019): log exponent, floor."""
    return Shape(slope=jnp.exp(u[0]), floor=u[1])


def sigmoid(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return `a + b (1 + (size / m)^(1/w))^(-c w)`, a plateau and then a power law: log c, log w, position, floor.

    It contains the MMF form, w = 1/c, and the shifted power law, w = 1, and has the tails of M4 (Alabdulmohsin et al.,
    2022).
    """
    place = -0.5 * span + (0.4 * span + 0.5) * u[2]
    return Shape(changes=(-jnp.exp(u[0]), 0.0), breaks=(place, 0.0), width=jnp.exp(u[1]), floor=u[3])


def one_break(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return two power laws with a smooth break (Caballero et al., 2023, n = 1): slopes, width, position, floor."""
    before, after = jnp.exp(u[0]), jnp.exp(u[1])
    place = -0.45 * span + (0.25 * span + 0.1) * u[3]
    return Shape(before, (before - after, 0.0), (place, 0.0), jnp.exp(u[2]), floor=u[4])


def stretched_exponential(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return `a + b exp(-(size / m)^p)` (Weibull, Janoschek): log p, position, floor."""
    return Shape(power=jnp.exp(u[0]), place=-0.4 * span + (0.4 * span + 0.5) * u[1], floor=u[2])


def double_descent(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return a fall, a rise and a fall: three log slopes, log width, position, log distance of the breaks, floor."""
    fall, rise, last = jnp.exp(u[0]), jnp.exp(u[1]), jnp.exp(u[2])
    first = -0.5 * span + 0.22 * span * u[4]
    second = first + 0.22 * span * jnp.exp(u[5])
    return Shape(fall, (fall + rise, -rise - last), (first, second), jnp.exp(u[3]), floor=u[6])


def two_falls(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return a plateau, a steep power law and a flatter one.

    Parameters: log of the steep slope, logit of the flatter slope's share of it, log width, position of the first
    break, log distance of the breaks, floor.
    """
    steep = jnp.exp(u[0])
    flat = steep * jax.nn.sigmoid(u[1])
    first = -0.65 * span + 0.25 * span * u[3]
    second = first + 0.35 * span * jnp.exp(u[4])
    return Shape(changes=(-steep, steep - flat), breaks=(first, second), width=jnp.exp(u[2]), floor=u[5])


def flat_curve(u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]) -> Shape:
    """Return a curve that no longer changes."""
    return Shape()


def power_law_with_pretraining(
    u: Float[jax.Array, " d"], t: Float[jax.Array, " s"], span: Float[jax.Array, ""]
) -> Float[jax.Array, " s"]:
    """Return the log of `(B / (D + size^b) + E)^a`, 0 at t = 0: log b, position, log a, floor.

    D is the pre-learned data size (Lin et al., 2024). Far below `size = D^(1/b)`, the position, the curve is flat,
    because pre-training contributes more than the examples; far above, it is a power law of exponent `-a b` down to
    `E^a`. The floor is the logit of `E / (B / (D + size^b) + E)` at the largest size.
    """
    exponent, place = jnp.exp(u[0]), -0.5 * span + (0.4 * span + 0.5) * u[1]
    inner = Shape(changes=(-exponent, 0.0), breaks=(place, 0.0), width=1 / exponent, floor=u[3])
    return jnp.exp(u[2]) * inner.log_error(t)


def fine_tuning(log_weight: float = 1.0) -> Family:
    """Return the family of the rectified scaling law of fine-tuned pre-trained networks, `(B / (D + size^b) + E)^a`.

    Lin et al. (2024) find a flat pre-power phase before the power law and fit a = 1; their law without pre-training has
    D = 0 and a free a. The family contains both. `sigmoid` in `FAMILIES` also contains the law with a = 1, but begins
    at the chance error if that is given, whereas a pre-trained network begins at its error without fine-tuning.

    Args:
        log_weight: logarithm of the prior weight of the family; those of `FAMILIES` are 0.

    Returns:
        A family with four parameters, not among `FAMILIES`. A priori b has median 0.6 and 90 % of its probability
        between 0.23 and 1.6, a range that covers the exponents of losses and of classification errors. The position has
        the prior of `sigmoid`, so that the data may lie in either phase. a is within a factor of two of 1, its value in
        the published law, with probability 90 %.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(8)
        >>> loss = 400 / (200 + size**0.7) + 0.5
        >>> ahead = lc.forecast(
        ...     jax.random.key(0), lc.LearningCurve(size, loss), families=(*FAMILIES, fine_tuning())
        ... )
        >>> ahead.families[-1], bool(ahead.weight[-1] > 0.1)
        ('fine_tuning', True)
    """
    prior = [(-0.5, 0.6), (0.0, 1.0), (0.0, 0.4), _FLOOR]
    words = "a plateau of pre-training and then a power law"
    return family("fine_tuning", words, power_law_with_pretraining, prior, log_weight)


def nearest_neighbor(dimension: float, log_standard_deviation: float = 0.3, log_weight: float = 1.0) -> Family:
    """Return the family of power laws with an exponent near `-1 / dimension`, that of the nearest-neighbor model.

    Args:
        dimension: effective dimension of the features (Bisla et al., 2021, Eq. (7)), positive.
        log_standard_deviation: standard deviation of the logarithm of the exponent.
        log_weight: logarithm of the prior weight of the family; those of `FAMILIES` are 0.

    Examples:
        >>> [round(float(x), 2) for x in nearest_neighbor(8.0).location]
        [-2.08, -1.0]
    """
    prior = [(-float(np.log(dimension)), log_standard_deviation), (-1.0, 1.7)]
    words = f"a power law of exponent near -1/{dimension:g}"
    return family("nearest_neighbor", words, power_law_with_floor, prior, log_weight)


# The floor's prior is wide: at its mean a share of 0.43 (or 0.27) of the last error never goes away, and the central
# 90 % of the prior lie between 0.04 and 0.92 (0.02 and 0.86). Locations and scales of the other parameters follow the
# slopes of LCDB's tuning half; shifting any of them by half its scale changes the error of forecasts by 1 % or less.
_FLOOR, _LOW_FLOOR = (-0.3, 1.7), (-0.5, 1.7)

FAMILIES = (
    family("power_law", "a power law", power_law_with_floor, [(-0.7, 1.0), _FLOOR]),
    family(
        "sigmoid",
        "a plateau and then a power law",
        sigmoid,
        [(0.1, 0.7), (-0.2, 0.7), (0.0, 1.0), _FLOOR],
        from_chance=True,
    ),
    family(
        "one_break",
        "two power laws with a break",
        one_break,
        [(-1.3, 1.0), (-0.3, 0.9), (-0.7, 0.6), (0.0, 1.0), _LOW_FLOOR],
    ),
    family(
        "stretched_exponential",
        "a stretched exponential",
        stretched_exponential,
        [(-0.7, 0.4), (0.0, 1.0), _FLOOR],
        from_chance=True,
    ),
    family(
        "double_descent",
        "double descent: a fall, a rise and a fall",
        double_descent,
        [(-0.9, 0.9), (-0.7, 1.0), (-0.7, 0.9), (-1.4, 0.5), (0.0, 1.0), (0.0, 0.5), _LOW_FLOOR],
    ),
    family(
        "two_falls",
        "a plateau, a steep fall and a flatter one",
        two_falls,
        [(0.2, 0.6), (-0.8, 1.2), (-0.7, 0.5), (0.0, 1.0), (0.0, 0.5), _LOW_FLOOR],
        from_chance=True,
    ),
    family("constant", "flat", flat_curve, [(0.0, 1.0)]),
)
"""Default families of a forecast, all with the same prior weight."""
