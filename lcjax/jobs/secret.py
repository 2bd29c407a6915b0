"""The secret by which the processes of a job authenticate each other."""

import os
import stat
from pathlib import Path

__all__ = ["read_secret"]

LEAST = 16  # bytes


def read_secret(*, required: str = "") -> bytes:
    """Return the job's secret: the content of the file `$LCJAX_SECRET_FILE`, or `$LCJAX_SECRET`, or b"" for none.

    Args:
        required: reason why a secret is required, for the message; empty if it is not.

    Raises:
        ValueError: a required secret is absent, it is too short, both variables are set, or others can read the file.
        OSError: the file cannot be read.
    """
    text, path = os.environ.get("LCJAX_SECRET", ""), os.environ.get("LCJAX_SECRET_FILE", "")
    if text and path:
        raise ValueError("LCJAX_SECRET and LCJAX_SECRET_FILE are both set: keep one of them.")
    if path:
        text = Path(path).read_text(errors="replace")
        if os.name == "posix" and stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
            raise ValueError(f"Other users can read the secret in {path}: run chmod 600 {path}.")
    secret = text.strip().encode()
    advice = "Run `(umask 077; openssl rand -hex 32 > FILE)` once, and set LCJAX_SECRET_FILE=FILE in every process."
    if not secret and (required or path):
        raise ValueError(f"{required or path + ' is empty:'} a secret is needed. {advice}")
    if secret and len(secret) < LEAST:
        raise ValueError(f"The secret of a job must have at least {LEAST} bytes, got {len(secret)}. {advice}")
    return secret
