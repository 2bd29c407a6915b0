"""The number of training examples that reaches a target error, with its uncertainty."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from lcjax.formats import are_counts, format_size
from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["SizeForError", "describe_size"]

_MEASURED = ("smallest", "largest", "at_smallest")


@record
class SizeForError:
    """Number of training examples that reaches a target error.

    No field lies below the smallest measured size. Where that size already reaches the target, nothing is known about
    smaller ones, and the size itself stands for "at or below".

    In JSON (`lcjax.records.to_dict`), `value`, `low` and `high` are null where not finite; "status" gives the reason.

    Attributes:
        value: best estimate, `(*b,)`; inf where the target is out of reach, nan where nothing can be said.
        low: lower limit of the interval, `(*b,)`; nan if there is no interval.
        high: upper limit, `(*b,)`; inf where the target may be out of reach.
        level: nominal coverage of the interval; nan if there is none.
        never: probability that no number of examples reaches the target, `(*b,)`; nan where it is not known.
        smallest: smallest measured size, `(*b,)`, or None if it is not known.
        largest: largest measured size, `(*b,)`, or None if it is not known.
        at_smallest: probability that the smallest measured size reaches the target, `(*b,)`, or None.

    Examples:
        >>> import numpy as np
        >>> draws = np.array([700.0, 800.0, 900.0, np.inf])
        >>> measured = {"smallest": np.array(100.0), "largest": np.array(800.0)}
        >>> size = SizeForError.from_draws(np.array(850.0), draws, level=0.5, **measured)
        >>> print(size.low, size.high, size.never, size.status)
        700.0 inf 0.25 beyond
    """

    value: Float[Array, "*b"]
    low: Float[Array, "*b"]
    high: Float[Array, "*b"]
    level: float = jax.tree.static()
    never: Float[Array, "*b"]
    smallest: Float[Array, "*b"] | None = None
    largest: Float[Array, "*b"] | None = None
    at_smallest: Float[Array, "*b"] | None = None

    @classmethod
    def from_draws(
        cls,
        value: Float[Array, "*b"],
        draws: Float[Array, "*b k"],
        level: float,
        *,
        smallest: Float[Array, "*b"] | None = None,
        largest: Float[Array, "*b"] | None = None,
    ) -> "SizeForError":
        """Return an estimate with the central interval of its draws; infinite draws count as "never".

        With `smallest`, draws at or below the smallest size count as that size.

        Args:
            value: best estimate.
            draws: `k` equally likely sizes; the limits of the interval are among them.
            level: nominal coverage of the interval.
            smallest: smallest measured size, or None.
            largest: largest measured size, or None.

        Examples:
            >>> import jax.numpy as jnp
            >>> float(SizeForError.from_draws(jnp.array(3.0), jnp.arange(1.0, 6.0), level=0.9).high)
            5.0
        """
        xp = namespace(draws)
        at_smallest = None
        if smallest is not None:
            smallest = xp.asarray(smallest)
            limit = smallest[..., None]
            is_smallest = draws <= limit * (1 + 1e-5)
            at_smallest = xp.asarray(xp.mean(is_smallest, axis=-1, dtype=draws.dtype))
            draws = xp.where(is_smallest, limit, draws)
            value = xp.asarray(xp.where(value <= smallest * (1 + 1e-5), smallest, value))
        low = xp.asarray(xp.quantile(draws, 0.5 - level / 2, axis=-1, method="lower"))
        high = xp.asarray(xp.quantile(draws, 0.5 + level / 2, axis=-1, method="higher"))
        never = xp.asarray(xp.mean(xp.isinf(draws), axis=-1, dtype=draws.dtype))
        return cls(value, low, high, level, never, smallest, largest, at_smallest)

    @classmethod
    def without_interval(cls, value: Float[Array, "*b"]) -> "SizeForError":
        """Return an estimate without an interval.

        Examples:
            >>> import jax.numpy as jnp
            >>> float(SizeForError.without_interval(jnp.array(3.0)).low)
            nan
        """
        unknown = jnp.full_like(value, jnp.nan)
        return cls(value, unknown, unknown, math.nan, unknown)

    @property
    def status(self) -> Shaped[np.ndarray, "*b"] | str:
        """Status of `value`.

        "at_or_below_smallest" if the smallest measured size reaches the target, "within" if a size in the measured
        range does, "beyond" if only a larger one does, "unreachable" if none does, and "unknown" for nan. Without a
        measured range, a finite value is "reachable".
        """
        value = np.asarray(self.value)
        word = np.where(np.isinf(value), "unreachable", np.where(np.isnan(value), "unknown", "reachable"))
        finite = np.isfinite(value)
        if self.largest is not None:
            inside = value <= np.asarray(self.largest) * (1 + 1e-5)
            word = np.where(finite, np.where(inside, "within", "beyond"), word)
        if self.smallest is not None:
            word = np.where(finite & (value <= np.asarray(self.smallest) * (1 + 1e-5)), "at_or_below_smallest", word)
        return str(word) if word.ndim == 0 else word

    @property
    def is_count(self) -> bool:
        """Return True if the smallest and largest measured sizes are known and whole, so that sizes are counts."""
        if self.smallest is None or self.largest is None:
            return False
        return are_counts([*np.ravel(np.asarray(self.smallest)), *np.ravel(np.asarray(self.largest))])

    def headline(self) -> str:
        """Return the answer in words, for notebooks; nothing for a batch.

        Examples:
            >>> SizeForError.without_interval(np.array(float("nan"))).headline()
            'unknown'
        """
        return describe_size(self, "examples") if np.ndim(self.value) == 0 else ""

    def json_fields(self) -> dict[str, Shaped[Array, "..."] | float | str]:
        """Return the entries for `to_dict`: the fields, with nan (null in JSON) for infinity, and the status."""
        numbers = {name: np.asarray(getattr(self, name)) for name in ("value", "low", "high")}
        finite = {name: np.where(np.isinf(number), np.nan, number) for name, number in numbers.items()}
        known = {name: getattr(self, name) for name in _MEASURED if getattr(self, name) is not None}
        return {**finite, "level": self.level, "never": self.never, "status": self.status, **known}

    @staticmethod
    def fields_from_json(fields: Mapping[str, object]) -> dict[str, object]:
        """Return the fields for `from_dict`, restoring the infinities that JSON writes as null.

        A null limit is infinite if there is a level and the status is not "unknown".
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
        known = {name: number(name).tolist() for name in _MEASURED if fields.get(name) is not None}
        return {**restored, **known, "level": level}


def describe_size(answer: SizeForError, unit: str) -> str:
    """Return the size for a target with its interval in words.

    Args:
        answer: the size, of one curve.
        unit: what a size counts, plural.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> draws, measured = np.array([850.0, 900.0, 950.0]), {"smallest": np.array(100.0), "largest": np.array(800.0)}
        >>> size = lc.SizeForError.from_draws(np.array(900.0), draws, 0.9, **measured)
        >>> describe_size(size, "examples")
        '900 examples (90 % interval 850 to 950), beyond the largest size measured, 800'
    """
    status, percent = str(answer.status), f"{100 * answer.level:g} % interval"
    whole = answer.is_count
    smallest, largest = (None if x is None else format_size(x) for x in (answer.smallest, answer.largest))
    low, high = (format_size(limit, whole=whole) for limit in (answer.low, answer.high))
    if smallest is not None and float(answer.low) <= float(_known(answer.smallest)) * (1 + 1e-5):
        low = f"at or below {smallest}"
    if status == "at_or_below_smallest":
        text = f"at or below {smallest} {unit}, the smallest size measured"
        return text if high == smallest else f"{text} ({percent} up to {high})"
    if status == "unreachable":
        if low == "never":
            return "out of reach at any size, according to the model"
        return f"out of reach according to the model; if at all, at {low} {unit} or more ({percent})"
    if status == "unknown":
        return "unknown"
    interval = f"{low} or more" if high == "never" else f"{low} to {high}"
    beyond = f", beyond the largest size measured, {largest}" if status == "beyond" and largest else ""
    return f"{format_size(answer.value, whole=whole)} {unit} ({percent} {interval}){beyond}"


def _known(value: Any) -> Any:
    assert value is not None
    return value
