"""Console that prints text literally: without markup, links, emoji codes and control characters."""

from typing import Any

from rich.console import Console
from rich.text import Text

from lcjax.text import printable

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    r"""A console of `rich` for text that contains names of files, curves and data sets.

    Examples:
        >>> PlainConsole(width=60).print("[bold]curve[/bad] :smile: \x1b[31m")
        [bold]curve[/bad] :smile: \x1b[31m
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string to `Text`, escaping all control characters but line breaks."""
        return super().render_str("\n".join(map(printable, text.split("\n"))), **options)
