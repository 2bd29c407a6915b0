"""Files that are written completely or not at all, files that must exist, and the guard of all readers."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lcjax.records import parse_json, to_dict
from lcjax.typing import PathLike

__all__ = ["atomic_path", "cache_folder", "read_json", "reading", "require_file", "require_folder", "write_json"]

_INNERMOST = re.compile(r"\[\n\s*([^][{}]*?)\n\s*\]")  # strings have no line breaks in JSON


def require_file(path: PathLike) -> Path:
    """Return the path of a file; raise FileNotFoundError if there is none."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"No file {path}.")
    return Path(path)


def require_folder(path: PathLike) -> Path:
    """Return the path of a folder; raise FileNotFoundError if there is none."""
    if not Path(path).is_dir():
        raise FileNotFoundError(f"No folder {path}.")
    return Path(path)


@contextlib.contextmanager
def reading(path: PathLike, place: str = "") -> Iterator[None]:
    """Turn whatever a parser raises in the `with` block into one ValueError with file, place and reason.

    Every reader of files that others made wraps its parser in this guard. A message that begins with the path already
    is left as it is; so are errors of the file system, such as a missing file or one without permission.

    Args:
        path: the file or folder that is read.
        place: where in it, such as "line 3" or "array targets".

    Raises:
        ValueError: the block raised an error.
        OSError: the file cannot be opened.

    Examples:
        >>> with reading("sizes.txt", "line 2"):
        ...     int("many")
        Traceback (most recent call last):
        ValueError: sizes.txt, line 2 cannot be read: invalid literal for int() with base 10: 'many'.
    """
    try:
        yield
    except MemoryError as error:
        reason = str(error) or "it does not fit in memory"
    except RecursionError:
        reason = "it is nested too deeply"
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        if reason.startswith(str(path)):
            raise
    else:
        return
    subject = f"{path}, {place}" if place else str(path)
    raise ValueError(f"{subject} cannot be read: {reason.rstrip('.')}.")


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix; move it there on success, remove it on failure.

    The folder is created if it does not exist.

    Raises:
        OSError: the folder cannot be created, or the disk is full.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with atomic_path(folder.name + "/a.txt") as temporary:
        ...     _ = temporary.write_text("complete")
        >>> [p.name for p in Path(folder.name).iterdir()]
        ['a.txt']
        >>> folder.cleanup()
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: PathLike, value: object) -> None:
    """Write a record or plain data as JSON (see `lcjax.records.to_dict`) atomically, each innermost list on one line.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> write_json(folder.name + "/a.json", {"size": 10})
        >>> json.loads(Path(folder.name, "a.json").read_text())
        {'size': 10}
        >>> folder.cleanup()
    """
    text = json.dumps(to_dict(value), indent=1, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(_INNERMOST.sub(lambda match: "[" + re.sub(r"\n\s*", " ", match[1]) + "]", text) + "\n")


def read_json(path: PathLike) -> Any:
    """Read strict JSON (see `lcjax.records.parse_json`), as `write_json` writes it.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it does not hold strict JSON; the message names the file.
    """
    with reading(path):
        return parse_json(Path(path).read_bytes())


def cache_folder() -> Path | None:
    """Return the folder for compiled programs and measurements, or None to store none.

    It is `$LCJAX_CACHE` if that is set (empty for none), otherwise `lcjax` in `$XDG_CACHE_HOME` or `~/.cache`.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = os.environ.get("LCJAX_CACHE", str(home / "lcjax"))
    return Path(folder) if folder else None
