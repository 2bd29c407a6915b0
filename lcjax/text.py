"""Text that others wrote, made safe to show."""

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Return text on one line, with control and invisible characters escaped as in a Python string.

    Examples:
        >>> print(printable("a\nb \x1b[31mred\u202e"))
        a\nb \x1b[31mred\u202e
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
