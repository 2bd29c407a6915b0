"""Commands that report usage errors in one line."""

import contextlib
import contextvars
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lcjax.text import printable

__all__ = ["WORDS", "OneLineCommand", "OneLineGroup"]

WORDS: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("WORDS", default=())
"""Name and arguments of the command that runs."""

_UsageError: Any = typer.BadParameter.__base__  # also of unknown options and commands; typer does not export it


class OneLineCommand(TyperCommand):
    """A command that reports usage errors in one line on standard error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options; an empty one, such as of an unset variable of the shell, is refused."""
        with _one_line(ctx):
            own = args[: args.index("--")] if "--" in args else args  # the rest is the user's
            for before, argument in zip([self.name or "", *own], own, strict=False):
                if not argument or (argument.startswith("--") and argument.endswith("=")):
                    place = argument or f"{before} ''"
                    raise typer.BadParameter(f"{place} is empty: pass a value or leave it out")
            WORDS.set((self.name or "", *args))
            return super().parse_args(ctx, args)


class OneLineGroup(TyperGroup):
    """A group of commands that reports usage errors in one line on standard error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command; show the help if there are no arguments."""
        if not args:
            return super().parse_args(ctx, args)
        with _one_line(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the named command."""
        with _one_line(ctx):
            return super().resolve_command(ctx, args)


@contextlib.contextmanager
def _one_line(ctx: Any) -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        message = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")
        print(f"lcjax: {printable(message)}; see {ctx.command_path} --help.", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
