"""Messages between the processes of a job: JSON and numeric arrays, signed with the job's secret.

Every message carries an HMAC-SHA256 of its content, its sender, the number of its round and a nonce to which every
process of the job contributes, so that a message of another job, round or process is refused. It is verified before
the content is parsed. No message can name code: it is parsed only by `json` and `numpy.load(allow_pickle=False)`.
"""

import dataclasses
import hashlib
import hmac
import io
import json
import secrets
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.files import reading
from lcjax.jobs.peers import PeerError, gather_bytes, process_count, process_index
from lcjax.jobs.secret import read_secret
from lcjax.records import parse_json
from lcjax.typing import JSON

__all__ = ["Message", "exchange"]

PIECE = 2**24  # bytes of each process in one round of a collective
WEEKS = 60 * 60 * 24 * 28  # seconds that a process waits for the slowest
DIGEST = 32  # bytes
_VALUE = "value"  # name of the JSON part among the arrays


@dataclasses.dataclass(frozen=True)
class Message:
    """JSON data and arrays of one process."""

    value: JSON
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class _Session:
    """State of the exchanges of this process."""

    nonce: bytes = b""
    round: int = 0


_session = _Session()


def exchange(value: JSON, arrays: Mapping[str, np.ndarray] | None = None) -> list[Message]:
    """Return the messages of all processes, by index; every process of the job must call this.

    Args:
        value: JSON data.
        arrays: numeric arrays on the host; the name "value" is taken.

    Raises:
        PeerError: a message was not signed with the secret of this process, or another process has ended.
        ValueError: a message cannot be read.
        jax.errors.JaxRuntimeError: another process of a job of `jax.distributed` has died.

    Examples:
        >>> exchange({"ready": True})
        [Message(value={'ready': True}, arrays={})]
    """
    if process_count() == 1:
        return [Message(value, arrays or {})]
    if not _session.nonce:
        _session.nonce = hashlib.sha256(b"".join(_gather(secrets.token_bytes(32)))).digest()
    return [_decode(content, process) for process, content in enumerate(_gather(_encode(Message(value, arrays or {}))))]


def _gather(content: bytes) -> list[bytes]:
    """Return the contents of the messages of all processes, with their signatures checked."""
    secret, signed = read_secret(), _sign(process_index(), content) + content
    messages = gather_bytes(signed)
    if messages is None:
        messages = _gather_by_collectives(signed)
    for process, message in enumerate(messages):
        if not hmac.compare_digest(message[:DIGEST], _sign(process, message[DIGEST:])):
            advice = "Set the same LCJAX_SECRET_FILE" if secret else "Set LCJAX_SECRET_FILE"
            raise PeerError(
                f"Process {process} of the job is refused: it did not sign its message with the secret of process "
                f"{process_index()}. {advice} in all processes, and start them together."
            )
    _session.round += 1
    return [message[DIGEST:] for message in messages]


def _sign(process: int, content: bytes) -> bytes:
    head = f"lcjax message {_session.round} of {process} in {process_count()} ".encode() + _session.nonce
    digest = hmac.new(read_secret(), head, "sha256")
    digest.update(content)
    return digest.digest()


def _gather_by_collectives(message: bytes) -> list[bytes]:
    """Gather bytes in pieces by `jax.distributed`.

    The processes first wait for each other without limit, because collectives over TCP give up after half a minute.
    """
    from jax.experimental.multihost_utils import process_allgather
    from orbax.checkpoint.multihost import sync_global_processes

    count = jax.process_count()
    sync_global_processes("lcjax exchange", timeout=WEEKS, processes=set(range(count)))
    data = np.frombuffer(message, np.uint8)
    lengths = process_allgather(np.array([len(data)], np.int32 if len(data) < 2**31 else np.int64))[:, 0].tolist()
    parts: list[list[bytes]] = [[] for _ in range(count)]
    for first in range(0, max(lengths), PIECE):
        buffer = np.zeros(min(PIECE, max(lengths) - first), np.uint8)
        piece = data[first : first + PIECE]
        buffer[: len(piece)] = piece
        for process, row in enumerate(process_allgather(buffer)):
            parts[process].append(row[: max(lengths[process] - first, 0)].tobytes())
    return [b"".join(pieces) for pieces in parts]


def _encode(message: Message) -> bytes:
    """Return an npz file; arrays of dtypes that NumPy lacks, such as bfloat16, are stored by their bits."""
    bits = {name: str(array.dtype) for name, array in message.arrays.items() if array.dtype.kind == "V"}
    arrays = {
        name: array.view(f"u{array.dtype.itemsize}") if name in bits else array
        for name, array in message.arrays.items()
    }
    text = json.dumps({"value": message.value, "bits": bits}, allow_nan=False)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays, **{_VALUE: np.frombuffer(text.encode(), np.uint8)})
    return file.getvalue()


def _decode(content: bytes, process: int) -> Message:
    with reading(f"The message of process {process}"):
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        entry = parse_json(arrays.pop(_VALUE).tobytes())
        for name, dtype in entry["bits"].items():
            arrays[name] = arrays[name].view(jnp.dtype(dtype))
        return Message(entry["value"], arrays)
