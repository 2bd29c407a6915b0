"""Numbers as text, for tables, sentences and pages."""

import math
from collections.abc import Iterable
from typing import SupportsFloat

__all__ = ["are_counts", "format_cost", "format_number", "format_percent", "format_probability", "format_size"]


def format_percent(error: SupportsFloat, standard_error: SupportsFloat | None = None) -> str:
    """Format an error in percent, with one decimal from 2 % up and more decimals below; nan is "–".

    Examples:
        >>> format_percent(0.0123, 0.0011), format_percent(float("nan")), format_percent(0.25)
        ('1.23 ± 0.11', '–', '25.0')
    """
    percent = 100 * float(error)
    spread = float("nan") if standard_error is None else 100 * float(standard_error)
    if percent != percent:
        return "–"
    digits = 1 if percent >= 2 else 2 if percent >= 0.1 or percent == 0 else 3
    return f"{percent:.{digits}f}" + ("" if spread != spread else f" ± {spread:.{digits}f}")


def format_number(value: SupportsFloat, spec: str = ".3g") -> str:
    """Format a number; nan is "–", zero has no sign, and digits replace powers of ten from a thousand on.

    Examples:
        >>> format_number(0.0123456), format_number(1234.5, ",.0f"), format_number(float("nan"))
        ('0.0123', '1,234', '–')
        >>> format_number(-0.2, "+.0f"), format_number(0.0, "+.3g"), format_number(-0.2, "+.3g")
        ('0', '0', '-0.2')
        >>> format_number(-1851.2, "+.3g"), format_number(29478.3), format_number(3.2e12)
        ('-1,850', '29,500', '3.2e+12')
    """
    number = float(value)
    if number != number:
        return "–"
    text = format(number, spec)
    if text.strip("+-0.,") == "":
        return text.lstrip("+-")
    if "e+" in text and abs(number) < 1e10:
        return format(float(text), "+,.0f" if "+" in spec else ",.0f")
    return text


def format_cost(value: SupportsFloat) -> str:
    """Format a cost: whole from ten thousand on, with four digits below.

    Examples:
        >>> format_cost(12345.6), format_cost(1488.26), format_cost(0.52)
        ('12,346', '1,488', '0.52')
    """
    number = float(value)
    return f"{number:,.0f}" if number >= 1e4 or number == round(number) else f"{number:,.4g}"


def format_probability(probability: SupportsFloat, least: float = 0.01) -> str:
    """Format a probability from finitely many draws in percent, never as certainty; nan is "–".

    Args:
        probability: the probability.
        least: smallest probability that is given as a number, a power of ten; nearer to 0 or 1, a bound is given.

    Examples:
        >>> format_probability(0.2649), format_probability(0.999), format_probability(0.0)
        ('26 %', 'more than 99 %', 'less than 1 %')
        >>> format_probability(0.2649, 0.001), format_probability(1.0, 0.001), format_probability(float("nan"))
        ('26.5 %', 'more than 99.9 %', '–')
    """
    share = float(probability)
    if share != share:
        return "–"
    if share < least:
        return f"less than {100 * least:g} %"
    if share > 1 - least:
        return f"more than {100 * (1 - least):g} %"
    return f"{100 * share:.{max(0, -2 - math.floor(math.log10(least) + 1e-9))}f} %"


def are_counts(sizes: Iterable[SupportsFloat]) -> bool:
    """Return True if all measured sizes are whole numbers, so that they count something; nan is absent.

    Examples:
        >>> are_counts([100, 200.0]), are_counts([0.5, 1.0]), are_counts([])
        (True, False, False)
    """
    present = [float(size) for size in sizes if float(size) == float(size)]
    return bool(present) and all(size == round(size) for size in present)


def format_size(size: SupportsFloat, *, whole: bool = False) -> str:
    """Format a size: whole numbers below a million exactly, others with three digits; inf is "never", nan is "–".

    Args:
        size: the size.
        whole: True for sizes that are counts, see `are_counts`: none has a fraction.

    Examples:
        >>> format_size(12345), format_size(12345.2), format_size(3.214e7), format_size(0.5), format_size(5.37e12)
        ('12,345', '12,300', '32,100,000', '0.5', '5.37e+12')
        >>> format_size(46.6), format_size(46.6, whole=True)
        ('46.6', '47')
        >>> format_size(float("inf"))
        'never'
    """
    number = float(size)
    if number == float("inf"):
        return "never"
    if number != number:
        return "–"
    if number == int(number) and number < 1e6:
        return f"{number:,.0f}"
    rounded = float(f"{number:.3g}")
    rounded = float(round(rounded)) if whole else rounded
    return f"{rounded:,.10g}" if rounded < 1e10 else f"{rounded:.3g}"
