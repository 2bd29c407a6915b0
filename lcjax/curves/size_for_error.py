"""The number of training examples that reaches a target error, with its uncertainty."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num, Shaped

from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["SizeForError", "first_crossing"]


HORIZON = 1e6
"""Largest size up to which forecasts search for a target, relative to the largest size measured."""


@record
class SizeForError:
    """Number of training examples that reaches a target error.

    In JSON (`lcjax.records.to_dict`), `value`, `low` and `high` are null where not finite; "status" gives the reason.

    Attributes:
        value: best estimate, `(*b,)`; inf where the target is out of reach, nan where nothing can be said.
        low: lower limit of the interval, `(*b,)`; nan if there is no interval.
        high: upper limit, `(*b,)`; inf where the target may be out of reach.
        level: nominal coverage of the interval; nan if there is none.
        never: probability that no number of examples reaches the target, `(*b,)`; nan where it is not known.
        at_smallest: probability that the smallest size measured reaches it, `(*b,)`; `value` and `low` are that size
            where this probability decides them. None if it is not known.

    Examples:
        >>> import numpy as np
        >>> size = SizeForError.from_draws(np.array(850.0), np.array([700.0, 800.0, 900.0, np.inf]), level=0.5)
        >>> print(size.low, size.high, size.never, size.status)
        700.0 inf 0.25 reachable
    """

    value: Float[Array, "*b"]
    low: Float[Array, "*b"]
    high: Float[Array, "*b"]
    level: float = jax.tree.static()
    never: Float[Array, "*b"]
    at_smallest: Float[Array, "*b"] | None = None

    @classmethod
    def from_draws(cls, value: Float[Array, "*b"], draws: Float[Array, "*b k"], level: float) -> "SizeForError":
        """Return an estimate with the central interval of its draws, whose infinite ones count as "never".

        Args:
            value: best estimate.
            draws: `k` equally likely sizes; the limits of the interval are among them.
            level: nominal coverage of the interval.

        Examples:
            >>> import jax.numpy as jnp
            >>> float(SizeForError.from_draws(jnp.array(3.0), jnp.arange(1.0, 6.0), level=0.9).high)
            5.0
        """
        xp = namespace(draws)
        low = xp.asarray(xp.quantile(draws, 0.5 - level / 2, axis=-1, method="lower"))
        high = xp.asarray(xp.quantile(draws, 0.5 + level / 2, axis=-1, method="higher"))
        return cls(value, low, high, level, xp.asarray(xp.mean(xp.isinf(draws), axis=-1, dtype=draws.dtype)))

    @classmethod
    def without_interval(cls, value: Float[Array, "*b"]) -> "SizeForError":
        """Return an estimate of unknown uncertainty.

        Examples:
            >>> import jax.numpy as jnp
            >>> float(SizeForError.without_interval(jnp.array(3.0)).low)
            nan
        """
        unknown = jnp.full_like(value, jnp.nan)
        return cls(value, unknown, unknown, math.nan, unknown)

    def with_smallest(self, probability: Float[Array, "*b"]) -> "SizeForError":
        """Return the same estimate with the probability that the smallest size measured reaches the target."""
        return dataclasses.replace(self, at_smallest=probability)

    @property
    def status(self) -> Shaped[np.ndarray, "*b"] | str:
        """Status of `value`: "reachable" if finite, "unreachable" if infinite, "unknown" if nan."""
        value = np.asarray(self.value)
        words = np.where(np.isfinite(value), "reachable", np.where(np.isinf(value), "unreachable", "unknown"))
        return str(words) if words.ndim == 0 else words

    def json_fields(self) -> dict[str, Shaped[Array, "..."] | float | str]:
        """Return the entries for `to_dict`: the fields, with nan (null in JSON) for infinity, and the status."""
        numbers = {name: np.asarray(getattr(self, name)) for name in ("value", "low", "high")}
        finite = {name: np.where(np.isinf(number), np.nan, number) for name, number in numbers.items()}
        fields = {**finite, "level": self.level, "never": self.never, "status": self.status}
        return fields if self.at_smallest is None else {**fields, "at_smallest": self.at_smallest}

    @staticmethod
    def fields_from_json(fields: Mapping[str, object]) -> dict[str, object]:
        """Return the fields for `from_dict`, restoring the infinities that JSON writes as null.

        A limit is infinite if it is null beside a level and a value that is not unknown.
        """

        def number(name: str) -> Float[np.ndarray, "..."]:
            return np.asarray(fields.get(name), float)

        unknown = np.asarray(fields["status"]) == "unknown"
        level, value = float(number("level")), number("value")
        value = np.where(np.isnan(value) & ~unknown, np.inf, value)
        limits = {name: number(name) for name in ("low", "high")}
        if not math.isnan(level):
            limits = {name: np.where(np.isnan(x) & ~unknown, np.inf, x) for name, x in limits.items()}
        restored = {name: x.tolist() for name, x in {"value": value, **limits, "never": number("never")}.items()}
        known = {} if fields.get("at_smallest") is None else {"at_smallest": number("at_smallest").tolist()}
        return {**restored, **known, "level": level}


def first_crossing(
    size: Float[Array, "*#b s"], error: Float[Array, "*b s"], target: Num[Array, "*#b"]
) -> Float[Array, "*b"]:
    """Return the size at which a curve first falls to a target; inf where it never does.

    Args:
        size: grid of sizes, ascending.
        error: error at the grid points; linear interpolation in logarithms between them.
        target: error to reach.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{first_crossing(jnp.array([10.0, 1000.0]), jnp.array([0.5, 0.005]), jnp.array(0.05)):.3f}")
        100.000
    """
    xp = namespace(error)
    size = xp.broadcast_to(size, error.shape)
    below = error <= target[..., None]
    first = xp.argmax(below, axis=-1)[..., None]
    before = xp.maximum(first - 1, 0)

    def log_at(values: Array, index: Array) -> Array:
        logs: Array = xp.log(xp.take_along_axis(values, index, axis=-1)[..., 0])
        return logs

    e0, e1, x0, x1 = log_at(error, before), log_at(error, first), log_at(size, before), log_at(size, first)
    part = xp.where(e1 < e0, (xp.log(target) - e0) / xp.where(e1 < e0, e1 - e0, 1.0), 1.0)
    crossing = xp.exp(x0 + xp.clip(part, 0.0, 1.0) * (x1 - x0))
    reached: Array = xp.where(xp.any(below, axis=-1), crossing, xp.inf)
    return reached
