"""Lines of JSON with a checksum, for files that are appended to."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from lcjax.records import parse_json, to_dict

__all__ = ["seal_line", "unseal_line"]

_SEAL = re.compile(rb'(?s)(\{.*),"checksum":"([0-9a-f]{16})"\}\n?')


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


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
