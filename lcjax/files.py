"""Files that are written completely or not at all, files that must exist, and the guard of all readers."""

import contextlib
import errno
import functools
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lcjax.records import canonical_hash, parse_json, to_dict
from lcjax.typing import PathLike

__all__ = [
    "atomic_path",
    "cache_folder",
    "lock_file",
    "open_lock",
    "read_checked",
    "read_json",
    "reading",
    "remove_temporaries",
    "require_file",
    "require_folder",
    "sync_folder",
    "write_checked",
    "write_json",
    "writing",
]

_TEMPORARY = ".lcjax-"  # prefix of the names of unfinished files
_WINDOWS = os.name == "nt"
_YOUNG = 0.5  # seconds in which a new temporary file may not have its lock yet
_INNERMOST = re.compile(r"\[\n\s*([^][{}]*?)\n\s*\]")  # strings have no line breaks in JSON


def require_file(path: PathLike) -> Path:
    """Return the path of a file; raise FileNotFoundError if there is none."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not a file." if Path(path).exists() else f"No file {path}.")
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
        if isinstance(error, FileNotFoundError) or (isinstance(error, OSError) and error.filename is not None):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        if reason.startswith(str(path)):
            raise
    else:
        return
    subject = f"{path}, {place}" if place else str(path)
    raise ValueError(f"{subject} cannot be read: {reason.rstrip('.')}.")


@contextlib.contextmanager
def writing(path: PathLike) -> Iterator[None]:
    """Turn the error of a full disk in the `with` block into one that names the file and the remedy.

    Raises:
        OSError: the block raised one.

    Examples:
        >>> with writing("runs.jsonl"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        OSError: The disk is full: runs.jsonl was not written. Free some space and repeat the command.
    """
    try:
        yield
    except Exception as error:  # libraries raise others with the system's text
        number = getattr(error, "errno", None)
        if number not in (errno.ENOSPC, errno.EDQUOT) and os.strerror(errno.ENOSPC) not in str(error):
            raise
        full = OSError(f"The disk is full: {path} was not written. Free some space and repeat the command.")
        full.errno = number or errno.ENOSPC
        raise full from None


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix; move it there on success, remove it on failure.

    The folder is created if it does not exist. The content and the name are on the disk when this returns. A symbolic
    link at `path` is replaced, not followed. What a killed process left in the folder is removed at the first call.

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
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_temporaries_once(path.parent.absolute())
        handle, name = tempfile.mkstemp(prefix=f"{_TEMPORARY}{path.stem}-", suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        lock_file(handle)  # until it is complete, so that no process takes it for one that was left over
        if _WINDOWS:  # where an open file cannot be moved
            os.close(handle)
        try:
            yield temporary
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            if not _WINDOWS:
                os.close(handle)


def remove_temporaries(folder: PathLike) -> None:
    """Remove the temporary files of `atomic_path` that killed processes left in a folder.

    Those that a process is writing are locked, and stay; on Windows, which has no such locks, all do.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(folder + "/a.txt") as temporary:
        ...         remove_temporaries(folder)
        ...         temporary.exists()
        True
    """
    for path in () if _WINDOWS else Path(folder).glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):  # removed meanwhile, or a folder that is not writable
            if path.is_symlink() or time.time() - path.stat().st_mtime < _YOUNG:
                continue
            handle = os.open(path, os.O_RDWR)
            try:
                if lock_file(handle):
                    path.unlink()
            finally:
                os.close(handle)


@functools.lru_cache(maxsize=1024)
def _remove_temporaries_once(folder: Path) -> None:
    remove_temporaries(folder)


def lock_file(handle: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed or its process ends; return False if another process has locked it.

    Several processes can hold a shared lock, but none while another one holds it alone. On Windows, where files are not
    locked, this is True.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def open_lock(path: PathLike) -> int | None:
    """Open a lock file without changing it or following a link; return None if the folder is read-only."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return None


def sync_folder(folder: PathLike) -> None:
    """Write the names in a folder to the disk, where the system can do so."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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


def write_checked(path: PathLike, fields: Mapping[str, object]) -> None:
    """Write fields as `write_json`, with a checksum for `read_checked`."""
    write_json(path, {**fields, "checksum": canonical_hash(to_dict(fields))})


def read_checked(path: PathLike) -> dict[str, Any]:
    """Return the fields that `write_checked` wrote, in plain types; a file without a checksum is returned as it is.

    Raises:
        ValueError: the file holds something else, or has changed since it was written.
        OSError: the file cannot be opened.

    Examples:
        >>> folder = tempfile.TemporaryDirectory()
        >>> write_checked(folder.name + "/a.json", {"size": 10})
        >>> read_checked(folder.name + "/a.json")
        {'size': 10}
        >>> folder.cleanup()
    """
    with reading(path):
        fields: dict[str, Any] = read_json(path)
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        if "checksum" in fields and fields.pop("checksum") != canonical_hash(fields):
            raise ValueError("its checksum is wrong, so it has changed since it was written")
    return fields


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
