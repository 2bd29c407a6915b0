"""Warnings on the command line: those of lcjax in one line each, those of libraries under `$LCJAX_DEBUG` only."""

import contextlib
import itertools
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import TextIO

from lcjax.text import printable

__all__ = ["one_line_warnings"]


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Show the warnings that lcjax itself gives in the `with` block, each as one line on stderr.

    Libraries warn about what their callers do, which a user of a command cannot change.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show
        yield


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    names = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_stack(sys._getframe()))
    after = itertools.dropwhile(lambda name: name != "warnings", names)
    source = next(itertools.dropwhile(lambda name: name == "warnings", after), "")
    # A RuntimeWarning of NumPy's compiled functions seems to come from their caller.
    is_own = source.startswith("lcjax.") and not issubclass(category, RuntimeWarning)
    if is_own or os.environ.get("LCJAX_DEBUG"):
        print(f"lcjax: {printable(' '.join(str(message).split()))}", file=sys.stderr)
