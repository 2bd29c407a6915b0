"""Numbers of options: decimal ASCII digits within a range, alone or in lists."""

import dataclasses
import math
import re
from typing import Any

import typer

__all__ = ["LARGEST", "OptionError", "Range", "parse_list", "parse_sizes"]

LARGEST = 2**31 - 1  # of integers without a limit of their own
_INTEGER = re.compile("[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?([kKmM])")
_ZEROS = {"k": 3, "m": 6}


class OptionError(ValueError):
    """An option that cannot be parsed."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Range of the integers or finite numbers that an option accepts.

    Attributes:
        kind: `int` or `float`.
        low: lower limit.
        high: upper limit; by default `LARGEST` for integers.
        open_low: the lower limit is excluded.
        open_high: the upper limit is excluded.

    Examples:
        >>> rates = Range(float, 0, open_low=True)
        >>> rates.parse("1e-3"), rates.describe()
        (0.001, 'a number above 0')
        >>> Range(int, 1).parse("\u0661")
        Traceback (most recent call last):
        ValueError: expected an integer from 1 to 2147483647, got '\u0661'.
    """

    kind: type[Any]
    low: float | int = -math.inf
    high: float | int = math.inf
    open_low: bool = False
    open_high: bool = False

    def __post_init__(self) -> None:
        if self.kind is int and self.high == math.inf:
            object.__setattr__(self, "high", LARGEST)

    def parse(self, text: str) -> Any:
        """Parse a number.

        Raises:
            ValueError: the text is not a number, or the number is outside the range.
        """
        if (_INTEGER if self.kind is int else _NUMBER).fullmatch(text):
            value = self.kind(text)
            above = self.low < value if self.open_low else self.low <= value
            below = value < self.high if self.open_high else value <= self.high
            if above and below and math.isfinite(value):
                return value
        raise ValueError(f"expected {self.describe()}, got {text[:80]!r}.")

    def parse_option(self, value: Any) -> Any:
        """Parse an option's text, or return its default; `typer` names the option in errors."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def describe(self) -> str:
        """Return the range in words."""
        noun = "an integer" if self.kind is int else "a number"
        if -math.inf < self.low and self.high < math.inf and not (self.open_low or self.open_high):
            return f"{noun} from {self.low} to {self.high}"
        limits = []
        if self.low > -math.inf:
            limits.append(f"{'above' if self.open_low else 'of at least'} {self.low}")
        if self.high < math.inf:
            limits.append(f"{'below' if self.open_high else 'of at most' if not limits else 'at most'} {self.high}")
        return " ".join([noun, " and ".join(limits)]) if limits else noun

    def __str__(self) -> str:
        name, low, high = self.kind.__name__, "<" if self.open_low else "<=", "<" if self.open_high else "<="
        if self.high in (math.inf, LARGEST):
            return f"<{name}>" if self.low == -math.inf else f"<{name}{low.replace('<', '>')}{self.low}>"
        return f"<{self.low}{low}{name}{high}{self.high:g}>"


def parse_list(option: str, text: str, numbers: Range) -> tuple[Any, ...]:
    """Parse a comma-separated list of numbers.

    Raises:
        OptionError: a part is not in the range.

    Examples:
        >>> parse_list("--ridge", "0,1e-3", Range(float, 0)), parse_list("--layers", "1,2", Range(int, 1))
        ((0.0, 0.001), (1, 2))
    """
    try:
        return tuple(numbers.parse(part) for part in text.split(","))
    except ValueError as error:
        reason = f"{str(error).removesuffix('.')} in the list {text[:80]!r}"
        raise OptionError(f"Invalid value for {option!r}: {reason}.") from None


def parse_sizes(option: str, text: str, numbers: Range) -> tuple[int, ...]:
    """Parse a comma-separated list of whole numbers, in which 2k and 1.5M are thousands and millions, as in files.

    Raises:
        OptionError: a part is not a whole number in the range.

    Examples:
        >>> parse_sizes("--sizes", "500,1k,2.5k,1M", Range(int, 1))
        (500, 1000, 2500, 1000000)
    """
    return parse_list(option, ",".join(map(_expand, text.split(","))), numbers)


def _expand(text: str) -> str:
    """Return a whole number such as 2k in digits; other texts as they are."""
    match = _THOUSANDS.fullmatch(text)
    if match is None or len(decimals := (match[2] or "").rstrip("0")) > (zeros := _ZEROS[match[3].lower()]):
        return text
    return match[1] + decimals.ljust(zeros, "0")
