"""Cells of tables as people and spreadsheets write them: numbers with units and separators, and names."""

import math
import re
import unicodedata

__all__ = ["check_name", "is_missing", "parse_count", "parse_spread", "parse_value"]

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:([_,' \xa0\u2009\u202f])[0-9]{3})(?:\1[0-9]{3})*")
_GROUPED_DECIMAL = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+\.[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
# A number of one to three digits and dots between groups of three: 20.000 is rather 20,000 examples than 20.
_DOTS = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3})+")
_MISSING = {"", "nan", "na", "n/a", "<na>", "#n/a", "nat", "null", "none", "-", "–", "—", "?"}
_SIGNS = ("±", "+/-", "+-")
_INFINITE = {"inf", "+inf", "infinity", "+infinity", "-inf", "-infinity"}
_SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_JOINERS = "\u200c\u200d"  # within words of some scripts and within emoji


def is_missing(text: str) -> bool:
    """Return True for an empty cell and for the usual marks of a missing value.

    Examples:
        >>> is_missing("N/A"), is_missing("0")
        (True, False)
    """
    return text.lower() in _MISSING


def parse_value(text: str, name: str = "value", *, comma: bool = False) -> float:
    """Return the number in a cell, nan if the value is missing.

    Percentages are read as fractions. Underscores, apostrophes or spaces may separate thousands. Only the digits 0 to 9
    are accepted.

    Args:
        text: the cell, without spaces around it.
        name: name of the value in messages.
        comma: True if commas separate the cells, so that a comma in a cell was quoted.

    Raises:
        ValueError: the cell is not a number, or may mean two numbers.

    Examples:
        >>> parse_value("31.2 %"), parse_value("0,312"), parse_value("n/a"), parse_value("1_000")
        (0.312, 0.312, nan, 1000.0)
        >>> parse_value("1_0")
        Traceback (most recent call last):
        ValueError: value must be a number, got '1_0'.
    """
    if _PLAIN.fullmatch(text):
        return float(text)
    if is_missing(text):
        return math.nan
    if text.lower() in _INFINITE:
        return float(text)
    number = text.removesuffix("%").rstrip()
    if text.endswith("%") and (_PLAIN.fullmatch(number) or _DECIMAL_COMMA.fullmatch(number)):
        return parse_value(number, name, comma=comma) / 100
    grouped = _GROUPED.fullmatch(text)
    if grouped and grouped[1] == "," and text.count(",") == 1:
        if comma:
            raise ValueError(_ambiguity("comma", text, name))
        grouped = None
    if grouped:
        return float(text.replace(grouped[1], ""))
    if _GROUPED_DECIMAL.fullmatch(text):  # the last sign is the decimal one
        return float(
            text.replace(",", "") if "." in text.rpartition(",")[2] else text.replace(".", "").replace(",", ".")
        )
    if _DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    raise ValueError(f"{name} must be a number, got {_shorten(text)}.")


def parse_spread(text: str, name: str = "value", *, comma: bool = False) -> tuple[float, float]:
    """Return the number in a cell and its spread, as in 0.312 ± 0.009, 0.312 +/- 0.009 or 0.312 (0.009).

    The spread is nan if the cell has none. A percent sign at the end applies to both.

    Raises:
        ValueError: a part is not a number, or may mean two numbers.

    Examples:
        >>> parse_spread("0.312 ± 0.009"), parse_spread("31.25 ± 0.5 %"), parse_spread("0.3")
        ((0.312, 0.009), (0.3125, 0.005), (0.3, nan))
    """
    sign = next((sign for sign in _SIGNS if sign in text), "(" if text.endswith(")") else "")
    if not sign:
        return parse_value(text, name, comma=comma), math.nan
    mean, _, spread = text.partition(sign)
    mean, spread = mean.strip(), spread.removesuffix(")").strip() if sign == "(" else spread.strip()
    if spread.endswith("%") and not mean.endswith("%"):
        mean += "%"
    if mean.endswith("%") and not spread.endswith("%"):
        spread += "%"
    try:
        return parse_value(mean, name, comma=comma), parse_value(spread, name, comma=comma)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {_shorten(text)}.") from None


def parse_count(text: str, name: str = "size", *, comma: bool = False) -> float:
    """Return the size in a cell: as `parse_value`, but 2k, 1.5M and 1B are thousands, millions and 10^9.

    Raises:
        ValueError: the cell is not a number, or may mean two numbers.

    Examples:
        >>> parse_count("0.5k"), parse_count("16,000", comma=True)
        (500.0, 16000.0)
        >>> parse_count("20.000")
        Traceback (most recent call last):
        ValueError: the dot in the size '20.000' may separate thousands. Write 20000, or, for a fraction, ...
    """
    if _DOTS.fullmatch(text):
        raise ValueError(_ambiguity("dot", text, name))
    if _PLAIN.fullmatch(text):
        return float(text)
    if (grouped := _GROUPED.fullmatch(text)) and grouped[1] == ",":
        if not comma and text.count(",") == 1:
            raise ValueError(_ambiguity("comma", text, name))
        return float(text.replace(",", ""))
    factor = _SUFFIXES.get(text[-1:].lower())
    if factor and _PLAIN.fullmatch(number := text[:-1].rstrip()):
        return float(number) * factor
    if text.endswith("%"):
        raise ValueError(f"{name} must be a number, got {_shorten(text)}; write the number of examples.")
    return parse_value(text, name, comma=comma)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _ambiguity(sign: str, text: str, name: str) -> str:
    digits = re.sub(r"[.,]", "", text)
    return (
        f"the {sign} in the {name} {text!r} may separate thousands. Write {digits}, or, for a fraction, another "
        "number of decimals."
    )


def check_name(text: str) -> str:
    r"""Return a name with single spaces in place of white space and line breaks.

    Raises:
        ValueError: the name contains a control character, such as those that color a terminal or reverse text.

    Examples:
        >>> check_name("ResNet\n50 × ½")
        'ResNet 50 × ½'
        >>> check_name("\x1b[31mred")
        Traceback (most recent call last):
        ValueError: the name '\x1b[31mred' contains the control character U+001B; remove it.
    """
    name = text if text.isascii() and text.isprintable() and "  " not in text else " ".join(text.split())
    for character in name if not name.isprintable() else "":
        if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in _JOINERS:
            raise ValueError(
                f"the name {_shorten(name)} contains the control character U+{ord(character):04X}; remove it."
            )
    return name
