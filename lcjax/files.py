"""Files that are there whole or not at all."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lcjax.records import to_dict

__all__ = ["atomic_path", "cache_folder", "write_json"]

_INNERMOST = re.compile(r"\[\n\s*([^][{}]*?)\n\s*\]")  # strings have no line breaks in JSON


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success move it there, on failure remove it.

    Args:
        path: the file to make; its folder is made if it does not exist.

    Yields:
        The temporary path, with the same suffix.

    Raises:
        OSError: the folder cannot be made, or the disk is full.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> with atomic_path(folder.name + "/a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
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
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a record or plain data as JSON, atomically; see `lcjax.records.to_dict` for the form.

    Lists that hold no others are a line each.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> write_json(folder.name + "/a.json", {"size": 10})
        >>> json.loads(Path(folder.name, "a.json").read_text())
        {'size': 10}
        >>> folder.cleanup()
    """
    text = _INNERMOST.sub(_one_line, json.dumps(to_dict(value), indent=1, allow_nan=False)) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def _one_line(found: re.Match[str]) -> str:
    joined = re.sub(r"\n\s*", " ", found[1])
    return f"[{joined}]"


def cache_folder() -> Path | None:
    """Where compiled programs and measurements are kept for the next command.

    `$LCJAX_CACHE`, or none where that is empty; `lcjax` in `$XDG_CACHE_HOME` or `~/.cache` where it is not set.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = os.environ.get("LCJAX_CACHE", str(home / "lcjax"))
    return Path(folder) if folder else None
