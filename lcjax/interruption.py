"""The end of a command: exit code and one line on standard error at Ctrl-C, SIGTERM, and the loss of a process.

Python raises KeyboardInterrupt only between two instructions of the main thread, which may be in XLA for minutes, and
a garbage-collection callback of XLA swallows it. Therefore a thread waits for signals as well: if the main thread has
not ended the process two seconds after a signal, or at a second signal, the thread does.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

__all__ = ["Interruption", "describe_interruption", "leave", "run_to_exit"]

GRACE = 2.0  # seconds from a signal to the forced end
SIGNALS = (signal.SIGINT, signal.SIGTERM)

_line = "Interrupted."
_ending = threading.Lock()  # held by the thread that ends the process
_received: int | None = None  # the first signal, or 0 when the command has succeeded


class Interruption(BaseException):
    """Ctrl-C or SIGTERM, raised once in the main thread of a command."""


def describe_interruption(line: str) -> None:
    """Set the line that an interrupted command prints."""
    global _line
    _line = line


def leave(code: int, line: str | None = None) -> NoReturn:
    """End the process at once, with a last line on standard error; files that it has stored are complete.

    Threads may still be in XLA, whose destructors would crash under them: no destructor and no exit handler runs.
    Only the first call prints.

    Args:
        code: exit code.
        line: last line on standard error; none if None.
    """
    if not _ending.acquire(blocking=False):
        time.sleep(GRACE)  # the other thread may wait for the reader of a pipe
        os._exit(code)
    if threading.current_thread() is threading.main_thread():  # which may hold the buffers' locks
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    if line is not None:
        shown = "\n\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides the cursor
        with contextlib.suppress(OSError):
            os.write(2, f"{shown}{line}\n".encode(errors="replace"))
    os._exit(code)


def run_to_exit(command: Callable[[], object]) -> None:
    """Call the command of a process, and end the process with its exit code: 130 after Ctrl-C, 143 after SIGTERM.

    Returns after success. Signals that the process ignores, as under `nohup`, stay ignored.
    """
    global _received
    try:
        _catch_signals()
        command()
    except SystemExit as stop:
        if stop.code not in (None, 0):
            leave(stop.code if isinstance(stop.code, int) else 1, stop.code if isinstance(stop.code, str) else None)
    except BaseException:
        if _received:  # a module that is interrupted during its import may raise something else
            leave(128 + _received, _line)
        traceback.print_exc()
        leave(1)
    _received = 0


def _catch_signals() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_release_signals)
    # C code, such as callbacks of XLA and imports of jaxlib, prints what it does not raise.
    print_error, print_ignored = sys.excepthook, sys.unraisablehook
    sys.excepthook = lambda kind, *error: None if kind is Interruption else print_error(kind, *error)
    sys.unraisablehook = lambda event: None if event.exc_type is Interruption else print_ignored(event)
    threading.Thread(target=_force, args=(reader,), daemon=True).start()


def _release_signals() -> None:
    """Restore the default handlers in a forked child, which shares the pipe."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    global _received
    if _received is None:
        _received = number
        raise Interruption(signal.Signals(number).name)


def _force(reader: int) -> NoReturn:
    number = 0
    while number not in SIGNALS:
        number = os.read(reader, 1)[0]
    select.select([reader], [], [], GRACE)
    leave(128 + number, _line)
