"""Lines of JSON with a checksum, for files that are appended to."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcjax.files import sync_folder, writing
from lcjax.records import parse_json, to_dict

__all__ = ["append_line", "seal_line", "unseal_line"]

_SEAL = re.compile(rb'(?s)(\{.*),"checksum":"([0-9a-f]{16})"\}\n?')
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # which Windows lacks


def seal_line(fields: Mapping[str, object]) -> bytes:
    """Return a line with these fields, records or plain data, and a checksum.

    Examples:
        >>> unseal_line(seal_line({"size": 10}))
        {'size': 10}
    """
    body = json.dumps(to_dict(fields), allow_nan=False, separators=(",", ":")).encode()
    return body[:-1] + f',"checksum":"{_checksum(body)}"}}\n'.encode()


def unseal_line(line: bytes) -> dict[str, Any]:
    """Return the fields of a line in plain types.

    Raises:
        ValueError: the line is cut or has changed since it was written.

    Examples:
        >>> unseal_line(seal_line({"size": 10}).replace(b"10", b"11"))
        Traceback (most recent call last):
        ValueError: the line has changed since it was written
    """
    match = _SEAL.fullmatch(line)
    if match is None:
        raise ValueError("the line is incomplete")
    body = match[1] + b"}"
    if _checksum(body) != match[2].decode():
        raise ValueError("the line has changed since it was written")
    fields: dict[str, Any] = parse_json(body)
    return fields


def append_line(path: Path, line: bytes) -> None:
    """Append a sealed line to a file, which is created if it does not exist, and wait until it is on the disk.

    A line that a killed process has not finished is ended first. Symbolic links are not followed.

    Args:
        path: the file; one process appends to it at a time.
        line: from `seal_line`.

    Raises:
        OSError: the file cannot be written, or the disk is full.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "sizes.jsonl")
        ...     _ = path.write_bytes(b'{"si')
        ...     append_line(path, seal_line({"size": 10}))
        ...     unseal_line(path.read_bytes().splitlines()[1])
        {'size': 10}
    """
    new = not path.exists()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINKS
    with writing(path), open(os.open(path, flags, 0o644), "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        is_unfinished = bool(end) and file.read(1) != b"\n"
        file.write((b"\n" if is_unfinished else b"") + line)
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
